"""Overlap and boundary distance of organ masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.errors import RecordError
from harness.metrics.bootstrap import BLOCK, Interval, patient_counts, percentile
from harness.metrics.ranking import Bools, Floats

MEASURES = ("dice", "iou", "boundary", "hausdorff95")
"""What is measured of a mask; the last two are distances."""


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
    """Distances between boundaries (...,), NaN where a mask is empty."""

    mean: Floats  # over the pixels of both boundaries
    hausdorff95: Floats  # the larger of the two directed 95 % percentiles


def boundary_distance(
    predicted: NDArray[Any], truth: NDArray[Any], spacing: tuple[float, float] = (1.0, 1.0)
) -> Boundary:
    """Measure how far apart the boundaries of masks (..., h, w) lie.

    A boundary pixel is a mask pixel with a neighbour (of four) outside the mask or the image.
    `spacing` is the height and the width of a pixel.
    """
    a, b = _masks(predicted, truth)
    pairs = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    distances = np.array([_distances(x, y, spacing) for x, y in pairs]).reshape(*a.shape[:-2], 2)
    return Boundary(distances[..., 0], distances[..., 1])


def _distances(a: Bools, b: Bools, spacing: tuple[float, float]) -> tuple[float, float]:
    if not (a.any() and b.any()):
        return np.nan, np.nan
    window = ndimage.find_objects((a | b).astype(np.int8))[0]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a[window], b[window])]
    to_b = ndimage.distance_transform_edt(~edges[1], spacing)[edges[0]]
    to_a = ndimage.distance_transform_edt(~edges[0], spacing)[edges[1]]
    far = max(np.percentile(to_a, 95), np.percentile(to_b, 95))
    return float(np.concatenate([to_a, to_b]).mean()), float(far)


def overlaps(
    predicted: NDArray[Any], truth: NDArray[Any], spacing: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """Give the MEASURES (..., 4) of masks (..., h, w) whose pixels are `spacing` high and wide."""
    far = boundary_distance(predicted, truth, spacing)
    shares = dice(predicted, truth), iou(predicted, truth)
    return np.stack([*shares, far.mean, far.hausdorff95], axis=-1)


@dataclass(frozen=True)
class Organ:
    """Means over images for one organ, and the images left out of them."""

    means: dict[str, Interval]  # of each of MEASURES, over patients
    images: int
    both_empty: int  # images without the organ in both masks: no overlap to speak of
    one_empty: int  # images where one mask is empty: dice 0, but no distance


def organ_means(
    values: NDArray[Any], patients: NDArray[Any], resamples: int = 1000, seed: int = 0
) -> list[Organ]:
    """Average the MEASURES (N, M, 4) of each organ, with intervals from resamples of patients."""
    images, organs, measures = values.shape
    names, patient = np.unique(patients, return_inverse=True)
    flat = values.reshape(images, -1).astype(np.float64)
    known = np.zeros((flat.shape[1], len(names)))
    got = np.zeros_like(known)
    for column, of_images in enumerate(flat.T):
        defined = np.isfinite(of_images)
        np.add.at(known[column], patient[defined], 1)
        np.add.at(got[column], patient[defined], of_images[defined])
    draws = np.empty((flat.shape[1], resamples))
    for start in range(0, resamples, BLOCK):
        chosen = range(start, min(start + BLOCK, resamples))
        drawn = patient_counts(len(names), seed, chosen).astype(np.float64)
        draws[:, chosen.start : chosen.stop] = _share(got @ drawn, known @ drawn)
    means = _share(got.sum(axis=1), known.sum(axis=1))
    cells = [percentile(mean, drawn) for mean, drawn in zip(means, draws, strict=True)]
    found = []
    for m in range(organs):
        absent = int(np.isnan(values[:, m, 0]).sum())
        lost = int(np.isnan(values[:, m, 2]).sum()) - absent
        its = cells[m * measures : (m + 1) * measures]
        found.append(Organ(dict(zip(MEASURES, its, strict=True)), images, absent, lost))
    return found
