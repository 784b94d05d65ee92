"""Ties between two measured rows: differences of AUROC with patients and seeds in the error.

A row is one method trained with S seeds. Its error has two sources, the patients in the test split
(shared by all rows, so that differences are paired) and the seeds of training. The primary
endpoint is the mean over classes; classes are secondary and corrected as one family.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.errors import RecordError
from harness.metrics.bootstrap import mean_draws, resampled_auroc
from harness.metrics.clustered import clustered_variance, components, patient_sums
from harness.metrics.ranking import Floats
from harness.metrics.regions import label_means

ONE_SEED = "no seed variance: no test"
POWER = 0.8
LEVEL = 0.95
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Run:
    """All that a comparison needs to know of the predictions of one seed."""

    auroc: Floats  # (C,)
    patients: NDArray[Any]  # (G,) distinct, sorted
    influence: Floats  # (G, C) psi summed over the images of a patient
    draws: Floats  # (B, C) AUROC in the resamples of patients


def measure(
    scores: NDArray[Any],
    targets: NDArray[Any],
    patients: NDArray[Any],
    resamples: int = 1000,
    seed: int = 0,
) -> Run:
    """Reduce scores (N, C), targets (N, C) and patients (N,) to what comparisons need.

    Only runs measured with equal `resamples` and `seed` can be compared: resample b then draws the
    same patients for all of them.
    """
    parts = components(scores, targets)
    names, sums = patient_sums(parts.psi, patients)
    draws = resampled_auroc(scores, targets, patients, resamples, seed)
    return Run(parts.auroc, names, sums, draws)


def measure_regions(
    scores: NDArray[Any],
    targets: NDArray[Any],
    patients: NDArray[Any],
    resamples: int = 1000,
    seed: int = 0,
) -> Run:
    """Reduce region scores (N, R, C) and targets (N, R, C) to labels: localized AUROC.

    A label's AUROC is the mean over the regions in which it is defined, so are its influence and
    its draws; a resample in which one of these regions is undefined averages over the others.
    """
    images, regions, count = scores.shape
    flat = (images, regions * count)
    run = measure(scores.reshape(flat), targets.reshape(flat), patients, resamples, seed)

    def by_label(values: Floats) -> Floats:
        return label_means(values.reshape(-1, regions, count))

    return Run(
        by_label(run.auroc)[0],
        run.patients,
        by_label(run.influence),
        by_label(run.draws),
    )


@dataclass(frozen=True)
class Row:
    """A method trained with S seeds and scored on the same test split."""

    name: str
    seeds: Floats  # (S, C) AUROC of each seed
    patients: NDArray[Any]  # (G,)
    influence: Floats  # (G, C) averaged over seeds
    draws: Floats  # (B, C) averaged over seeds

    @property
    def auroc(self) -> Floats:
        """AUROC of each class, averaged over seeds (C,)."""
        return np.asarray(self.seeds.mean(axis=0))

    def mean_over_classes(self) -> "Row":
        """Give the same row with one column, the mean over the classes that are defined."""
        defined = ~np.isnan(self.auroc)
        return Row(
            self.name,
            mean_draws(self.seeds, defined)[:, None],
            self.patients,
            mean_draws(self.influence, defined)[:, None],
            mean_draws(self.draws, defined)[:, None],
        )

    def one_class(self, column: int) -> "Row":
        """Give the same row with one class only."""
        kept = [column]
        return Row(
            self.name,
            self.seeds[:, kept],
            self.patients,
            self.influence[:, kept],
            self.draws[:, kept],
        )


def row(name: str, runs: Sequence[Run]) -> Row:
    """Average the runs of one method over its seeds."""
    for other in runs[1:]:
        check_joint(name, runs[0].patients, runs[0].draws, other.patients, other.draws)
    return Row(
        name,
        np.stack([run.auroc for run in runs]),
        runs[0].patients,
        np.mean([run.influence for run in runs], axis=0),
        np.mean([run.draws for run in runs], axis=0),
    )


def check_joint(
    name: str, patients: NDArray[Any], draws: Floats, others: NDArray[Any], other_draws: Floats
) -> None:
    """Refuse what was not measured on the same patients, labels and resamples."""
    if not np.array_equal(patients, others):
        raise RecordError(f"{name}: scored on other patients; compare rows of one test split only")
    if not np.array_equal(np.isnan(draws), np.isnan(other_draws)):
        raise RecordError(
            f"{name}: other labels, classes or resamples; measure both rows in the same way"
        )


@dataclass(frozen=True)
class Difference:
    """First row minus second row. Untested (one seed, undefined class): NaN and a note."""

    value: float
    low: float
    high: float
    p: float
    df: float  # Satterthwaite, of the seed part; infinite without seed spread
    patient_error: float  # standard error from the patients alone
    seed_error: float  # standard error from the seeds alone
    detectable: float  # the smallest difference found with 80 % power
    more_seeds: int | None  # for each row, to find this difference; None: patients are too few
    note: str = ""

    @property
    def error(self) -> float:
        """Standard error from patients and seeds; NaN where untested."""
        return float(np.hypot(self.patient_error, self.seed_error))


@dataclass(frozen=True)
class Spread:
    """The two sources of error of K differences."""

    patients: Floats  # (K,) clustered variance
    seeds: list[tuple[Floats, int]]  # variance over seeds (K,) and number of seeds, per source

    def errors(self, more: int = 0) -> tuple[Floats, Floats]:
        """Give standard errors and degrees of freedom (K,), with `more` seeds in each source.

        SE^2 = V_patients + sum s^2 / S; the patients' variance has no degrees of freedom to lose.
        """
        parts = [(variance / (n + more), n + more) for variance, n in self.seeds]
        total = self.patients + sum(part for part, _ in parts)
        lost = sum((part**2 / (n - 1) for part, n in parts), np.zeros_like(total))
        df = np.full_like(total, np.inf)
        np.divide(total**2, lost, out=df, where=lost > 0)
        return np.sqrt(total), df

    def detectable(self, more: int = 0) -> Floats:
        """Give the smallest differences (K,) that are found with 80 % power."""
        error, df = self.errors(more)
        quantiles = stats.t.ppf((1 + LEVEL) / 2, df) + stats.t.ppf(POWER, df)
        return np.asarray(quantiles * error)


def spread(first: Row, second: Row, paired: bool = False) -> Spread:
    """Give the sources of error of first minus second; `paired` rows share seeds or stages."""
    check_joint(second.name, first.patients, first.draws, second.patients, second.draws)
    patients = clustered_variance(first.influence - second.influence)
    if not paired:
        both = [(r.seeds.var(axis=0, ddof=1), len(r.seeds)) for r in (first, second)]
        return Spread(patients, both)
    if first.seeds.shape != second.seeds.shape:
        raise RecordError(
            f"{first.name} has {len(first.seeds)} seeds and {second.name} {len(second.seeds)}: "
            "paired rows need the same seeds"
        )
    shared = (first.seeds - second.seeds).var(axis=0, ddof=1)
    return Spread(patients, [(shared, len(first.seeds))])


def differences(first: Row, second: Row, paired: bool = False) -> list[Difference]:
    """Compare two rows column by column, uncorrected; `paired` rows share seeds or stages."""
    value = first.auroc - second.auroc
    if min(len(first.seeds), len(second.seeds)) < 2:
        check_joint(second.name, first.patients, first.draws, second.patients, second.draws)
        error = np.sqrt(clustered_variance(first.influence - second.influence))
        return [_untested(v, e, ONE_SEED) for v, e in zip(value, error, strict=True)]
    sources = spread(first, second, paired)
    error, df = sources.errors()
    margin = np.asarray(stats.t.ppf((1 + LEVEL) / 2, df) * error)
    p = np.asarray(2 * stats.t.sf(np.abs(ratio(value, error)), df))
    patient_error = np.sqrt(sources.patients)
    seed_error = np.sqrt(np.maximum(error**2 - sources.patients, 0))
    detectable, more = sources.detectable(), more_seeds(sources, value)
    return [
        _untested(np.nan, np.nan, "undefined: one outcome is absent")
        if np.isnan(value[k])
        else Difference(
            float(value[k]),
            float(value[k] - margin[k]),
            float(value[k] + margin[k]),
            float(p[k]),
            float(df[k]),
            float(patient_error[k]),
            float(seed_error[k]),
            float(detectable[k]),
            more[k],
        )
        for k in range(len(value))
    ]


def _untested(value: float, patient_error: float, note: str) -> Difference:
    nan = float("nan")
    return Difference(
        float(value), nan, nan, nan, nan, float(patient_error), nan, nan, None, note=note
    )


def ratio(value: NDArray[Any], error: NDArray[Any]) -> Floats:
    """Give value / error, where equal rows (0 / 0) give 0 and any other value / 0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.asarray(value / error)
    equal = error == 0
    return np.where(equal & (value == 0), 0.0, out) if equal.any() else out


def more_seeds(sources: Spread, value: Floats) -> list[int | None]:
    """Say how many more seeds each row needs to find the differences (K,) with 80 % power.

    None where 1,000 more would not do: the patients alone leave too much error.
    """
    tried = range(MOST_SEEDS + 1)

    def needed(k: int) -> int | None:
        more = bisect_left(
            tried, True, key=lambda m: bool(sources.detectable(m)[k] <= abs(value[k]))
        )
        return more if more in tried else None

    return [needed(k) for k in range(len(value))]
