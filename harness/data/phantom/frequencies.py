"""How often findings occur, and together: a Gaussian copula estimated from NIH's whole table.

Aggregates of Data_Entry_2017_v2020 (112,120 films, 30,805 patients); no row of it is here.
Order of the 17 variables: the 14 findings, AP view, male, age.

- PREVALENCE: share of films.
- TOTAL: latent correlations of one film; tetrachoric between two binary variables, with age the
  point-biserial correlation of its normal score divided by the normal density at the threshold.
- BETWEEN: the covariance that different films of a patient share, from tetrachoric correlations
  over pairs of films of one patient, each film weighing the same. Age and sex are shared entirely.
Both are projected on positive semi-definite matrices; tests/test_phantom_frequencies.py computes
them again.
"""

from typing import Final

import numpy as np
from scipy.special import ndtri

from harness.data.phantom.shapes import Floats

PREVALENCE: Final = (
    0.10309, 0.02476, 0.11877, 0.17743, 0.05157, 0.05647, 0.01276, 0.04729,
    0.04163, 0.02054, 0.02244, 0.01504, 0.03019, 0.00202, 0.39966, 0.56493,
)  # fmt: skip

AGE_AT: Final = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
AGES: Final = (0.0, 8.0, 18.0, 34.0, 49.0, 59.0, 72.0, 79.0, 95.0)

TOTAL_PERCENT: Final = """
    100
    7 100
    37 39 100
    21 5 25 100
    6 -7 20 4 100
    -3 -7 6 12 30 100
    14 2 12 29 -1 -3 100
    10 -17 15 0 12 3 -9 100
    31 8 28 14 25 12 15 0 100
    -2 16 23 31 2 0 56 -20 11 100
    13 -6 5 0 11 -4 -5 51 0 -9 100
    6 4 -1 4 6 12 -9 0 2 -19 -1 100
    10 6 23 7 24 19 2 14 13 -1 14 26 100
    11 3 -5 -4 13 -4 0 -3 -11 -5 -3 12 2 100
    15 4 16 22 -2 -8 16 -5 32 53 0 -27 -14 -23 100
    5 -10 -1 2 6 2 2 -6 1 -4 8 -2 4 -11 5 100
    12 1 11 -3 5 7 -5 -1 -1 -4 9 14 10 34 -5 3 100
"""

BETWEEN_PERCENT: Final = """
    34
    0 56
    15 9 44
    2 6 9 21
    0 -16 11 -2 59
    -5 -11 1 2 26 45
    1 4 3 12 -3 -1 21
    2 -17 6 -3 12 7 -7 59
    10 5 17 13 9 2 9 -2 29
    -2 11 8 15 0 4 12 -14 10 38
    2 -12 1 -4 8 2 -4 35 -1 -10 54
    -1 -2 -4 0 2 3 -1 2 3 -11 1 47
    2 -3 14 1 14 7 -1 14 5 -6 11 20 38
    9 2 -1 -4 6 -3 -5 -4 -7 -9 -3 9 -6 88
    7 8 13 18 0 -1 10 -9 21 25 -6 -15 -6 -16 55
    5 -10 -1 2 6 2 2 -6 1 -4 8 -2 4 -11 5 100
    12 1 11 -3 5 7 -5 -1 -1 -4 9 14 10 34 -5 3 100
"""


def symmetric(percent: str) -> Floats:
    """Return the symmetric matrix (K, K) whose lower triangle is written in per cent."""
    rows = [[int(value) / 100 for value in line.split()] for line in percent.strip().splitlines()]
    matrix = np.zeros((len(rows), len(rows)))
    for index, row in enumerate(rows):
        matrix[index, : index + 1] = matrix[: index + 1, index] = row
    return matrix


def square_root(covariance: Floats) -> Floats:
    """Return the symmetric square root (K, K); rounding's small negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


TOTAL: Final = symmetric(TOTAL_PERCENT)
BETWEEN: Final = symmetric(BETWEEN_PERCENT)
PATIENT_ROOT: Final = square_root(BETWEEN)
FILM_ROOT: Final = square_root(TOTAL - BETWEEN)


def prevalences(enrich: float) -> Floats:
    """Return the prevalence of the 14 findings (14,): NIH's, rare ones raised by `enrich`."""
    p = np.array(PREVALENCE[:14])
    raised: Floats = p.max() * (p / p.max()) ** (1 - enrich)
    return raised


def thresholds(enrich: float) -> Floats:
    """Return the latent value (16,) above which a finding is present, a view AP, a patient male."""
    levels: Floats = -ndtri(np.concatenate([prevalences(enrich), PREVALENCE[14:]]))
    return levels
