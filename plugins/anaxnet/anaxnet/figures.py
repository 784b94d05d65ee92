"""Figure 2: regions with their findings, predicted beside true; needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import Batch, Prediction, Samples
from harness.pictures.canvas import Canvas, canvases
from harness.pictures.figure import colour, panels, short, show
from harness.pictures.overlay import TRUE, grey, with_box

Array = npt.NDArray[Any]
Findings = dict[int, list[tuple[str, bool]]]  # of a region: what is written, and whether it is true
MOST = 10  # predicted findings that are shown of an image
GREY = (150, 150, 150)


def region_figures(said: Prediction, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
    """Yield a picture of each image: true regions with their findings, then the predicted ones.

    Predicted are the ten pairs of a region that was found and a label with the highest scores; what
    the labels confirm is red. A region has one colour in both; regions without findings are grey.
    """
    assert said.region_scores is not None
    assert said.region_boxes is not None
    assert said.region_present is not None
    scores, present = said.region_scores.float().cpu().numpy(), said.region_present.cpu().numpy()
    predicted = said.region_boxes.float().cpu().numpy()
    boxes, labels = truth.need("region_boxes"), truth.need("region_labels")
    for i, canvas in enumerate(canvases(batch, truth)):
        figure, axes = panels(4)
        figure.set_size_inches(15, 4.2)
        there = _true(labels[i], truth.space.region_classes)
        found = _most_probable(scores[i], present[i] > 0.5, labels[i], truth.space.region_classes)
        sides = ((boxes[i], there, "ground truth"), (predicted[i], found, "predicted"))
        for side, (drawn, of_regions, title) in enumerate(sides):
            show(axes[2 * side], _boxed(canvas, drawn, of_regions), title)
            _list(axes[2 * side + 1], of_regions, truth.space.regions)
        axes[0].set_title(f"{short(truth.names[i])}: ground truth", fontsize=8)
        yield f"{truth.names[i]}-regions", figure


def colour_of(region: int) -> tuple[int, int, int]:
    """Return the colour of a region, one of 18 that differ and are not grey."""
    place = [k for k in range(20) if k not in (14, 15)][region % 18]
    red, green, blue = (round(255 * part) for part in colormaps["tab20"](place)[:3])
    return red, green, blue


def _true(labels: Array, classes: tuple[str, ...]) -> Findings:
    return {
        int(region): [(classes[c], False) for c in np.flatnonzero(labels[region] == 1)]
        for region in np.flatnonzero((labels == 1).any(axis=1))
    }


def _most_probable(
    scores: Array, present: Array, labels: Array, classes: tuple[str, ...]
) -> Findings:
    known = np.where(present[:, None], scores, -1)
    order = np.argsort(-known, axis=None, kind="stable")[:MOST]
    found: Findings = {}
    for region, c in zip(*np.unravel_index(order, scores.shape), strict=True):
        if present[region]:
            line = f"{classes[c]} {scores[region, c]:.3f}", bool(labels[region, c] == 1)
            found.setdefault(int(region), []).append(line)
    return found


def _boxed(canvas: Canvas, boxes: Array, findings: Findings) -> Array:
    """Return the radiograph with the boxes (R, 4) of its regions, those with findings on top."""
    shown = grey(canvas.radiograph)
    regions = [r for r in range(len(boxes)) if not np.isnan(boxes[r]).any()]
    for region in sorted(regions, key=lambda r: r in findings):
        has = region in findings
        shade = colour_of(region) if has else GREY
        shown = with_box(shown, canvas.box(boxes[region]), shade, thin=not has)
    return shown


def _list(axis: Axes, findings: Findings, regions: tuple[str, ...]) -> None:
    """Write the findings of each region under its name, in the region's colour."""
    lines: list[tuple[str, Any, str]] = []
    for region, found in sorted(findings.items()):
        lines.append((regions[region], colour(colour_of(region)), "bold"))
        for text, true in found:
            lines.append((f"    {text}", colour(TRUE) if true else "black", "normal"))
    step = min(0.05, 1 / max(1, len(lines)))
    for place, (text, shade, weight) in enumerate(lines or [("no finding", "black", "normal")]):
        axis.text(
            0, 1 - step * place, text, color=shade, weight=weight, fontsize=140 * step, va="top"
        )
