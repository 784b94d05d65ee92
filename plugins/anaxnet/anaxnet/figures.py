"""Figure 2: regions with their findings, predicted beside true; needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from colorsys import hsv_to_rgb
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import Batch, Prediction, Samples
from harness.pictures.canvas import Canvas, canvases
from harness.pictures.figure import colour, panels, short, show
from harness.pictures.overlay import TRUE, grey, with_box

Array = npt.NDArray[Any]
Findings = dict[int, list[tuple[str, bool]]]  # of a region: what is written, and whether it is true
Line = tuple[str, Any, str]  # text, colour, weight
MOST = 10  # predicted findings that are shown of an image
GREY = (150, 150, 150)


def region_figures(said: Prediction, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
    """Yield a picture of each image: true regions with their findings, then the predicted ones.

    Predicted are the ten pairs of a region that was found and a label with the highest scores; what
    the dataset's labels confirm is red. A region has one colour in both; those without findings
    are grey.
    """
    assert said.region_scores is not None
    assert said.region_boxes is not None
    assert said.region_present is not None
    scores, present = said.region_scores.float().cpu().numpy(), said.region_present.cpu().numpy()
    predicted = said.region_boxes.float().cpu().numpy()
    boxes, labels = truth.need("region_boxes"), truth.need("region_labels")
    for i, canvas in enumerate(canvases(batch, truth)):
        figure, axes = panels(4, widths=(1.6, 1.0, 1.6, 1.0), rows=1)
        figure.set_figheight(4.6)
        there = _true(labels[i], truth.space.region_classes)
        found = _most_probable(scores[i], present[i] > 0.5, labels[i], truth.space.region_classes)
        sides = ((boxes[i], there, "ground truth"), (predicted[i], found, "predicted (red: true)"))
        lists = [_lines(of_regions, truth.space.regions) for _, of_regions, _ in sides]
        step = min(0.05, 1 / max(map(len, lists)))
        for side, (drawn, of_regions, title) in enumerate(sides):
            show(axes[2 * side], _boxed(canvas, drawn, of_regions), title)
            _write(axes[2 * side + 1], lists[side], step)
        axes[0].set_title(f"{short(truth.names[i])}: ground truth", fontsize=8)
        yield f"{truth.names[i]}-regions", figure


def colour_of(region: int) -> tuple[int, int, int]:
    """Return the colour of a region: 18 hues, far apart for regions that follow each other."""
    shade = hsv_to_rgb(7 * region % 18 / 18, 0.95, 0.95 if region % 2 else 0.65)
    red, green, blue = (round(255 * part) for part in shade)
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
        shown = with_box(shown, canvas.box(boxes[region]), shade, thick=None if has else 1)
    return shown


def _lines(findings: Findings, regions: tuple[str, ...]) -> list[Line]:
    """Return the findings of each region under its name, in the region's colour."""
    lines: list[Line] = []
    for region, found in sorted(findings.items()):
        dark = tuple(0.75 * part for part in colour(colour_of(region)))  # on white paper
        lines.append((regions[region], dark, "bold"))
        for text, true in found:
            lines.append((f"    {text}", colour(TRUE) if true else "black", "normal"))
    return lines or [("no finding", "black", "normal")]


def _write(axis: Axes, lines: list[Line], step: float) -> None:
    for place, (text, shade, weight) in enumerate(lines):
        size = 140 * step
        axis.text(0, 1 - step * place, text, color=shade, weight=weight, fontsize=size, va="top")
