"""Seamless-looking random textures, made once for each film size and cut at random places."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator, Philox

from harness.data.phantom.shapes import Floats

KINDS: Final = ("grain", "clumps", "cloud", "patches", "net")


def noise(generator: Generator, size: int, cells: int) -> Floats:
    """Return smooth noise (size, size) of unit variance with about `cells` bumps in a row."""
    grid = generator.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    field = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field / field.std()).astype(np.float32)


@lru_cache(maxsize=16)
def texture(kind: str, size: int) -> Floats:
    """Return a texture (1.5 size, 1.5 size) float32 for films of `size` pixels.

    grain: white noise. clumps: its slightly blurred form. cloud: smooth, several scales. patches:
    islands from 0 to 1. net: thin lines (1) around cells (0).
    """
    generator = Generator(Philox(key=KINDS.index(kind)))
    wide = size + size // 2
    if kind in ("grain", "clumps"):
        field = generator.standard_normal((wide, wide), dtype=np.float32)
        if kind == "clumps":
            field = cv2.GaussianBlur(field, (0, 0), size / 210)
        return (field / field.std()).astype(np.float32)
    if kind == "cloud":
        octaves = [noise(generator, wide, cells) / cells**0.5 for cells in (9, 18, 36, 72)]
        return (sum(octaves) / np.std(sum(octaves))).astype(np.float32)
    if kind == "patches":
        field = noise(generator, wide, 30) + 0.6 * noise(generator, wide, 62)
        return (1 / (1 + np.exp(-2.5 * field))).astype(np.float32)
    field = noise(generator, wide, min(75, size // 2))
    lines = np.exp(-((field / 0.22) ** 2))
    return (lines * (0.6 + 0.4 * noise(generator, wide, 25)).clip(0, 1.3)).astype(np.float32)


def cut(generator: Generator, kind: str, size: int, height: int, width: int) -> Floats:
    """Return a random piece (height, width) of a texture for films of `size` pixels."""
    whole = texture(kind, size)
    y = int(generator.integers(whole.shape[0] - height + 1))
    x = int(generator.integers(whole.shape[1] - width + 1))
    return whole[y : y + height, x : x + width]
