"""What any model with image scores can show: findings, where it saw them, and the true boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.protocols import largest_boxes
from harness.model.prediction import Prediction
from harness.pictures.canvas import Canvas, canvases
from harness.pictures.figure import explain_boxes, list_findings, panels, short, show
from harness.pictures.overlay import PREDICTED, TRUE, Pixels, blended, grey, with_box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
MAPS = 4  # heat maps of an image


def findings(said: Prediction, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
    """Yield a picture of each image: radiograph, heat maps, findings of highest score.

    Heat maps are of the findings that the dataset has, those with a box first, then of those with
    the highest score. True boxes are red; the box around a map's largest component (the protocol
    "largest") is yellow. Nothing is yielded without image scores.
    """
    if said.scores is None:
        return
    scores = said.scores.float().cpu().numpy()
    labels = truth.labels
    for i, canvas in enumerate(canvases(batch, truth)):
        mine = None if labels is None else labels[i]
        boxes, kinds = true_boxes(truth, i)
        shown = [] if said.maps is None else seen_classes(scores[i], mine, kinds)
        figure, axes = panels(2 + len(shown))
        show(axes[0], drawn(canvas, boxes=boxes), short(truth.names[i]))
        for axis, c in zip(axes[1:-1], shown, strict=True):
            heat = one_map(said, truth, i, c)
            picture = heat_picture(canvas, heat, boxes[kinds == c])
            true = mine is not None and mine[c] == 1
            show(axis, picture, f"{truth.space.classes[c]} {scores[i, c]:.3f}", true=true)
        list_findings(axes[-1], truth.space.classes, scores[i], mine)
        explain_boxes(axes[-1], "largest" if shown else "")
        yield f"{truth.names[i]}-findings", figure


def true_boxes(truth: Samples, i: int) -> tuple[Array, Array]:
    """Return the boxes (K, 4) of one image in original pixels, and their classes (K,)."""
    boxes, kinds = truth.column("boxes"), truth.column("box_classes")
    if boxes is None or kinds is None:
        return np.zeros((0, 4)), np.zeros(0, dtype=np.int64)
    there = kinds[i] >= 0
    return boxes[i][there], kinds[i][there]


def seen_classes(scores: Array, labels: Array | None, boxed: Array) -> list[int]:
    """Return the classes whose heat maps are shown: with a box, then true, then by score."""
    true = np.zeros(len(scores), bool) if labels is None else labels == 1
    order = np.lexsort((-scores, ~true, ~np.isin(np.arange(len(scores)), boxed)))
    return [int(c) for c in order[:MAPS]]


def one_map(said: Prediction, truth: Samples, i: int, c: int) -> HeatMaps:
    """Return the heat map of one class in one image."""
    assert said.maps is not None
    assert said.to_original is not None
    assert said.map_frame is not None
    return HeatMaps(
        said.maps[i, [c]].float().cpu().numpy(),
        said.to_original[[i]].double().cpu().numpy(),
        said.map_frame,
        truth.need("sizes")[[i]],
    )


def heat_picture(canvas: Canvas, heat: HeatMaps, boxes: Array) -> Pixels:
    """Return a radiograph under a heat map with true boxes (K, 4) and the map's own box."""
    values = canvas.heat(heat.maps[0], heat.to_original[0], heat.frame)
    found = largest_boxes(heat)
    predicted = found[~np.isnan(found).any(axis=1)]
    return drawn(canvas, blended(canvas.radiograph, values), boxes, predicted)


def drawn(
    canvas: Canvas,
    picture: Pixels | None = None,
    boxes: Array | None = None,
    predicted: Array | None = None,
) -> Pixels:
    """Return a picture (the radiograph where none is given) with boxes of original pixels."""
    made = grey(canvas.radiograph) if picture is None else picture
    for found, colour in ((boxes, TRUE), (predicted, PREDICTED)):
        for box in () if found is None else found:
            made = with_box(made, canvas.box(box), colour)
    return made
