"""From densities to gray values: exposure, tone curve, sharpness and noise of a style."""

from functools import cache
from typing import Final

import cv2
import numpy as np

from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats, enlarge, shrink, soften
from harness.data.phantom.textures import cut


def develop(scene: Scene, density: Floats, generator: np.random.Generator) -> Bytes:
    """Return the film (S, S) uint8 of a density (S, S)."""
    draws = generator.standard_normal(6).clip(-2, 2)
    if scene.settings.style == "jsrt":
        return film(density, draws, generator)
    return digital(scene, density, draws, generator)


def digital(scene: Scene, density: Floats, draws: Floats, generator: np.random.Generator) -> Bytes:
    """Return a digital radiograph windowed to 8 bits: sharpened, collimated, less crisp if AP."""
    size = scene.settings.size
    bedside = scene.film.view == "AP"
    grain = (0.010 if bedside else 0.007) * (1 + 0.2 * draws[2])
    density = cv2.scaleAdd(cut(generator, "grain", size, size, size), grain, density)
    blurred = enlarge(soften(shrink(density, size // 4), size / 240), size)
    contrast = (1.15 if bedside else 1.35) * (1 + 0.10 * draws[0])
    sharp = 0.35 * (1 + 0.3 * draws[3])
    offset = 0.43 + 0.045 * draws[1] - 0.38 * contrast
    gray = scaled(density, contrast * (1 + sharp), blurred, -contrast * sharp, offset)
    return collimated(gray, generator)


def film(density: Floats, draws: Floats, generator: np.random.Generator) -> Bytes:
    """Return a digitised film: soft, flat, grainy, fogged, no collimation."""
    size = density.shape[0]
    density = soften(density, size / 300)
    grain = cut(generator, "clumps", size, size, size)
    return scaled(density, 0.78 + 0.04 * draws[0], grain, 0.012, 0.14 + 0.025 * draws[1])


LEVELS: Final = 200
"""Steps of the linear scale between 0 and 1 before the film's characteristic curve."""

FOOT: Final = 0.12
"""Values below this are bent towards black; the linear scale begins as far below 0."""

SHOULDER: Final = 0.75
"""Values above this are bent towards white."""


def scaled(first: Floats, a: float, second: Floats, b: float, offset: float) -> Bytes:
    """Return a * first + b * second + offset as uint8 through the characteristic curve."""
    base = (offset + FOOT) * LEVELS
    linear = cv2.addWeighted(first, a * LEVELS, second, b * LEVELS, base, dtype=cv2.CV_8U)
    return np.asarray(cv2.LUT(linear, characteristic()), np.uint8)


@cache
def characteristic() -> Bytes:
    """Return the gray value (256,) of each step of the linear scale: both its ends are bent."""
    value = np.arange(256) / LEVELS - FOOT
    white = 1 - SHOULDER
    bent = np.where(value > SHOULDER, SHOULDER + white * np.tanh((value - SHOULDER) / white), value)
    bent = np.where(value < FOOT, FOOT * np.exp(value / FOOT - 1), bent)
    return np.asarray(np.rint(bent * 255), np.uint8)


def collimated(gray: Bytes, generator: np.random.Generator) -> Bytes:
    """Return the film with a black border on some sides, where the beam was cut."""
    size = gray.shape[0]
    cut_off = (generator.random(4) < 0.12) * generator.uniform(0.01, 0.045, 4) * size
    top, bottom, left, right = (int(v) for v in cut_off)
    for border in (gray[:top], gray[size - bottom :], gray[:, :left], gray[:, size - right :]):
        border[:] = 4
    return gray
