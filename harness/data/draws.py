"""Random numbers of one image.

The same whatever its batch mates, its rank or the order of the epoch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.seeds import UInt64, derive, mix


class Draws:
    """A stream of numbers for each of B images, derived from (seed, path, image)."""

    def __init__(self, indices: Tensor, seed: int, *path: object) -> None:
        base = np.uint64(derive(seed, *path))
        self._keys: UInt64 = mix(indices.cpu().numpy().astype(np.uint64) ^ mix(np.array([base])))
        self._count = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return the next number of each image in [low, high), (B,) float32 on the CPU."""
        return torch.from_numpy((low + (high - low) * self._next()).astype(np.float32))

    def integers(self, high: int) -> Tensor:
        """Return the next integer of each image in [0, high), (B,) int64."""
        return torch.from_numpy((self._next() * high).astype(np.int64))

    def chance(self, probability: float) -> Tensor:
        """Return (B,) bool, true with this probability."""
        return torch.from_numpy(self._next() < probability)

    def _next(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        self._count += 1
        bits = mix(self._keys ^ mix(np.array([self._count], dtype=np.uint64)))
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
