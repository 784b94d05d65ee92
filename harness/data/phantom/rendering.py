"""Paint a scene: x-ray densities layer by layer, then the film's tone."""

from typing import Final

import cv2
import numpy as np
from scipy.special import expit

from harness.data.phantom.cohort import stream
from harness.data.phantom.distractors import paint_distractors
from harness.data.phantom.names import CLASS
from harness.data.phantom.opacities import paint_lesions
from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats, fill, stroke
from harness.data.phantom.skeleton import ribs, shoulder_bones, vertebrae, vessels, windpipe
from harness.data.phantom.textures import cut
from harness.data.phantom.tone import develop

COARSE: Final = 64
"""Smooth layers are computed on this raster and enlarged."""


def render(scene: Scene) -> Bytes:
    """Return the image (S, S) of a scene."""
    generator = stream(scene.settings, "paint", scene.film.index)
    own = stream(scene.settings, "vessels", scene.film.patient)
    lungs = scene.masks[0] | scene.masks[1]
    aerated = smooth(lungs, scene.settings.size / 220)
    density = soft_tissue(scene, generator)
    density -= aerated * lung_depth(scene, lungs)
    density += bones(scene, own.standard_normal(8).clip(-2, 2), aerated)
    density += aerated * parenchyma(scene, own, generator)
    paint_lesions(scene, density, aerated, generator)
    paint_distractors(scene, density)
    return develop(scene, density, generator)


def smooth(mask: Bytes, sigma: float) -> Floats:
    """Return a mask (S, S) with soft edges as float32 from 0 to 1."""
    blurred = cv2.GaussianBlur(mask * np.uint8(255), (0, 0), sigma)
    return blurred.astype(np.float32) * np.float32(1 / 255)


