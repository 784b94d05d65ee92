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
    to 1. net: thin lines (1) around cells (0), as of a honeycomb.
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
    return honeycomb(generator, wide, size / 34)


def honeycomb(generator: Generator, size: int, cell: float) -> Floats:
    """Return the borders (size, size) float32 of random cells about `cell` pixels wide."""
    points = generator.integers(0, size, (round((size / cell) ** 2), 2))
    away = np.ones((size, size), np.uint8)
    away[points[:, 0], points[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, cv2.DIST_MASK_5)
    border = (nearest != np.roll(nearest, 1, 0)) | (nearest != np.roll(nearest, 1, 1))
    lines = soften(border.astype(np.float32), max(cell / 9, 0.4))
    return np.asarray((1.4 * lines / lines.max()).clip(0, 1), np.float32)


def cut(generator: Generator, kind: str, size: int, height: int, width: int) -> Floats:
    """Return a random piece (height, width) of a texture for films of `size` pixels."""
    whole = texture(kind, size)
    y = int(generator.integers(whole.shape[0] - height + 1))
    x = int(generator.integers(whole.shape[1] - width + 1))
    piece: Floats = whole[y : y + height, x : x + width]
    return piece
