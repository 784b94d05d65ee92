"""What a record says of heat maps against radiologists' boxes: every pinned protocol, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics.boxes import Annotated
from harness.metrics.evaluated import Evaluated
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.localization import BoxMeans, Localized, localize, means_over_boxes
from harness.metrics.protocols import PROTOCOLS
from harness.metrics.report import interval

IOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
IOBB = (0.1, 0.25, 0.5, 0.75, 0.9)
Measure = Literal["iou", "iobb"]


def localization_report(evaluated: Evaluated) -> Mapping[str, Any]:
    """Accuracy at each overlap, mean IoU and pointing game under every pinned protocol.

    {} where there are no boxes or no heat maps. "chestx-ray8" and "any" are one rule: it is
    computed once.
    """
    if evaluated.maps is None or evaluated.boxes is None or evaluated.detailed is None:
        return {}
    heat, annotated = of_boxes(evaluated)
    if len(annotated.boxes) == 0:
        return {}
    names = evaluated.classes.tolist()
    report = {
        name: _measures(localize(name, heat, annotated), names, evaluated.resamples)
        for name in PROTOCOLS
        if name != "any"
    }
    return {**report, "any": report["chestx-ray8"]}


def of_boxes(evaluated: Evaluated) -> tuple[HeatMaps, Annotated]:
    """Return, box by box, the heat map of its image and class, and the box."""
    detailed, classes = evaluated.need("detailed"), evaluated.need("box_classes")
    image, place = np.nonzero(classes[detailed] >= 0)
    rows, kinds = detailed[image], classes[detailed[image], place]
    height, width = evaluated.need("map_frame").tolist()
    heat = HeatMaps(
        evaluated.need("maps")[image, kinds].astype(np.float32),
        evaluated.need("to_original")[rows],
        (int(height), int(width)),
        evaluated.need("sizes")[rows],
    )
    boxes = evaluated.need("boxes")[rows, place]
    return heat, Annotated(boxes, kinds, evaluated.names[rows], evaluated.patients[rows])


def _measures(localized: Localized, names: Sequence[str], resamples: int) -> dict[str, Any]:
    """Return each measure as mean, micro mean and classes with their boxes and patients."""
    values: dict[str, NDArray[Any]] = {"mean_iou": localized.overlaps.iou}
    if localized.overlaps.fair_iou is not None:
        values["mean_iou_fair"] = localized.overlaps.fair_iou
    values["pointing"] = localized.pointing
    overlaps: tuple[tuple[Measure, tuple[float, ...]], ...] = (("iou", IOU), ("iobb", IOBB))
    for measure, thresholds in overlaps:
        for threshold in thresholds:
            values[f"{measure}>{threshold}"] = localized.found(threshold, measure)
    stacked = np.stack([got.astype(np.float64) for got in values.values()])
    means = means_over_boxes(stacked, localized.annotated, len(names), resamples)
    return {measure: _cells(its, names) for measure, its in zip(values, means, strict=True)}


def _cells(means: BoxMeans, names: Sequence[str]) -> dict[str, Any]:
    return {
        "mean": interval(means.macro),
        "micro": interval(means.micro),
        "classes": {
            name: {
                **interval(means.classes[c]),
                "boxes": int(means.boxes[c]),
                "patients": int(means.patients[c]),
            }
            for c, name in enumerate(names)
            if means.boxes[c]
        },
    }
