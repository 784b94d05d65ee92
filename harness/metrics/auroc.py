"""Areas under ROC and precision-recall curves, exact with ties, NaN where undefined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.ranking import Floats, Ints, check, rank


def auroc(
    scores: NDArray[Any],
    targets: NDArray[Any],
    weights: NDArray[Any] | None = None,
    names: Sequence[str] | None = None,
) -> Floats:
    """Give the area under the ROC curve of each class (C,), NaN where only one outcome is known.

    Scores (N, C) are finite; targets (N, C) are 1, 0 and NaN for unknown; weights (N,) are not
    negative. Ties count one half (mid-ranks). Raises RecordError that names the column.
    """
    check(scores, targets, names)
    image_weights = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    columns = range(scores.shape[1])
    return np.array([_area(scores[:, c], targets[:, c], image_weights) for c in columns])


def _area(scores: NDArray[Any], targets: NDArray[Any], weights: Floats) -> float:
    ranking = rank(scores, targets)
    weight = weights[ranking.images]
    positive = np.bincount(ranking.group, weight * ranking.positive)
    negative = np.bincount(ranking.group, weight * ~ranking.positive)
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return np.nan
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs)


def macro(values: NDArray[Any]) -> tuple[float, list[int]]:
    """Give the mean of the defined values (C,) and the indices of those left out (NaN)."""
    undefined = np.flatnonzero(np.isnan(values)).tolist()
    if len(undefined) == len(values):
        return float("nan"), undefined
    return float(np.nanmean(values)), undefined


@dataclass(frozen=True)
class RocCurve:
    """The corners of one ROC curve, from (0, 0) to (1, 1)."""

    false_positive_rate: Floats  # (T,)
    true_positive_rate: Floats  # (T,)
    thresholds: Floats  # (T,) an image is called positive at or above it; the first is infinite


def roc_curve(scores: NDArray[Any], targets: NDArray[Any]) -> RocCurve:
    """Give the ROC curve of one class, scores (N,) and targets (N,) of 1, 0 and NaN.

    Rates are NaN where only one outcome is known. Raises RecordError for scores not finite.
    """
    check(scores[:, None], targets[:, None])
    positive, negative, thresholds = _descending(scores, targets)
    return RocCurve(
        false_positive_rate=_share(np.concatenate([[0], np.cumsum(negative)])),
        true_positive_rate=_share(np.concatenate([[0], np.cumsum(positive)])),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


def average_precision(
    scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str] | None = None
) -> Floats:
    """Give the area under the precision-recall curve (C,) as sum of precision times recall steps.

    Arguments as for `auroc`; NaN where no positive is known.
    """
    check(scores, targets, names)
    columns = range(scores.shape[1])
    return np.array([_average_precision(scores[:, c], targets[:, c]) for c in columns])


def _average_precision(scores: NDArray[Any], targets: NDArray[Any]) -> float:
    positive, negative, _ = _descending(scores, targets)
    if positive.sum() == 0:
        return np.nan
    precision = np.cumsum(positive) / np.cumsum(positive + negative)
    return float(positive @ precision / positive.sum())


def _descending(scores: NDArray[Any], targets: NDArray[Any]) -> tuple[Ints, Ints, Floats]:
    """Count positives and negatives at each distinct score, highest first."""
    ranking = rank(scores, targets)
    groups = int(ranking.group[-1]) + 1 if len(ranking.group) else 0
    positive = np.bincount(ranking.group[ranking.positive], minlength=groups)
    negative = np.bincount(ranking.group[~ranking.positive], minlength=groups)
    first = np.searchsorted(ranking.group, np.arange(groups))
    thresholds = scores[ranking.images[first]].astype(np.float64)
    return positive[::-1], negative[::-1], thresholds[::-1]


def _share(counts: Ints) -> Floats:
    total = counts[-1]
    return counts / total if total else np.full(len(counts), np.nan)
