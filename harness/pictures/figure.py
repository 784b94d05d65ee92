"""Figures of several panels; matplotlib, which draws them, is the extra ``figures``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.files import write_atomically
from harness.pictures.overlay import PREDICTED, TRUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 5  # findings that a list shows
PANEL = 2.6  # inches


def panels(
    columns: int, title: str = "", *, rows: int = 1, widths: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``rows`` x ``columns`` panels without axes, row by row.

    ``widths`` are those of the columns, in panels.

    Raises:
        HarnessError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HarnessError(
            "pictures need matplotlib: pip install 'cxr-harness[figures]'"
        ) from error
    widths = widths or [1.0] * columns
    inches = PANEL * sum(widths), PANEL * rows + 0.3
    figure = Figure(figsize=inches, layout="constrained", dpi=150)
    if title:
        figure.suptitle(title, fontsize=8)
    grid = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    found: list[Axes] = grid.ravel().tolist()
    for panel in found:
        panel.set_axis_off()
    return figure, found


def show(panel: Axes, picture: NDArray[Any], title: str = "", *, true: bool = False) -> None:
    """Show a picture (H, W, 3) or a radiograph (H, W) uint8; the title of what is true is red."""
    panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
    panel.set_title(title, fontsize=8, color=colour(TRUE) if true else "black")


def short(name: object) -> str:
    """Return an image's name without its folders, and without its middle if it is long."""
    text = str(name).rpartition("/")[2]
    return text if len(text) <= 28 else f"{text[:13]}...{text[-12:]}"


def colour(pixel: tuple[int, int, int]) -> tuple[float, ...]:
    """Return a colour of pixels as matplotlib has it."""
    return tuple(part / 255 for part in pixel)


def list_findings(
    panel: Axes, classes: Sequence[str], scores: NDArray[Any], labels: NDArray[Any] | None
) -> None:
    """Write the findings of highest score, and in red those that the labels confirm."""
    heading = f"top {min(TOP, len(classes))} findings"
    panel.text(0, 0.97, heading, fontsize=8, weight="bold", va="top")
    for line, place in enumerate(np.argsort(-scores, kind="stable")[:TOP].tolist()):
        true = labels is not None and labels[place] == 1
        panel.text(
            0,
            0.82 - 0.13 * line,
            f"{classes[place]}  {scores[place]:.3f}",
            fontsize=8,
            va="top",
            color=colour(TRUE) if true else "black",
        )


def explain_boxes(panel: Axes, rule: str = "") -> None:
    """Write what the colours of text and boxes mean under a list of findings."""
    panel.text(0, 0.14, "red: the dataset's label or box", fontsize=6, color=colour(TRUE))
    if rule:
        shade = tuple(0.7 * part for part in colour(PREDICTED))
        panel.text(0, 0.05, f"yellow: the model's box, protocol {rule}", fontsize=6, color=shade)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))
