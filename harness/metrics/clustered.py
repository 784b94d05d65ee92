"""Structural components of AUROC (DeLong 1988), their image-wise and patient-clustered variance.

The patient is the unit (Obuchowski 1997): images of one patient are not independent, so the
image-wise variance is too small. It stays for the comparison with other software.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.metrics.ranking import Bools, Floats, Ints, check, rank


@dataclass(frozen=True)
class Components:
    """AUROC of each class and the influence of each image on it.

    `placement` is V10 for a positive image (share of the negatives it outranks, ties one half) and
    V01 for a negative one (share of the positives above it), NaN where the label is unknown.
    `psi` is (V10 - auroc) / positives or (V01 - auroc) / negatives, and 0 where unknown. A class
    without positives or without negatives is NaN throughout.
    """

    auroc: Floats  # (C,)
    placement: Floats  # (N, C)
    psi: Floats  # (N, C)
    positive: Bools  # (N, C)


def components(scores: NDArray[Any], targets: NDArray[Any]) -> Components:
    """Give the structural components of scores (N, C) against targets (N, C) of 1, 0 and NaN."""
    check(scores, targets)
    area = np.full(scores.shape[1], np.nan)
    placement = np.full(scores.shape, np.nan)
    psi = np.full(scores.shape, np.nan)
    for c in range(scores.shape[1]):
        known = ~np.isnan(targets[:, c])
        positive = targets[:, c] == 1
        placed = placements(scores[:, c], targets[:, c])
        if not np.isnan(placed).all():
            area[c] = placed[positive].mean()
            size = np.where(positive, positive.sum(), (known & ~positive).sum())
            psi[:, c] = np.where(known, (placed - area[c]) / size, 0.0)
            placement[:, c] = placed
    return Components(area, placement, psi, targets == 1)


def placements(scores: NDArray[Any], targets: NDArray[Any]) -> Floats:
    """Give V10 of positives and V01 of negatives (N,) of one class, NaN where unknown."""
    placed = np.full(len(scores), np.nan)
    ranking = rank(scores, targets)
    if not ranking.defined:
        return placed
    positive = np.bincount(ranking.group, ranking.positive)
    negative = np.bincount(ranking.group, ~ranking.positive)
    outranked = (np.cumsum(negative) - negative / 2) / negative.sum()
    above = (positive.sum() - np.cumsum(positive) + positive / 2) / positive.sum()
    group = ranking.group
    placed[ranking.images] = np.where(ranking.positive, outranked[group], above[group])
    return placed


def delong_covariance(
    scores: NDArray[Any], targets: NDArray[Any]
) -> tuple[Floats, NDArray[np.float64]]:
    """Give AUROC (M,) of M models on one class and their image-wise covariance (M, M).

    Scores (N, M), targets (N,) of 1, 0 and NaN. The covariance is NaN with fewer than two
    positives or negatives.
    """
    parts = components(scores, np.repeat(targets[:, None], scores.shape[1], axis=1))
    covariance = np.zeros((scores.shape[1], scores.shape[1]))
    for outcome in (1, 0):
        deviation = parts.placement[targets == outcome] - parts.auroc
        n = len(deviation)
        covariance += deviation.T @ deviation / (n * (n - 1)) if n > 1 else np.nan
    return parts.auroc, covariance


def delong_test(first: NDArray[Any], second: NDArray[Any], targets: NDArray[Any]) -> float:
    """Give the two-sided image-wise p of two models' equal AUROC; scores and targets (N,).

    It ignores that images share patients: use `compare.differences` for anything printed.
    """
    area, covariance = delong_covariance(np.stack([first, second], axis=1), targets)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = area[0] - area[1]
    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)))


def patient_sums(psi: NDArray[Any], patients: NDArray[Any]) -> tuple[NDArray[Any], Floats]:
    """Sum psi (N, K) over the images of each patient: distinct patients (G,) and D (G, K)."""
    names, patient = np.unique(patients, return_inverse=True)
    return names, _sum_by(patient, psi, len(names))


def _sum_by(patient: Ints, psi: NDArray[Any], patients: int) -> Floats:
    return np.stack([np.bincount(patient, column, patients) for column in psi.T], axis=1)


def clustered_covariance(sums: NDArray[Any]) -> NDArray[np.float64]:
    """Give G / (G - 1) * sum_g D_g D_g' (K, K) for patient sums D (G, K); NaN for one patient.

    The diagonal holds the variances. For a paired difference subtract the sums of both models, for
    the mean over classes average the sums over classes, before calling this.
    """
    patients = len(sums)
    if patients < 2:
        return np.full((sums.shape[1], sums.shape[1]), np.nan)
    return np.asarray(patients / (patients - 1) * (sums.T @ sums))


def clustered_variance(sums: NDArray[Any]) -> Floats:
    """Give G / (G - 1) * sum_g D_g^2 (K,) for patient sums D (G, K); NaN for one patient."""
    patients = len(sums)
    if patients < 2:
        return np.full(sums.shape[1], np.nan)
    return np.asarray(patients / (patients - 1) * np.square(sums).sum(axis=0))
