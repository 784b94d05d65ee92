"""Seamless-looking random textures, made once for each film size and cut at random places."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator, Philox
from scipy.special import expit

from harness.data.phantom.shapes import Floats, soften

KINDS: Final = ("grain", "clumps", "patches", "net")


def noise(generator: Generator, size: int, cells: int) -> Floats:
    """Return smooth noise (size, size) float32, unit variance, about `cells` bumps in a row."""
    grid = generator.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    return normal(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC))


def normal(field: Floats) -> Floats:
    """Return a field (H, W) float32 scaled to unit variance."""
    scaled: Floats = (field / field.std()).astype(np.float32)
    return scaled


@lru_cache(maxsize=16)
def texture(kind: str, size: int) -> Floats:
    """Return a texture (1.5 size, 1.5 size) float32 for films of `size` pixels.

    grain: white noise. clumps: its slightly blurred form. patches: islands from 0
    to 1. net: thin lines (1) around cells (0).
    """
    generator = Generator(Philox(key=KINDS.index(kind)))
    wide = size + size // 2
    field: Floats
    if kind in ("grain", "clumps"):
        field = generator.standard_normal((wide, wide), dtype=np.float32)
        return normal(soften(field, size / 210) if kind == "clumps" else field)
    if kind == "patches":
        field = noise(generator, wide, 30) + 0.6 * noise(generator, wide, 62)
        return np.asarray(expit(2.5 * field), np.float32)
    field = np.exp(-((noise(generator, wide, 105) / 0.33) ** 2))
    field *= (0.75 + 0.3 * noise(generator, wide, 25)).clip(0, 1.3)
    return np.asarray(field, np.float32)


def cut(generator: Generator, kind: str, size: int, height: int, width: int) -> Floats:
    """Return a random piece (height, width) of a texture for films of `size` pixels."""
    whole = texture(kind, size)
    y = int(generator.integers(whole.shape[0] - height + 1))
    x = int(generator.integers(whole.shape[1] - width + 1))
    piece: Floats = whole[y : y + height, x : x + width]
    return piece
