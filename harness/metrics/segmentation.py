"""Overlap and boundary distance of organ masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.errors import RecordError
from harness.metrics.auroc import macro
from harness.metrics.ranking import Bools, Floats


def dice(predicted: NDArray[Any], truth: NDArray[Any]) -> Floats:
    """Give 2 |A and B| / (|A| + |B|) of masks (..., h, w); NaN where both are empty."""
    shared, either, both = _areas(predicted, truth)
    return _share(2 * shared, either + both)


def iou(predicted: NDArray[Any], truth: NDArray[Any]) -> Floats:
    """Give |A and B| / |A or B| of masks (..., h, w); NaN where both are empty."""
    shared, either, both = _areas(predicted, truth)
    return _share(shared, either + both - shared)


def _areas(predicted: NDArray[Any], truth: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    a, b = _masks(predicted, truth)
    areas = [np.count_nonzero(mask, axis=(-2, -1)).astype(np.float64) for mask in (a & b, a, b)]
    return areas[0], areas[1], areas[2]


def _masks(predicted: NDArray[Any], truth: NDArray[Any]) -> tuple[Bools, Bools]:
    if predicted.shape != truth.shape or predicted.ndim < 2:
        raise RecordError(f"masks {predicted.shape} and {truth.shape} must both be (..., h, w)")
    for mask in (predicted, truth):
        if mask.dtype != np.bool_ and not np.isin(mask, (0, 1)).all():
            raise RecordError("masks must be boolean or 0 and 1: threshold probabilities first")
    return predicted.astype(np.bool_), truth.astype(np.bool_)


def _share(part: Floats, whole: Floats) -> Floats:
    out = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


@dataclass(frozen=True)
class Boundary:
    """Distances between boundaries in pixels (...,), NaN where a mask is empty."""

    mean: Floats  # over the pixels of both boundaries
    hausdorff95: Floats  # the larger of the two directed 95 % percentiles


def boundary_distance(predicted: NDArray[Any], truth: NDArray[Any]) -> Boundary:
    """Measure how far apart the boundaries of masks (..., h, w) lie.

    A boundary pixel is a mask pixel with a neighbour (of four) outside the mask or the image.
    """
    a, b = _masks(predicted, truth)
    pairs = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    distances = np.array([_distances(x, y) for x, y in pairs]).reshape(*a.shape[:-2], 2)
    return Boundary(distances[..., 0], distances[..., 1])


def _distances(a: Bools, b: Bools) -> tuple[float, float]:
    if not (a.any() and b.any()):
        return np.nan, np.nan
    window = ndimage.find_objects((a | b).astype(np.int8))[0]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a[window], b[window])]
    to_b = ndimage.distance_transform_edt(~edges[1])[edges[0]]
    to_a = ndimage.distance_transform_edt(~edges[0])[edges[1]]
    far = max(np.percentile(to_a, 95), np.percentile(to_b, 95))
    return float(np.concatenate([to_a, to_b]).mean()), float(far)


@dataclass(frozen=True)
class Organ:
    """Means over images for one organ, and the images left out of them."""

    dice: float
    iou: float
    boundary: float  # pixels
    hausdorff95: float  # pixels
    both_empty: int  # images without the organ in both masks: no overlap to speak of
    one_empty: int  # images where one mask is empty: dice 0, but no distance


def organ(predicted: NDArray[Any], truth: NDArray[Any]) -> Organ:
    """Score one organ over images, masks (N, h, w)."""
    overlap = dice(predicted, truth)
    boundary = boundary_distance(predicted, truth)
    absent = int(np.isnan(overlap).sum())
    return Organ(
        macro(overlap)[0],
        macro(iou(predicted, truth))[0],
        macro(boundary.mean)[0],
        macro(boundary.hausdorff95)[0],
        absent,
        int(np.isnan(boundary.mean).sum()) - absent,
    )
