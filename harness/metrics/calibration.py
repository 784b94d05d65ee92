"""Do the probabilities mean what they say? Brier score, reliability and expected error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.metrics.ranking import Floats, Ints, check

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """One class in bins of equal width over [0, 1]; empty bins are NaN."""

    count: Ints  # (bins,) images
    predicted: Floats  # (bins,) mean probability
    observed: Floats  # (bins,) share of positives


def brier(
    probabilities: NDArray[Any], targets: NDArray[Any], names: Sequence[str] | None = None
) -> Floats:
    """Give the mean squared error of each class (C,) over known labels, NaN where none is.

    Probabilities (N, C) in [0, 1], targets (N, C) of 1, 0 and NaN.
    """
    _check(probabilities, targets, names)
    known = ~np.isnan(targets)
    squares = np.square(probabilities.astype(np.float64) - targets)
    total = np.sum(squares, axis=0, where=known)
    out = np.full(targets.shape[1], np.nan)
    np.divide(total, known.sum(axis=0), out=out, where=known.any(axis=0))
    return out


def reliability(probabilities: NDArray[Any], targets: NDArray[Any]) -> Reliability:
    """Compare mean probability with the share of positives, one class: (N,) and (N,)."""
    _check(probabilities[:, None], targets[:, None], None)
    known = ~np.isnan(targets)
    values = probabilities[known].astype(np.float64)
    place = np.minimum((values * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    predicted, observed = np.full(BINS, np.nan), np.full(BINS, np.nan)
    np.divide(np.bincount(place, values, BINS), count, out=predicted, where=count > 0)
    np.divide(np.bincount(place, targets[known], BINS), count, out=observed, where=count > 0)
    return Reliability(count, predicted, observed)


def expected_calibration_error(
    probabilities: NDArray[Any], targets: NDArray[Any], names: Sequence[str] | None = None
) -> Floats:
    """Give the mean gap between probability and share of positives (C,), NaN without labels."""
    _check(probabilities, targets, names)
    columns = range(targets.shape[1])
    return np.array([_gap(reliability(probabilities[:, c], targets[:, c])) for c in columns])


def _gap(curve: Reliability) -> float:
    filled = curve.count > 0
    if not filled.any():
        return np.nan
    gaps = np.abs(curve.predicted - curve.observed)[filled]
    return float(np.average(gaps, weights=curve.count[filled]))


def _check(probabilities: NDArray[Any], targets: NDArray[Any], names: Sequence[str] | None) -> None:
    check(probabilities, targets, names)
    outside = ((probabilities < 0) | (probabilities > 1)).any(axis=0)
    if outside.any():
        column = int(np.flatnonzero(outside)[0])
        name = names[column] if names is not None else str(column)
        raise RecordError(f"column {name} has scores outside [0, 1]: give probabilities")
