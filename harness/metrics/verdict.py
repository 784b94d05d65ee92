"""Does a measured row match the paper's? The rule was fixed before any result was seen.

The paper scored the same test images, so test sampling largely cancels and what differs is
training: the error of the difference is the spread over seeds, and the rounding of print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.metrics.ranking import Floats

Kind = Literal["match", "higher", "lower", "inconclusive", "not comparable", "not run"]

MEAN_AUROC = 0.010
CLASS_AUROC = 0.020
LOCALIZATION_ACCURACY = 0.05
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Pooled:
    """A standard deviation over seeds, pooled over rows of the same dataset and budget."""

    deviation: float  # NaN without degrees of freedom
    df: int


def pool(rows: Sequence[Sequence[float]]) -> Pooled:
    """Pool the spread over seeds of rows, each the values of its seeds."""
    df = sum(len(values) - 1 for values in rows)
    squares = sum(float(np.sum((np.asarray(row) - np.mean(row)) ** 2)) for row in rows)
    return Pooled(float(np.sqrt(squares / df)) if df else float("nan"), df)


@dataclass(frozen=True)
class Verdict:
    """The verdict, the difference measured - published, its margin, and why."""

    kind: Kind
    difference: float | None = None  # D
    margin: float | None = None  # h
    reason: str = ""


def verdict(
    measured: Sequence[float],
    published: float,
    digits: int,
    spread: Pooled,
    delta: float = MEAN_AUROC,
    not_comparable: str = "",
) -> Verdict:
    """Compare the values of S seeds with the recomputed mean of printed cells.

    `digits` are the printed decimals, `delta` the pinned tolerance, `not_comparable` the reason
    why the two rows may not be compared at all (split, policy, recipe, data, signature).
    D = A - p, h = t(df, 0.95) sqrt(s^2 (1 + 1 / S) + u^2 / 3).
    """
    if not len(measured):
        return Verdict("not run")
    difference = float(np.mean(measured)) - published
    if not_comparable:
        return Verdict("not comparable", difference, reason=not_comparable)
    if len(measured) < LEAST_SEEDS:
        reason = f"{len(measured)} of at least {LEAST_SEEDS} seeds"
        return Verdict("inconclusive", difference, reason=reason)
    if spread.df < 1:
        return Verdict("inconclusive", difference, reason="no spread over seeds is known")
    from scipy.special import stdtrit  # a fifth of a second, that few tables need

    training = spread.deviation**2 * (1 + 1 / len(measured))
    printing = (0.5 * 10.0**-digits) ** 2 / 3
    margin = float(stdtrit(spread.df, 0.95) * np.sqrt(training + printing))
    kind = _kind(difference, margin, delta)
    reason = _cause(margin, delta, training, printing) if kind == "inconclusive" else ""
    return Verdict(kind, difference, margin, reason)


def _kind(difference: float, margin: float, delta: float) -> Kind:
    if abs(difference) + margin <= delta:
        return "match"
    if difference + margin < 0:
        return "lower"
    if difference - margin > 0:
        return "higher"
    return "inconclusive"


def _cause(margin: float, delta: float, training: float, printing: float) -> str:
    source = (
        "the spread over seeds" if training >= printing else "the rounding of the printed cells"
    )
    wide = "wider than" if margin > delta else "within"
    return f"margin {margin:.4f}, {wide} the tolerance {delta:.3f}, mostly from {source}"


def inside(measured: Floats, published: Floats, delta: float = CLASS_AUROC) -> tuple[int, int]:
    """Count classes (C,) whose difference is within delta, and classes that have both values."""
    distance = np.abs(measured - published)
    return int((distance <= delta).sum()), int((~np.isnan(distance)).sum())


OFFICIAL_BAND = (-0.050, -0.020)
"""Signatures of rows on NIH's official test list."""
RANDOM_BAND = (0.014, 0.036)
"""Signatures of rows on random splits by patient."""
SIGNATURE_CLASSES = (
    ("Atelectasis", "Effusion", "Consolidation", "Edema", "Pneumonia"),
    ("Infiltration", "Mass", "Nodule", "Pneumothorax", "Emphysema", "Fibrosis"),
)


def signature(auroc: Mapping[str, float]) -> float:
    """Give k of an NIH row: a difference of two class means that shows its test population.

    NaN where one of the eleven classes is missing.
    """
    first, second = (
        np.mean([auroc.get(name, np.nan) for name in classes]) for classes in SIGNATURE_CLASSES
    )
    return float(first - second)


def resembles_random_split(auroc: Mapping[str, float], mean: float) -> bool:
    """Say whether a row that claims the official split carries the mark of a random one.

    It is inference, not proof. Rows with a mean below .80 do not separate.
    """
    return mean >= 0.80 and signature(auroc) > -0.02
