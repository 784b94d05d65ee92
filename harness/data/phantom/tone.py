"""From densities to gray values: exposure, tone curve, sharpness and noise of a style."""

import cv2
import numpy as np

from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats
from harness.data.phantom.textures import cut


def develop(scene: Scene, density: Floats, generator: np.random.Generator) -> Bytes:
    """Return the film (S, S) uint8 of a density (S, S)."""
    style = scene.settings.style
    draws = generator.standard_normal(6).clip(-2, 2)
    if style == "jsrt":
        return film(scene, density, draws, generator)
    return digital(scene, density, draws, generator)


def digital(scene: Scene, density: Floats, draws: Floats, generator: np.random.Generator) -> Bytes:
    """Return a digital radiograph windowed to 8 bits: sharpened, black collimated borders."""
    size = scene.settings.size
    bedside = scene.film.view == "AP"
    density = density + (0.016 if bedside else 0.011) * cut(generator, "grain", size, size, size)
    blurred = cv2.GaussianBlur(density, (0, 0), size / 60)
    density = density + 0.35 * (density - blurred)
    contrast = (1.12 if bedside else 1.25) * (1 + 0.08 * draws[0])
    value = (density - 0.36) * contrast + 0.40 + 0.04 * draws[1]
    return quantise(value)


def film(scene: Scene, density: Floats, draws: Floats, generator: np.random.Generator) -> Bytes:
    """Return a digitised film: soft, flat, grainy, fogged, no collimation."""
    size = scene.settings.size
    density = cv2.GaussianBlur(density, (0, 0), size / 300)
    value = 0.16 + 0.72 * np.clip(density, 0, 1.2) ** 0.8
    value += 0.014 * cut(generator, "clumps", size, size, size) + 0.02 * draws[1]
    return quantise(value)


def quantise(value: Floats) -> Bytes:
    """Return values from 0 to 1 as uint8, the upper end bent softly."""
    soft = np.where(value > 0.8, 0.8 + 0.2 * np.tanh((value - 0.8) / 0.2), value)
    return np.clip(soft * 255 + 0.5, 0, 255).astype(np.uint8)
