"""The named rules that turn a heat map into boxes and compare them with the true box.

Except for `legacy-kth`, maps are resampled into original pixels first, scaled to [0, 1] by their
own minimum and maximum, and thresholded strictly above 180 / 255. A map that is constant has no
box. No rule has a knob, so that none can be tuned on test boxes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.metrics import boxes as box
from harness.metrics.boxes import Annotated
from harness.metrics.components import CACHED, Components, components
from harness.metrics.heatmaps import HeatMaps, peaks
from harness.metrics.ranking import Bools, Floats, Ints

LEGACY_SIDE = 256
LEGACY_MARGIN = 5


@dataclass(frozen=True)
class Overlaps:
    """What each annotated box (n,) got; 0 without a predicted box."""

    iou: Floats
    iobb: Floats  # intersection over the predicted area
    predicted: Ints  # boxes predicted
    fair_iou: Floats | None = None  # oracle-size: of the highest maximum alone

    def take(self, rows: Ints) -> "Overlaps":
        """Pick boxes by index (m,)."""
        fair = None if self.fair_iou is None else self.fair_iou[rows]
        return Overlaps(self.iou[rows], self.iobb[rows], self.predicted[rows], fair)


def boxes_above(heat: HeatMaps) -> Iterator[tuple[Ints, Components]]:
    """Give the boxes around every component above 180/255 of some maps (k,), whose rows these are.

    They are what "chestx-ray8" predicts; ``Components.mask`` counts among the rows.
    """
    for rows, masks in _thresholded(heat):
        yield rows, components(masks)


def _boxes_of(heat: HeatMaps, annotated: Annotated, only_largest: bool) -> Overlaps:
    n = len(annotated.boxes)
    iou, iobb, predicted = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    for rows, found in boxes_above(heat):
        if only_largest:
            found = _largest(found, found.area)
        row = rows[found.mask]
        truth = annotated.boxes[row]
        np.maximum.at(iou, row, box.iou(found.boxes, truth))
        np.maximum.at(iobb, row, box.iobb(found.boxes, truth))
        np.add.at(predicted, row, 1)
    return Overlaps(iou, iobb, predicted)


def largest_boxes(heat: HeatMaps) -> Floats:
    """Give the box (n, 4) in original pixels that `largest` makes of each map, NaN without one."""
    boxes = np.full((len(heat.maps), 4), np.nan)
    for rows, masks in _thresholded(heat):
        found = components(masks)
        found = _largest(found, found.area)
        boxes[rows[found.mask]] = found.boxes
    return boxes


def _masks_of(heat: HeatMaps, annotated: Annotated) -> Overlaps:
    """Compare with all boxes of an image and class together, which all get the same."""
    n = len(annotated.boxes)
    iou, iobb, predicted = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    _, finding = annotated.findings()
    for rows, masks in _thresholded(heat):
        for row, mask in zip(rows, masks, strict=True):
            true, shared = _covered(annotated.boxes[finding == finding[row]], mask)
            pixels = np.count_nonzero(mask)
            if pixels:
                iou[row] = shared / (pixels + true - shared)
                iobb[row] = shared / pixels
                predicted[row] = 1
    return Overlaps(iou, iobb, predicted)


def _covered(boxes: Floats, mask: Bools) -> tuple[float, float]:
    """Give the area that boxes (k, 4) cover together, and how much of it a mask (H, W) has."""
    down = [_cover(y1, y2, mask.shape[0]) for _, y1, _, y2 in boxes]
    across = [_cover(x1, x2, mask.shape[1]) for x1, _, x2, _ in boxes]
    if len(boxes) == 1:
        return float(down[0].sum() * across[0].sum()), float(down[0] @ mask @ across[0])
    cover = np.maximum.reduce([np.outer(*sides) for sides in zip(down, across, strict=True)])
    return float(cover.sum()), float(cover[mask].sum())


def _cover(low: float, high: float, pixels: int) -> Floats:
    """Give the share of each pixel (P,) that the interval covers."""
    edge = np.clip(np.arange(pixels + 1), low, high)
    return np.diff(edge)


def _oracle_size(heat: HeatMaps, annotated: Annotated) -> Overlaps:
    n = len(annotated.boxes)
    best, fair, predicted = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    iobb = np.zeros(n)
    for row, truth in enumerate(annotated.boxes):
        centres = heat.centres(row, peaks(heat.maps[row]))
        inside = (centres >= 0) & (centres <= heat.sizes[row, ::-1])
        centres = centres[inside.all(axis=1)]
        if len(centres):
            half = (truth[2:] - truth[:2]) / 2
            around = np.concatenate([centres - half, centres + half], axis=1)
            overlap = box.iou(around, truth)
            best[row], fair[row], predicted[row] = overlap.max(), overlap[0], len(around)
            iobb[row] = box.iobb(around, truth).max()
    return Overlaps(best, iobb, predicted, fair)


def _legacy_kth(heat: HeatMaps, annotated: Annotated) -> Overlaps:
    """Score as the public evaluator of paper 003 does, in a frame of 256 x 256.

    The box is the largest bounding rectangle, cut five pixels from the right and lower border. The
    intersection is a pixel too long on either side, "IoU" takes predicted width x true height for
    one of the areas, and "IoBB" divides by the true area.
    """
    n = len(annotated.boxes)
    iou, iobb, predicted = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
    for row in range(n):
        scale = LEGACY_SIDE / np.tile(heat.sizes[row, ::-1], 2)
        x1, y1, x2, y2 = annotated.boxes[row] * scale
        found = components(_legacy_mask(heat, row)[None], diagonal=True).boxes
        if not len(found):
            continue
        left, top = found[:, 0], found[:, 1]
        width = np.minimum(found[:, 2] - left, LEGACY_SIDE - left - LEGACY_MARGIN)
        height = np.minimum(found[:, 3] - top, LEGACY_SIDE - top - LEGACY_MARGIN)
        k = np.argmax(width * height)
        x = min(left[k], LEGACY_SIDE - LEGACY_MARGIN)
        y = min(top[k], LEGACY_SIDE - LEGACY_MARGIN)
        across = max(0, min(x + width[k], x2) - max(x, x1) + 1)
        down = max(0, min(y + height[k], y2) - max(y, y1) + 1)
        true_area = (x2 - x1) * (y2 - y1)
        union = width[k] * (y2 - y1) + true_area - across * down
        iou[row] = across * down / union if union > 0 else 0
        iobb[row] = across * down / true_area
        predicted[row] = 1
    return Overlaps(iou, iobb, predicted)


def _legacy_mask(heat: HeatMaps, row: int) -> Bools:
    """Threshold at 180 / 255 of the maximum after up-sampling, above the minimum before it."""
    low = heat.maps[row].min()
    values = heat.in_original(row, (LEGACY_SIDE, LEGACY_SIDE))
    if heat.maps[row].max() == low:
        return np.zeros(values.shape, dtype=np.bool_)
    return np.asarray(values > low + (values.max() - low) * 180 / 255)


def _thresholded(heat: HeatMaps) -> Iterator[tuple[Ints, Bools]]:
    """Give thresholded maps in original pixels (k, H, W), a few of one size at a time."""
    for size in np.unique(heat.sizes, axis=0):
        same = np.flatnonzero((heat.sizes == size).all(axis=1))
        step = max(1, CACHED // int(size.prod()))
        for start in range(0, len(same), step):
            rows = same[start : start + step]
            yield rows, np.stack([_mask(heat, row) for row in rows])


def _mask(heat: HeatMaps, row: int) -> Bools:
    values = heat.in_original(row)
    if heat.maps[row].max() == heat.maps[row].min():
        return np.zeros(values.shape, dtype=np.bool_)
    low, high = values.min(), values.max()
    return np.asarray(values > low + (high - low) * 180 / 255)


def _largest(found: Components, size: Ints) -> Components:
    """Keep the largest component of each mask, of equals the first in reading order."""
    order = np.lexsort((-size, found.mask))
    keep = order[np.flatnonzero(np.diff(found.mask[order], prepend=-1))]
    return Components(found.mask[keep], found.boxes[keep], found.area[keep])


@dataclass(frozen=True)
class Protocol:
    """A pinned rule; `inclusive` counts an overlap equal to the threshold as found."""

    name: str
    rule: str
    score: Callable[[HeatMaps, Annotated], Overlaps]
    inclusive: bool = False


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "chestx-ray8",
            "a box around every component above 180/255, the best of them counts",
            partial(_boxes_of, only_largest=False),
        ),
        Protocol("any", "as chestx-ray8", partial(_boxes_of, only_largest=False)),
        Protocol(
            "largest",
            "one box, around the component above 180/255 with most pixels",
            partial(_boxes_of, only_largest=True),
        ),
        Protocol(
            "mask-iou",
            "the pixels above 180/255 themselves against all true boxes of the image and class",
            _masks_of,
            inclusive=True,
        ),
        Protocol(
            "oracle-size",
            "a box of the true size around each local maximum, the best of them counts (oracle); "
            "beside it the one around the highest maximum (fair)",
            _oracle_size,
        ),
        Protocol(
            "legacy-kth",
            "the public evaluator of paper 003 with its errors: an image's last box stands for "
            "all of its boxes, and both overlaps use wrong areas",
            _legacy_kth,
            inclusive=True,
        ),
    )
}
