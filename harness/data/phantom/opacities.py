"""Paint findings on a film's density."""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from scipy.special import expit

from harness.data.phantom.lesions import MIDDLE, OUTSIDE, Lesion
from harness.data.phantom.names import FINDINGS
from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats, box_of, fill, soften, stroke
from harness.data.phantom.textures import cut

CONTRAST: Final = {
    "Atelectasis": 0.13,
    "Effusion": 0.32,
    "Infiltration": 0.070,
    "Mass": 0.20,
    "Nodule": 0.26,
    "Pneumonia": 0.12,
    "Pneumothorax": 0.10,
    "Consolidation": 0.20,
    "Edema": 0.085,
    "Fibrosis": 0.13,
    "Pleural_Thickening": 0.20,
    "Hernia": 0.16,
}
"""Density that a finding adds at most (pneumothorax: takes away)."""

SOFTNESS: Final = {
    "Atelectasis": 0.005,
    "Effusion": 0.008,
    "Infiltration": 0.025,
    "Mass": 0.007,
    "Nodule": 0.004,
    "Pneumonia": 0.020,
    "Pneumothorax": 0.003,
    "Consolidation": 0.012,
    "Edema": 0.040,
    "Fibrosis": 0.018,
    "Pleural_Thickening": 0.004,
    "Hernia": 0.006,
}
"""Blur of a finding's border in fractions of the film."""

TEXTURE: Final = {"Infiltration": "patches", "Pneumonia": "patches", "Fibrosis": "net"}


def paint_lesions(
    scene: Scene, density: Floats, aerated: Floats, generator: np.random.Generator
) -> None:
    """Add every lesion of a scene to its density (S, S)."""
    for lesion, support in zip(scene.lesions, scene.supports, strict=True):
        name = FINDINGS[lesion.finding]
        if name in CONTRAST:
            paint(scene, lesion, support, density, aerated, generator)


def paint(
    scene: Scene,
    lesion: Lesion,
    support: Bytes,
    density: Floats,
    aerated: Floats,
    generator: np.random.Generator,
) -> None:
    """Add one lesion to the density, in the window that it touches."""
    name, size = FINDINGS[lesion.finding], scene.settings.size
    box = box_of(support)
    if box is None:
        return
    sigma = SOFTNESS[name] * size
    margin = int(2 * sigma) + 2
    x1, y1 = (max(int(v) - margin, 0) for v in box[:2])
    x2, y2 = (min(int(v) + margin, size) for v in box[2:])
    window = (slice(y1, y2), slice(x1, x2))
    shape = opaque(scene, lesion, support, window, max(sigma, 0.5))
    if lesion.side < MIDDLE:
        shape *= aerated[window]
    amount = shape * np.float32(CONTRAST[name] * lesion.strength)
    if name in TEXTURE:
        amount *= 0.25 + 1.1 * cut(generator, TEXTURE[name], size, *shape.shape)
    change: Callable[..., Floats] = SPECIAL.get(name, plain)
    density[window] += change(scene, lesion, window, amount, density)


def opaque(
    scene: Scene, lesion: Lesion, support: Bytes, window: tuple[slice, slice], sigma: float
) -> Floats:
    """Return a lesion's extent (h, w) from 0 to 1, soft at its own border but not at the lung's."""
    whole = support[window] * np.uint8(255)
    if lesion.side < MIDDLE:
        corner = (window[1].start, window[0].start)
        whole = fill(np.zeros_like(whole), [scene.pixels(lesion.outline) - corner], 255)
    return soften(whole, sigma) * np.float32(1 / 255)


def plain(scene: Scene, lesion: Lesion, window: object, amount: Floats, density: Floats) -> Floats:
    """Return the opacity as it is."""
    return amount


def fluid(
    scene: Scene, lesion: Lesion, window: tuple[slice, slice], amount: Floats, density: Floats
) -> Floats:
    """Return an effusion: it hides what lies behind it, nearly as dense as the abdomen."""
    # Half-aerated pixels at the lung's border are hidden as well, else a dark line would remain.
    hidden = np.minimum(1.9 * amount / CONTRAST["Effusion"], 0.5 + 0.5 * lesion.strength)
    return hidden * (CONTRAST["Effusion"] + 0.40 - density[window])


def pleural_air(
    scene: Scene, lesion: Lesion, window: tuple[slice, slice], amount: Floats, density: Floats
) -> Floats:
    """Return air without vessels: darker, smooth, and the bright line of the pleura."""
    size = scene.settings.size
    local = density[window]
    flat = cv2.blur(local, (int(size / 25) | 1,) * 2)
    within = amount / (CONTRAST["Pneumothorax"] * lesion.strength)
    change = (flat - local) * within * 0.8 - amount
    if lesion.line is not None:
        canvas = np.zeros((size, size), np.uint8)
        stroke(canvas, scene.pixels(lesion.line)[None], 255, max(1, round(size / 200)))
        lung = scene.masks[1 - lesion.side][window]
        change += canvas[window] * lung * np.float32(0.18 * lesion.strength / 255)
    return change


def pouch(
    scene: Scene, lesion: Lesion, window: tuple[slice, slice], amount: Floats, density: Floats
) -> Floats:
    """Return a hernia: a bright wall, fluid below, and an air bubble above it."""
    height = amount.shape[0]
    level = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * 6
    fluid = expit(level)
    inside = cv2.erode(amount, np.ones((int(height / 8) | 1,) * 2, np.uint8))
    change: Floats = amount - 2.0 * inside * (1 - fluid)
    return change


SPECIAL: Final = {"Effusion": fluid, "Pneumothorax": pleural_air, "Hernia": pouch}

__all__ = ["CONTRAST", "OUTSIDE", "paint_lesions"]
