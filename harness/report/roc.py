"""ROC curves at fixed false-positive rates, with bands over patients.

At each rate the band is the central 95 % of the sensitivities (true-positive rates) that resamples
of whole patients give, as the intervals of AUROC are: a band is pointwise, not of the whole curve.
What is drawn is aggregated over images: no score, threshold or name leaves the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.files import write_npz
from harness.home import home
from harness.metrics.auroc import auroc
from harness.metrics.bootstrap import BLOCK, Runs, patient_counts
from harness.metrics.evaluated import RESAMPLES, Evaluated
from harness.metrics.ranking import Floats, rank
from harness.results.rescore import stored

RATES = np.linspace(0, 1, 51) ** 2
"""False-positive rates of every curve: close together where curves are steep."""

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Curves:
    """Sensitivities (C, 51) at `RATES` and their 95 % limits, NaN for undefined classes."""

    classes: list[str]
    curve: Floats
    low: Floats
    high: Floats


def curves_of(folder: Path) -> Curves:
    """Return the curves of a record, from the cache where its predictions are unchanged.

    Raises:
        RecordError: its predictions are not there, or do not give the AUROC of the record.
    """
    record, evaluated = stored(folder)
    if evaluated.scores is None or evaluated.targets is None:
        raise RecordError("it has no image-level scores, so there is no ROC curve to draw")
    _same_numbers(record, evaluated)
    resamples = record.get("resamples", RESAMPLES)
    cache = home() / "curves" / f"{record['scores']['sha256'][:32]}-{resamples}.npz"
    if cache.exists():
        with np.load(cache, allow_pickle=False) as kept:
            return Curves(evaluated.classes.tolist(), kept["curve"], kept["low"], kept["high"])
    found = curves(evaluated, resamples)
    write_npz(cache, {"curve": found.curve, "low": found.low, "high": found.high})
    return found


def _same_numbers(record: dict[str, Any], evaluated: Evaluated) -> None:
    said = record["metrics"].get("auroc", {}).get("classes", {})
    values = auroc(evaluated.need("scores"), evaluated.need("targets"))
    for name, value in zip(evaluated.classes.tolist(), values.tolist(), strict=True):
        cell = said.get(name, {}).get("value")
        if np.isfinite(value) != (cell is not None) or abs(value - (cell or value)) > 1e-9:
            raise RecordError(
                f"its stored predictions do not give its AUROC of {name}; score again"
            )


def curves(evaluated: Evaluated, resamples: int = RESAMPLES, seed: int = 0) -> Curves:
    """Return the curve and the band of each class of stored predictions."""
    scores, targets = evaluated.need("scores"), evaluated.need("targets")
    names, patient = np.unique(evaluated.patients, return_inverse=True)
    columns = range(scores.shape[1])
    runs = [Runs.of(rank(scores[:, c], targets[:, c]), patient, len(names)) for c in columns]
    once = np.ones((len(names), 1), dtype=np.int32)
    curve = np.stack([sensitivities(run, once)[:, 0] for run in runs])
    draws = np.empty((len(runs), len(RATES), resamples), dtype=np.float32)
    for start in range(0, resamples, BLOCK):
        chosen = range(start, min(start + BLOCK, resamples))
        drawn = patient_counts(len(names), seed, chosen)
        for c, run in enumerate(runs):
            draws[c, :, chosen.start : chosen.stop] = sensitivities(run, drawn)
    low, high = zip(*[_limits(draw) for draw in draws], strict=True)
    return Curves(evaluated.classes.tolist(), curve, np.stack(low), np.stack(high))


def _limits(draws: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the central 95 % of draws (51, B) at each rate; undefined resamples are left out."""
    defined = draws[:, ~np.isnan(draws[0])]
    if not defined.shape[1]:
        return np.full(len(draws), np.nan), np.full(len(draws), np.nan)
    low, high = np.quantile(defined, [0.025, 0.975], axis=1)
    return low, high


def sensitivities(runs: Runs, drawn: Counts) -> Floats:
    """Give the sensitivity at each of `RATES` (51, B) under patient counts (patients, B).

    From the highest score down, a run adds its positives, then its negatives; in a tied run both
    grow together, which is the diagonal of the ROC curve there. NaN where an outcome is missing.
    """
    positive = (runs.positive @ drawn)[::-1]
    negative = (runs.negative @ drawn)[::-1]
    found = np.full((len(RATES), drawn.shape[1]), np.nan)
    if not len(positive):
        return found
    tied = np.zeros(len(positive), dtype=np.bool_)
    tied[len(positive) - 1 - runs.tied] = True
    true, false = np.cumsum(positive, axis=0), np.cumsum(negative, axis=0)
    for b in np.flatnonzero((true[-1] > 0) & (false[-1] > 0)):
        wanted = RATES * false[-1, b]
        run = np.searchsorted(false[:, b], wanted, side="right").clip(max=len(false) - 1)
        width = negative[run, b]
        before = true[run, b] - positive[run, b]
        share = (wanted - (false[run, b] - width)) / np.maximum(width, 1)
        reached = before + positive[run, b] * np.where(tied[run], share.clip(0, 1), 1)
        found[:, b] = np.where(wanted < false[-1, b], reached, true[-1, b]) / true[-1, b]
    return found
