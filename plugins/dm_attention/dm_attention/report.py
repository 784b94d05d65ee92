"""How well radiographs were aligned, where the dataset knows their true pose (phantoms do)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Samples
from harness.progress import say

RESAMPLES = 1000
Array = NDArray[np.floating[Any]]


def landmark_report(samples: Samples, aligned: Array, size: int) -> dict[str, Any]:
    """Return the median landmark error before and after alignment, and say it.

    ``aligned`` (N, 2, 3) takes pixels of the aligned images, ``size`` a side, to pixels of the
    originals. The samples have ``landmarks`` (N, K, 2) in original pixels and ``pose`` (N, 2, 3),
    which takes an image without any misplacement to its place in the original. All values are
    pixels of the view with a 95 % percentile interval over resampled patients:

    ``error_before``, ``error_after``: the distance of a landmark from where it would lie in the
    true pose; ``scatter_before``, ``scatter_after``: the same after the mean displacement of all
    images is taken away, since an anchor may sit anywhere; ``apart_before``, ``apart_after``: the
    distance of a landmark from its mean place over the images, whatever the anchor's place and
    size, but with the differences of anatomy in it.
    """
    landmarks = samples.need("landmarks").astype(np.float64)
    originals = samples.need("sizes").astype(np.float64)[:, ::-1, None]
    canonical = _back(samples.need("pose").astype(np.float64), landmarks)
    canonical = canonical * size / originals.swapaxes(1, 2)
    unmoved = np.concatenate([np.eye(2) * originals / size, np.zeros((len(landmarks), 2, 1))], 2)
    found: dict[str, Any] = {"images": len(samples), "landmarks": landmarks.shape[1]}
    for name, to_original in (("before", unmoved), ("after", aligned.astype(np.float64))):
        placed = _back(to_original, landmarks)
        displaced = placed - canonical
        for measure, vectors in (
            ("error", displaced),
            ("scatter", displaced - displaced.mean((0, 1))),
            ("apart", placed - placed.mean(0)),
        ):
            distances = np.linalg.norm(vectors, axis=2)
            found[f"{measure}_{name}"] = _median(distances, samples.patients)
    before, after = found["error_before"][0], found["error_after"][0]
    say(
        f"median landmark error on {len(samples)} validation images: {before:.2f} pixels of "
        f"{size} before alignment, {after:.2f} after"
    )
    return found


def _back(to_original: Array, points: Array) -> Array:
    """Take points (N, K, 2) of the originals back through affine maps (N, 2, 3)."""
    shifted = points - to_original[:, None, :, 2]
    return np.asarray(np.linalg.solve(to_original[:, None, :, :2], shifted[..., None])[..., 0])


def _median(distances: Array, patients: NDArray[Any]) -> list[float]:
    """Return the median of distances (N, K) and its interval over resampled patients."""
    _, patient = np.unique(patients, return_inverse=True)
    rows = [np.flatnonzero(patient == one) for one in range(patient.max() + 1)]
    draws = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    medians = [np.median(distances[np.concatenate([rows[i] for i in draw])]) for draw in draws]
    low, high = np.percentile(medians, (2.5, 97.5))
    return [float(np.median(distances)), float(low), float(high)]
