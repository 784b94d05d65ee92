"""What a model says of one image, put so that a person or a program can read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.samples import LabelSpace
from harness.engine.evaluate import Predictions
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.protocols import boxes_above

Array = npt.NDArray[Any]
Box = list[float]
PROTOCOL = "chestx-ray8"  # of the boxes around a heat map's peaks


@dataclass(frozen=True)
class Finding:
    """One of the highest scores; boxes x1, y1, x2, y2 in pixels of the image file."""

    finding: str
    score: float
    boxes: list[Box]
    region: str | None = None


@dataclass(frozen=True)
class Region:
    """One region of a region model: its box, None where it was not found, and its scores."""

    region: str
    box: Box | None
    scores: dict[str, float]


@dataclass(frozen=True)
class Reading:
    """All scores, the highest of them with boxes, and the heat map (H, W) of the first."""

    scores: dict[str, float]
    regions: list[Region]
    findings: list[Finding]
    heat: Array | None


def read(
    said: Predictions, row: int, size: tuple[int, int], space: LabelSpace, top: int
) -> Reading:
    """Return what was said of the image at a row, whose height and width are ``size``.

    ``said`` holds a heat map of every row, or none.
    """
    regions = _regions(said, row, space)
    if said.scores is None:
        return Reading({}, regions, _of_regions(regions, top), None)
    scores = said.scores[row]
    best = np.argsort(-scores, kind="stable")[:top]
    heat = _heat_maps(said, row, best, size)
    boxes = _boxes(heat) if heat is not None else [[] for _ in best]
    findings = [
        Finding(space.classes[c], float(scores[c]), found)
        for c, found in zip(best, boxes, strict=True)
    ]
    return Reading(
        dict(zip(space.classes, scores.tolist(), strict=True)),
        regions,
        findings + _of_regions(regions, top),
        heat.in_original(0) if heat is not None else None,
    )


def _heat_maps(
    said: Predictions, row: int, classes: Array, size: tuple[int, int]
) -> HeatMaps | None:
    maps = said.heavy.get("maps")
    if maps is None or said.map_frame is None:
        return None
    count = len(classes)
    return HeatMaps(
        maps[row, classes].astype(np.float32),
        np.repeat(said.arrays["to_original"][row][None], count, axis=0),
        said.map_frame,
        np.array([size] * count, dtype=np.int64),
    )


def _boxes(heat: HeatMaps) -> list[list[Box]]:
    found: list[list[Box]] = [[] for _ in heat.maps]
    for rows, parts in boxes_above(heat):
        for place, box in zip(parts.mask, parts.boxes, strict=True):
            found[rows[place]].append([float(side) for side in box])
    return found


def _regions(said: Predictions, row: int, space: LabelSpace) -> list[Region]:
    if "region_scores" not in said.arrays:
        return []
    present = said.arrays["region_present"][row].astype(bool)
    boxes, scores = said.arrays["region_boxes"][row], said.arrays["region_scores"][row]
    return [
        Region(
            name,
            [float(side) for side in boxes[r]] if present[r] else None,
            dict(zip(space.region_classes, scores[r].tolist(), strict=True)),
        )
        for r, name in enumerate(space.regions)
    ]


def _of_regions(regions: list[Region], top: int) -> list[Finding]:
    """Return the highest scores in the regions that were found."""
    every = [
        Finding(name, score, [region.box], region.region)
        for region in regions
        if region.box is not None
        for name, score in region.scores.items()
    ]
    return sorted(every, key=lambda finding: -finding.score)[:top]
