"""Many comparisons at once: classes against a named reference, and all rows against the best.

Both take the joint distribution of the differences from the resamples of patients, to which the
spread over seeds is added as Student noise with the covariance of the seeds over classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import RecordError
from harness.metrics.clustered import clustered_covariance
from harness.metrics.compare import LEVEL, Difference, Row, check_joint, differences, ratio
from harness.metrics.ranking import Floats

SEED_NOISE = 1 << 32  # beyond every resample number: these streams draw no patients


@dataclass(frozen=True)
class ClassDifference:
    """One class of one row against the reference, corrected over the whole family."""

    row: str
    column: int
    difference: Difference  # with its uncorrected p
    holm: float  # NaN where untested
    max_t: float


@dataclass(frozen=True)
class Comparison:
    """Two rows: the mean over classes is the test, the classes are secondary."""

    mean: Difference
    classes: list[ClassDifference]
    undefined: list[int]  # classes without positives or without negatives


def compare(first: Row, second: Row, paired: bool = False, seed: int = 0) -> Comparison:
    """Compare first with second; `paired` rows share seeds or stages."""
    classes = family([first], second, paired, seed)
    (mean,) = differences(first.mean_over_classes(), second.mean_over_classes(), paired)
    return Comparison(mean, classes, np.flatnonzero(np.isnan(first.auroc)).tolist())


def family(
    rows: Sequence[Row], reference: Row, paired: bool = False, seed: int = 0
) -> list[ClassDifference]:
    """Test every class of every row against the reference, with Holm's and max-T p values.

    What cannot be tested (one seed, undefined class) is NaN and no part of the family.
    """
    found = [differences(row, reference, paired) for row in rows]
    p = np.array([[d.p for d in line] for line in found])
    stepped = holm(p.ravel()).reshape(p.shape)
    joint = _max_t(rows, reference, found, paired, seed)
    return [
        ClassDifference(row.name, c, found[r][c], float(stepped[r, c]), float(joint[r, c]))
        for r, row in enumerate(rows)
        for c in range(p.shape[1])
    ]


def holm(p: Floats) -> Floats:
    """Correct p values (K,) by Holm's step-down rule; those that are NaN are no part of it."""
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _max_t(
    rows: Sequence[Row],
    reference: Row,
    found: list[list[Difference]],
    paired: bool,
    seed: int,
) -> Floats:
    """Give the share of resamples (R, C) whose largest |t| of the family reaches that of a test."""
    value = np.array([[d.value for d in line] for line in found])
    error = np.array([[d.error for d in line] for line in found])
    base, *strays = deviations([reference, *rows], paired, seed)
    drawn = np.stack([np.abs(ratio(s - base, e)) for s, e in zip(strays, error, strict=True)])
    largest = np.max(drawn, axis=(0, 2), initial=0, where=~np.isnan(drawn))
    size = np.abs(ratio(value, error))
    reached = (largest >= size[..., None]).sum(axis=-1)
    return np.where(np.isnan(size), np.nan, (1 + reached) / (1 + len(largest)))


@dataclass(frozen=True)
class Best:
    """The rows that cannot be told from the best one."""

    rows: list[str]
    untested: list[str]  # one seed: no seed variance, no test


def best(
    rows: Sequence[Row], column: int | None = None, paired: bool = False, seed: int = 0
) -> Best:
    """Name the rows not distinguishable from the best on the mean, or on one class.

    Hsu's comparison with the best at 95 %: a row is left out when some other row is ahead of it by
    more than the largest lead that any row takes on it by chance; which row leads is decided
    inside each resample.
    """
    tested = [row for row in rows if len(row.seeds) > 1]
    untested = [row.name for row in rows if len(row.seeds) < 2]
    ends = [row.mean_over_classes() if column is None else row.one_class(column) for row in tested]
    if not ends or np.isnan(ends[0].draws).all():
        return Best([], untested)
    error = pair_errors(ends, paired)
    value = np.concatenate([end.auroc for end in ends])
    strays = np.concatenate(deviations(ends, paired, seed), axis=1).T
    strays = strays[:, ~np.isnan(strays).any(axis=0)]
    kept = []
    for i, row in enumerate(tested):
        chance = np.quantile(ratio(strays - strays[i], error[i][:, None]).max(axis=0), LEVEL)
        if ratio(value - value[i], error[i]).max() <= chance:
            kept.append(row.name)
    return Best(kept, untested)


def pair_errors(ends: Sequence[Row], paired: bool) -> Floats:
    """Give the standard errors (R, R) of the differences of rows with one column."""
    for end in ends[1:]:
        check_joint(end.name, ends[0].patients, ends[0].draws, end.patients, end.draws)
    covariance = clustered_covariance(np.concatenate([end.influence for end in ends], axis=1))
    if paired:
        covariance = covariance + _shared_seeds(ends)
    else:
        covariance = covariance + np.diag([end.seeds.var(ddof=1) / len(end.seeds) for end in ends])
    own = np.diag(covariance)
    return np.sqrt(np.maximum(own[:, None] + own - 2 * covariance, 0))


def _shared_seeds(ends: Sequence[Row]) -> Floats:
    if len({len(end.seeds) for end in ends}) > 1:
        raise RecordError("paired rows need the same seeds; their numbers of seeds differ")
    seeds = np.concatenate([end.seeds for end in ends], axis=1)
    return np.atleast_2d(np.cov(seeds, rowvar=False)) / len(seeds)


def deviations(rows: Sequence[Row], paired: bool, seed: int) -> list[Floats]:
    """Give how far the AUROC of each row strays (B, C) when patients and seeds are drawn again."""
    return [
        row.draws - row.auroc + seed_noise(row, 0 if paired else number, seed)
        for number, row in enumerate(rows)
    ]


def seed_noise(row: Row, number: int, seed: int) -> Floats:
    """Draw Student noise (B, C) with S - 1 degrees of freedom and the covariance of a seed mean.

    Rows of the same `number` share their draws, so that paired seeds cancel in a difference.
    """
    resamples, seeds = len(row.draws), len(row.seeds)
    if seeds < 2:
        return np.zeros_like(row.draws)
    random = np.random.Generator(np.random.Philox(key=[seed, SEED_NOISE + number]))
    mixed = random.standard_normal((resamples, seeds)) @ (row.seeds - row.auroc)
    scale = np.sqrt(random.chisquare(seeds - 1, (resamples, 1)) / (seeds - 1))
    return np.asarray(mixed / np.sqrt(seeds * (seeds - 1)) / scale)
