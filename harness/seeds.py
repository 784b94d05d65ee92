"""All randomness derives from one seed.

Nothing is drawn from a state that would have to be saved.
"""

import hashlib

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def derive(seed: int, *path: object) -> int:
    """Return the 63-bit seed of one place, named by its path, e.g.

    ``derive(0, "stage", 2, "epoch", 5)``.
    """
    text = "\x1f".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: object) -> np.random.Generator:
    """Return a numpy generator seeded for one place."""
    return np.random.Generator(np.random.Philox(derive(seed, *path)))


def mix(values: UInt64) -> UInt64:
    """Return splitmix64's finaliser of each value: a bijection whose outputs look independent."""
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
