"""How well heat maps find what radiologists drew, box by box, with intervals over patients.

The class of a box is given: its map is scored whatever the classifier says of the image. What is
undefined (a class without boxes) is NaN and left out of means.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError, SettingError
from harness.metrics.bootstrap import BLOCK, Interval, mean_draws, patient_counts, percentile
from harness.metrics.boxes import Annotated
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.protocols import PROTOCOLS, Overlaps, Protocol
from harness.metrics.ranking import Bools, Floats, Ints


@dataclass(frozen=True)
class Localized:
    """The annotated boxes as a protocol counts them, and what each of them got."""

    protocol: Protocol
    annotated: Annotated
    overlaps: Overlaps
    pointing: Bools  # (n,) the highest cell's centre lies in the true box

    def found(self, threshold: float, measure: Literal["iou", "iobb"] = "iou") -> Bools:
        """Say which boxes (n,) are found at an overlap threshold."""
        overlap = self.overlaps.iou if measure == "iou" else self.overlaps.iobb
        if self.protocol.inclusive:
            return np.asarray(overlap >= threshold)
        return np.asarray(overlap > threshold)


def localize(name: str, heat: HeatMaps, annotated: Annotated) -> Localized:
    """Score the map of each annotated box (n of both) under a protocol named in PROTOCOLS."""
    if name not in PROTOCOLS:
        raise SettingError(f"no localization protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    if len(heat.maps) != len(annotated.boxes):
        raise RecordError(f"{len(heat.maps)} heat maps for {len(annotated.boxes)} annotated boxes")
    protocol = PROTOCOLS[name]
    if name == "legacy-kth":
        last = last_of_image(annotated.images)
        heat, annotated = heat.take(last), annotated.take(last)
    overlaps, pointing = protocol.score(heat, annotated), _pointing(heat, annotated)
    if name == "mask-iou":  # boxes of one finding are one
        first, finding = annotated.findings()
        overlaps = overlaps.take(first)
        pointing = np.bincount(finding, pointing) > 0
        annotated = annotated.take(first)
    return Localized(protocol, annotated, overlaps, pointing)


def last_of_image(images: NDArray[np.str_]) -> Ints:
    """Give, for each row (n,), the last row of the same image: what a dictionary would keep."""
    last = {image: row for row, image in enumerate(images.tolist())}
    return np.array([last[image] for image in images.tolist()], dtype=np.int64)


def _pointing(heat: HeatMaps, annotated: Annotated) -> Bools:
    """Say whether the highest cell, the first of equals, has its centre in the true box (n,)."""
    hit = np.zeros(len(heat.maps), dtype=np.bool_)
    for row, heat_map in enumerate(heat.maps):
        cell = np.array([np.unravel_index(heat_map.argmax(), heat_map.shape)])
        centre = heat.centres(row, cell)[0]
        truth = annotated.boxes[row]
        inside = (truth[:2] <= centre) & (centre < truth[2:])
        hit[row] = inside.all() and heat_map.max() > heat_map.min()
    return hit


@dataclass(frozen=True)
class BoxMeans:
    """A mean over boxes: of each class, of the classes, and over all boxes alike."""

    boxes: Ints  # (C,) the denominators
    patients: Ints  # (C,) that these boxes are of
    classes: list[Interval]
    macro: Interval  # mean over the classes that have boxes
    micro: Interval  # mean over boxes


def box_means(
    values: NDArray[np.float64] | Bools, annotated: Annotated, classes: int, resamples: int = 1000
) -> BoxMeans:
    """Average what boxes got (n,), with intervals from resamples of patients.

    Boxes found give the accuracy, `overlaps.iou` the mean IoU, `pointing` the pointing game.
    """
    return means_over_boxes(values[None], annotated, classes, resamples)[0]


def means_over_boxes(
    values: NDArray[Any], annotated: Annotated, classes: int, resamples: int = 1000
) -> list[BoxMeans]:
    """Average several measures (M, n) of the same boxes; patients are drawn once for all."""
    names, patient = np.unique(annotated.patients, return_inverse=True)
    got = np.zeros((len(values), classes, len(names)))
    boxes = np.zeros((classes, len(names)))
    for of_measure, its in zip(got, values, strict=True):
        np.add.at(of_measure, (annotated.classes, patient), its)
    np.add.at(boxes, (annotated.classes, patient), 1)
    value = _means(got.sum(axis=2, keepdims=True), boxes.sum(axis=1, keepdims=True))[..., 0]
    draws = np.empty((*value.shape, resamples))
    for start in range(0, resamples, BLOCK):
        chosen = range(start, min(start + BLOCK, resamples))
        drawn = patient_counts(len(names), 0, chosen).astype(np.float64)
        draws[..., chosen.start : chosen.stop] = _means(got @ drawn, boxes @ drawn)
    number = boxes.sum(axis=1).astype(np.int64), np.count_nonzero(boxes, axis=1)
    return [_box_means(*number, *each) for each in zip(value, draws, strict=True)]


def _box_means(boxes: Ints, patients: Ints, value: Floats, draws: Floats) -> BoxMeans:
    """Put one measure's means (C + 1,) and their draws (C + 1, B), all boxes last, together."""
    cells = [percentile(v, drawn) for v, drawn in zip(value, draws, strict=True)]
    defined = boxes > 0
    macro = mean_draws(value[None, :-1], defined)[0], mean_draws(draws[:-1].T, defined)
    return BoxMeans(boxes, patients, cells[:-1], percentile(*macro), cells[-1])


def _means(got: Floats, boxes: Floats) -> Floats:
    """Divide sums (M, C, B) by numbers of boxes (C, B): (M, C + 1, B), all boxes alike last."""
    every = np.concatenate([got, got.sum(axis=1, keepdims=True)], axis=1)
    number = np.concatenate([boxes, boxes.sum(axis=0, keepdims=True)])
    means = np.full(every.shape, np.nan)
    np.divide(every, number, out=means, where=number > 0)
    return means
