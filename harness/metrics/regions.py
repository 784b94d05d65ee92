"""Localized AUROC of AnaXNet (paper 001, table 3): one AUROC for each region and label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.metrics.auroc import auroc, macro
from harness.metrics.ranking import Floats, Ints


@dataclass(frozen=True)
class RegionAuroc:
    """AUROC of regions and labels, and their means over regions, then over labels."""

    pairs: Floats  # (R, C), NaN where the pair has one outcome only
    labels: Floats  # (C,) mean over the valid regions, NaN where there is none
    valid: Ints  # (C,) regions in that mean
    mean: float  # over the labels that have a valid region


def region_auroc(scores: NDArray[Any], labels: NDArray[Any]) -> RegionAuroc:
    """Score regions: scores (N, R, C) finite, labels (N, R, C) of 1, 0 and NaN for unknown."""
    if scores.ndim != 3 or scores.shape != labels.shape:
        raise RecordError(
            f"region scores {scores.shape} and labels {labels.shape} must both be "
            "(images, regions, labels)"
        )
    images, regions, classes = scores.shape
    flat = (images, regions * classes)
    names = [f"{label} of region {region}" for region in range(regions) for label in range(classes)]
    pairs = auroc(scores.reshape(flat), labels.reshape(flat), names=names)
    pairs = pairs.reshape(regions, classes)
    means = np.array([macro(column)[0] for column in pairs.T])
    return RegionAuroc(pairs, means, (~np.isnan(pairs)).sum(axis=0), macro(means)[0])


def label_means(pairs: Floats) -> Floats:
    """Average (B, R, C) over the regions in which a label is defined, NaN where it is in none."""
    known = ~np.isnan(pairs)
    counted = known.sum(axis=1)
    means = np.where(known, pairs, 0).sum(axis=1) / np.maximum(counted, 1)
    return np.where(counted > 0, means, np.nan)