def enlarge(coarse: Floats, size: int) -> Floats:
    """Return a coarse layer at the film's size."""
    field: Floats = cv2.resize(
        coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    return field


def coarse_coordinates(scene: Scene) -> tuple[Floats, Floats]:
    """Return the canonical x and y (COARSE, COARSE) of the coarse raster's cells."""
    size = scene.settings.size
    inverse = cv2.invertAffineTransform(scene.pose)
    axis = (np.arange(COARSE) + 0.5) * (size / COARSE)
    x = (inverse[0, 0] * axis[None] + inverse[0, 1] * axis[:, None] + inverse[0, 2]) / size
    y = (inverse[1, 0] * axis[None] + inverse[1, 1] * axis[:, None] + inverse[1, 2]) / size
    return x, y


def soft_tissue(scene: Scene, generator: np.random.Generator) -> Floats:
    """Return the density (S, S) of everything but lungs and bones."""
    size, chest = scene.settings.size, scene.chest
    x, y = coarse_coordinates(scene)
    body = fill(np.zeros((size, size), np.uint8), [scene.pixels(chest.body)])
    edge = smooth(body, size / 200)
    small = cv2.resize(edge, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    thick = cv2.GaussianBlur(small, (0, 0), COARSE * 0.05)
    middle = np.exp(-(((x - 0.5) / 0.075) ** 2))
    base = max(chest.lungs[0].y[-1], chest.lungs[1].y[-1]) - 0.09
    belly = expit((y - base) / 0.035)
    level = 0.20 + 0.38 * thick**2 + 0.14 * middle + 0.16 * belly * thick
    level += 0.018 * cv2.resize(cut(generator, "cloud", size, size, size), (COARSE, COARSE))
    if scene.film.sex == "F" and scene.film.age > 14:
        level += breasts(x, y)
    level -= stomach(x, y, chest.lungs[1].y[-1], generator)
    density = enlarge(level, size)
    density *= edge
    heart = smooth(scene.masks[2], size / 120)
    density += 0.05 * heart
    return density


def breasts(x: Floats, y: Floats) -> Floats:
    """Return the density of the breasts: two round shadows with a lower border."""
    shadow = np.zeros_like(x)
    for centre in (0.29, 0.71):
        distance = ((x - centre) / 0.155) ** 2 + ((y - 0.60) / 0.135) ** 2
        shadow += 0.055 * expit((1 - distance) * 7)
    return shadow


def stomach(x: Floats, y: Floats, base: float, generator: np.random.Generator) -> Floats:
    """Return what air in the stomach, under the left dome, takes from the density."""
    depth = 0.16 * generator.random()
    across, high = generator.uniform(0.05, 0.09), generator.uniform(0.02, 0.035)
    centre = (0.68 + 0.03 * generator.standard_normal(), base + 0.005)
    distance = ((x - centre[0]) / across) ** 2 + ((y - centre[1]) / high) ** 2
    bubble: Floats = depth * expit((1 - distance) * 4)
    return bubble


def lung_depth(scene: Scene, lungs: Bytes) -> Floats:
    """Return what air takes from the density (S, S): more where the lung is deep."""
    small = cv2.resize(lungs * np.float32(1), (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    deep = cv2.GaussianBlur(small, (0, 0), COARSE * 0.035)
    air = 0.16 + 0.22 * deep**2
    if scene.film.findings[CLASS["Emphysema"]]:
        air *= 1.22
    return enlarge(air, scene.settings.size)


def bones(scene: Scene, own: Floats, aerated: Floats) -> Floats:
    """Return the density (S, S) of the skeleton, less that of the air in the windpipe."""
    size, chest = scene.settings.size, scene.chest
    empty = np.zeros((size, size), np.uint8)
    behind, front = ribs(chest, own)
    collar, shoulder = shoulder_bones(chest, own)
    posterior = layer(scene, behind, 110)
    anterior = layer(scene, front, 55)
    thorax = cv2.add(posterior, anterior)
    soft = cv2.GaussianBlur(thorax, (0, 0), size / 300).astype(np.float32)
    inner = cv2.blur(thorax, (int(size / 42) | 1,) * 2).astype(np.float32)
    rib = (soft * 1.5 - inner * 0.6) * np.float32(0.085 / 110)
    rib *= 0.35 + 0.65 * aerated
    girdle = cv2.add(layer(scene, collar, 120), layer(scene, shoulder, 60))
    spine = layer(scene, list(vertebrae()), 60)
    rest = cv2.GaussianBlur(cv2.add(girdle, spine), (0, 0), size / 260)
    pipe = fill(empty, [scene.pixels(outline) for outline in windpipe(chest)[:1]], 200)
    for outline in windpipe(chest)[1:]:
        fill(pipe, [scene.pixels(outline)], 120)
    tube = cv2.GaussianBlur(pipe, (0, 0), size / 150).astype(np.float32)
    rib += rest.astype(np.float32) * np.float32(0.10 / 120)
    rib -= tube * np.float32(0.11 / 200)
    return rib


def layer(scene: Scene, outlines: list[Floats], value: int) -> Bytes:
    """Return canonical outlines filled with a value (S, S) uint8."""
    size = scene.settings.size
    canvas = np.zeros((size, size), np.uint8)
    for outline in outlines:
        fill(canvas, [scene.pixels(outline)], value)
    return canvas


def parenchyma(scene: Scene, own: np.random.Generator, generator: np.random.Generator) -> Floats:
    """Return vessels and the fine texture of the lungs (S, S)."""
    size, sparse = scene.settings.size, bool(scene.film.findings[CLASS["Emphysema"]])
    canvas = np.zeros((size, size), np.uint8)
    for order, curves in reversed(vessels(scene.chest, own, sparse)):
        width = max(1, round(size / 256 * (3, 2, 1)[order]))
        stroke(canvas, [scene.pixels(curve) for curve in curves], (170, 120, 70)[order], width)
    for hilum in scene.chest.hila:
        x, y = scene.pixels(hilum)
        cv2.circle(canvas, (int(x), int(y)), round(size * 0.022), 110, -1)
    lines = cv2.GaussianBlur(canvas, (0, 0), size / 280).astype(np.float32)
    lines *= np.float32((0.10 if sparse else 0.16) / 170)
    lines += 0.011 * cut(generator, "clumps", size, size, size)
    return lines
