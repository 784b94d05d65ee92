"""Percentile bootstrap of AUROC over patients: every resample draws patients, never images.

Each class is sorted once. A resample is a count for each patient, so the sums that AUROC needs are
a sparse matrix (runs of the sorted images x patients) times those counts, for many resamples at a
time. All of it is integer arithmetic, and resample b of a seed always draws from its own Philox
stream: no result depends on the size of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from harness.metrics.auroc import auroc, macro
from harness.metrics.ranking import Bools, Floats, Ints, Ranking, check, rank

BLOCK = 64


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval, and the resamples in which it was undefined."""

    value: float
    low: float
    high: float
    undefined: int  # resamples left out
    resamples: int


@dataclass(frozen=True)
class Intervals:
    """Intervals of each class and of the mean over the classes that are defined."""

    classes: list[Interval]
    mean: Interval
    level: float


@dataclass(frozen=True)
class Counts:
    """What stands behind the AUROC of each class."""

    known: Ints  # (C,) images whose label is known
    positive: Ints  # (C,) images
    patients: Ints  # (C,) patients with a known label
    positive_patients: Ints  # (C,) patients with a positive image


def counts(targets: NDArray[Any], patients: NDArray[Any]) -> Counts:
    """Count images and patients of each class; targets (N, C), patients (N,) of any type."""
    known, positive = ~np.isnan(targets), targets == 1

    def distinct(mask: Bools) -> Ints:
        return np.array([len(np.unique(patients[column])) for column in mask.T], dtype=np.int64)

    return Counts(known.sum(axis=0), positive.sum(axis=0), distinct(known), distinct(positive))


def intervals(
    scores: NDArray[Any],
    targets: NDArray[Any],
    patients: NDArray[Any],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Intervals:
    """Give AUROC with its patient bootstrap interval for each class and for their mean.

    Scores (N, C), targets (N, C) of 1, 0 and NaN, patients (N,). A class without positives or
    without negatives is NaN and no part of the mean. Raises RecordError for scores not finite.
    """
    values = auroc(scores, targets, names=names)
    draws = resampled_auroc(scores, targets, patients, resamples, seed)
    classes = [percentile(v, d, level) for v, d in zip(values, draws.T, strict=True)]
    defined = ~np.isnan(values)
    mean, _ = macro(values)
    return Intervals(classes, percentile(mean, mean_draws(draws, defined), level), level)


def mean_draws(draws: Floats, defined: Bools) -> Floats:
    """Average draws (B, C) over the classes that the data define.

    A resample that misses one of these classes is NaN: its mean would be another quantity.
    """
    if not defined.any():
        return np.full(len(draws), np.nan)
    return np.asarray(draws[:, defined].mean(axis=1))


def percentile(value: float, draws: Floats, level: float = 0.95) -> Interval:
    """Take the central `level` of the draws (B,), leaving out and counting those that are NaN."""
    defined = draws[~np.isnan(draws)]
    low, high = np.nan, np.nan
    if len(defined):
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    left_out = len(draws) - len(defined)
    return Interval(float(value), float(low), float(high), left_out, len(draws))


def resampled_auroc(
    scores: NDArray[Any],
    targets: NDArray[Any],
    patients: NDArray[Any],
    resamples: int = 1000,
    seed: int = 0,
    block: int = BLOCK,
) -> Floats:
    """Give the AUROC of each class in each resample of patients (B, C), NaN where undefined.

    Two calls with equal patients, `resamples` and `seed` draw the same patients: their results
    are joint, so differences between models are paired.
    """
    check(scores, targets)
    names, patient = np.unique(patients, return_inverse=True)
    classes = range(scores.shape[1])
    runs = [Runs.of(rank(scores[:, c], targets[:, c]), patient, len(names)) for c in classes]
    draws = np.empty((resamples, len(runs)))
    for start in range(0, resamples, block):
        chosen = range(start, min(start + block, resamples))
        drawn = patient_counts(len(names), seed, chosen)
        for c, run in enumerate(runs):
            draws[chosen.start : chosen.stop, c] = run.auroc(drawn)
    return draws


def patient_counts(patients: int, seed: int, resamples: range) -> NDArray[np.int32]:
    """Count how often each patient is drawn (patients, B); resample b depends on (seed, b) only.

    One patient alone says nothing of how patients differ: it is never drawn, so that nothing has an
    interval of width 0.
    """
    drawn = np.zeros((patients, len(resamples)), dtype=np.int32)
    if patients < 2:
        return drawn
    for column, resample in enumerate(resamples):
        raw = np.random.Philox(key=[seed, resample]).random_raw(patients)
        chosen = (raw >> np.uint64(32)) * np.uint64(patients) >> np.uint64(32)
        drawn[:, column] = np.bincount(chosen.astype(np.int64), minlength=patients)
    return drawn


@dataclass(frozen=True)
class Runs:
    """One class, its sorted images cut into K runs: some negatives, then some positives.

    A tie group with both is a run of its own, marked as tied.
    """

    positive: sparse.csr_array  # (K, patients) images of a patient in a run
    negative: sparse.csr_array  # (K, patients)
    tied: Ints  # indices of the tied runs

    @classmethod
    def of(cls, ranking: Ranking, patient: Ints, patients: int) -> "Runs":
        """Cut a ranking into runs; patient (N,) is the number of each image's patient."""
        run, tied = _cut(ranking)
        owner = patient[ranking.images]
        shape = (int(run[-1]) + 1 if len(run) else 0, patients)

        def count(chosen: Bools) -> sparse.csr_array:
            ones = np.ones(np.count_nonzero(chosen), dtype=np.int32)
            return sparse.coo_array((ones, (run[chosen], owner[chosen])), shape).tocsr()

        return cls(count(ranking.positive), count(~ranking.positive), tied)

    def auroc(self, drawn: NDArray[np.int32]) -> Floats:
        """Give the AUROC (B,) under the patient counts (patients, B), NaN where undefined."""
        positive, negative = self.positive @ drawn, self.negative @ drawn
        twice_below = 2 * np.cumsum(negative, axis=0, dtype=np.int32)
        if not len(twice_below):
            return np.full(drawn.shape[1], np.nan)
        pairs = positive.sum(axis=0) * twice_below[-1].astype(np.float64)
        twice_below[self.tied] -= negative[self.tied]
        won = np.einsum("kb,kb->b", positive, twice_below, dtype=np.float64)
        area = np.full(len(won), np.nan)
        np.divide(won, pairs, out=area, where=pairs > 0)
        return area


def _cut(ranking: Ranking) -> tuple[Ints, Ints]:
    """Give the run of each sorted image (n,) and the runs that are ties of both outcomes."""
    if not len(ranking.group):
        return ranking.group, ranking.group
    size = np.bincount(ranking.group)
    positives = np.bincount(ranking.group, ranking.positive)
    mixed = (positives > 0) & (positives < size)
    pure_negative = positives == 0
    after = np.concatenate([[True], mixed[:-1] | ~pure_negative[:-1] & pure_negative[1:]])
    run = np.cumsum(after | mixed) - 1
    return run[ranking.group], run[mixed]
