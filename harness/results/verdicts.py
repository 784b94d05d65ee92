"""Does a measured mean reproduce a printed one? The rule, pinned before any result.

The paper scored the same test images, so their sampling largely cancels; what differs is training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

ADVISED_SEEDS = 3


@dataclass(frozen=True)
class Spread:
    """Seed-to-seed standard deviation of a mean and its degrees of freedom."""

    deviation: float
    freedom: int


@dataclass(frozen=True)
class Verdict:
    """A word, the difference measured minus printed, the half-width of its interval, the cause."""

    word: str
    difference: float | None = None
    half_width: float | None = None
    cause: str = ""

    def __str__(self) -> str:
        """Return the word, with its cause in brackets where there is one."""
        return f"{self.word} ({self.cause})" if self.cause else self.word


def pooled_spread(groups: Iterable[Sequence[float]]) -> Spread | None:
    """Pool the variance over seeds of several rows; None where no row has two seeds."""
    repeated = [np.asarray(group, float) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in repeated)
    return Spread((squares / freedom) ** 0.5, freedom)


def verdict(
    seeds: Sequence[float], printed: float, unit: float, spread: Spread | None, tolerance: float
) -> Verdict:
    """Compare the means of S seeds with a printed mean.

    With A the mean over seeds, D = A - printed and h = t(nu, 0.95) sqrt(s^2 (1 + 1/S) + u^2 / 3):
    match where [D - h, D + h] lies inside the tolerance, else lower or higher where it lies on
    one side of zero, else inconclusive. ``unit`` is u, half a unit of the last printed digit.
    """
    difference = float(np.mean(seeds)) - printed
    count = len(seeds)
    if count < ADVISED_SEEDS or spread is None:
        cause = f"{count} of at least {ADVISED_SEEDS} seeds"
        return Verdict("inconclusive", difference, cause=cause)
    variance = spread.deviation**2 * (1 + 1 / count) + unit**2 / 3
    half = float(stdtrit(spread.freedom, 0.95)) * variance**0.5
    low, high = difference - half, difference + half
    if -tolerance <= low and high <= tolerance:
        return Verdict("match", difference, half)
    if high < 0:
        return Verdict("lower", difference, half)
    if low > 0:
        return Verdict("higher", difference, half)
    seeds_part = spread.deviation**2 * (1 + 1 / count)
    cause = "seed spread" if seeds_part > unit**2 / 3 else "rounding of the printed cells"
    return Verdict("inconclusive", difference, half, f"{cause}, ±{half:.4f}")


def not_comparable(reasons: Sequence[str]) -> Verdict:
    """Return the verdict on rows that differ in more than training."""
    return Verdict("not comparable", cause=", ".join(reasons))
