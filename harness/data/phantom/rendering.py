"""Paint a scene: x-ray densities layer by layer, then the film's tone."""

from functools import cache
from typing import Final

import cv2
import numpy as np
from scipy.special import expit

from harness.data.phantom import skeleton
from harness.data.phantom.cohort import stream
from harness.data.phantom.distractors import paint_distractors
from harness.data.phantom.names import CLASS
from harness.data.phantom.opacities import paint_lesions
from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats, enlarge, fill, shrink, soften, stroke
from harness.data.phantom.textures import cut, noise
from harness.data.phantom.tone import develop

COARSE: Final = 48
"""Smooth layers are computed on this raster and enlarged."""

OUTER: Final = 128
"""Raster of the body's outline and the windpipe, whose edges are soft on a film."""


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 32 MiB that layers free, instead of giving them back each time.

    glibc raises its thresholds to the size of a large block that is freed. Without it every layer
    of every film is paged in anew: 430 page faults a film of 256 x 256 instead of 48.
    """
    np.empty(1 << 24, np.uint8)


def render(scene: Scene) -> Bytes:
    """Return the image (S, S) of a scene."""
    keep_freed_memory()
    size = scene.settings.size
    generator = stream(scene.settings, "paint", scene.film.index)
    own = stream(scene.settings, "vessels", scene.film.patient)
    lungs = scene.masks[0] | scene.masks[1]
    aerated = soften(lungs * np.uint8(255), size / 250) * np.float32(1 / 255)
    deep = soften(shrink(lungs * np.float32(1), COARSE), COARSE * 0.035)
    frame = own.standard_normal(8).clip(-2, 2)
    density = soft_tissue(scene, spine_and_shoulders(scene, frame), generator)
    ribs = rib_cage(scene, frame)
    density += ribs * np.float32(0.22)
    inside = enlarge(hila(scene) - air(scene, deep), size)
    inside += ribs * np.float32(0.78)
    inside += vessels(scene, own)
    inside += 0.010 * cut(generator, "clumps", size, size, size)
    density += inside * aerated
    paint_lesions(scene, density, aerated, generator)
    paint_distractors(scene, density)
    return develop(scene, density, generator)


def coarse_coordinates(scene: Scene) -> tuple[Floats, Floats]:
    """Return the canonical x and y (COARSE, COARSE) of the coarse raster's cells."""
    size = scene.settings.size
    inverse = cv2.invertAffineTransform(scene.pose).astype(np.float32)
    axis = (np.arange(COARSE, dtype=np.float32) + 0.5) * (size / COARSE)
    x = (inverse[0, 0] * axis[None] + inverse[0, 1] * axis[:, None] + inverse[0, 2]) / size
    y = (inverse[1, 0] * axis[None] + inverse[1, 1] * axis[:, None] + inverse[1, 2]) / size
    return x, y


def soft_tissue(scene: Scene, bone: Floats, generator: np.random.Generator) -> Floats:
    """Return the density (S, S) of the body, ribs and lungs apart, less the windpipe's air.

    `bone` (OUTER, OUTER) is the density of its large bones.
    """
    size, chest = scene.settings.size, scene.chest
    x, y = coarse_coordinates(scene)
    scale = OUTER / size
    outline = fill(np.zeros((OUTER, OUTER), np.uint8), [scene.pixels(chest.body) * scale], 255)
    pipe = np.zeros((OUTER, OUTER), np.uint8)
    for part, value in zip(skeleton.windpipe(chest), (255, 130, 130), strict=True):
        fill(pipe, [scene.pixels(part) * scale], value)
    thick = soften(shrink(outline, COARSE) * np.float32(1 / 255), COARSE * 0.06)
    aside = np.abs(x - 0.5)
    base = max(chest.lungs[0].y[-1], chest.lungs[1].y[-1]) - 0.07
    belly = expit((y - base) / 0.03)
    level = 0.20 + 0.32 * thick**2 + 0.26 * belly * thick
    level += 0.13 * expit((0.10 - aside) / 0.022) + 0.06 * np.exp(-((aside / 0.035) ** 2))
    level -= 0.05 * expit((0.30 - y) / 0.04) * expit((aside - 0.22) / 0.03)
    for cells, unevenness in ((4, 0.012), (10, 0.008)):
        level += unevenness * noise(generator, COARSE, cells)
    if scene.film.sex == "F" and scene.film.age > 14:
        level += breasts(x, y)
    level -= stomach(x, y, chest.lungs[1].y[-1], generator)
    density = enlarge(level, OUTER) + bone
    density -= soften(pipe, 1.2) * np.float32(0.12 / 255)
    density *= soften(outline, 1.1) * np.float32(1 / 255)
    heart = fill(np.zeros_like(pipe), [scene.pixels(chest.heart) * scale], 255)
    density += soften(heart, 1.0) * np.float32(0.035 / 255)
    return enlarge(density, size)


def breasts(x: Floats, y: Floats) -> Floats:
    """Return the density of the breasts: two round shadows with a lower border."""
    shadow = np.zeros_like(x)
    for centre in (0.28, 0.72):
        distance = ((x - centre) / 0.155) ** 2 + ((y - 0.60) / 0.14) ** 2
        shadow += 0.06 * expit((1 - distance) * 7)
    return shadow


def stomach(x: Floats, y: Floats, base: float, generator: np.random.Generator) -> Floats:
    """Return what air in the stomach, under the left dome, takes from the density."""
    depth = 0.25 * max(generator.random() - 0.25, 0)
    across, high = generator.uniform(0.04, 0.08), generator.uniform(0.018, 0.035)
    centre = (0.69 + 0.025 * generator.standard_normal(), base + 0.005)
    distance = ((x - centre[0]) / across) ** 2 + ((y - centre[1]) / high) ** 2
    bubble: Floats = depth * expit((1 - distance) * 4)
    return bubble


def air(scene: Scene, deep: Floats) -> Floats:
    """Return what air takes from the density (OUTER, OUTER): more where the lung is deep."""
    taken = 0.13 + 0.20 * deep**2
    if scene.film.findings[CLASS["Emphysema"]]:
        taken *= 1.12
    return enlarge(taken, OUTER)


def rib_cage(scene: Scene, own: Floats) -> Floats:
    """Return the density (S, S) of ribs and clavicles where they cross air: bright margins."""
    size = scene.settings.size
    behind, front = skeleton.ribs(scene.chest, own)
    cage = fill(np.zeros((size, size), np.uint8), scene.pixels(behind), 110)
    crossing = fill(np.zeros((size, size), np.uint8), scene.pixels(front), 60)
    fill(crossing, scene.pixels(skeleton.clavicles(scene.chest, own)), 110)
    cv2.add(cage, crossing, dst=cage)
    smooth, mean = soften(cage, size / 300), cv2.blur(cage, (int(size / 36) | 1,) * 2)
    scale = 0.060 / 110
    return cv2.addWeighted(smooth, 1.35 * scale, mean, -0.75 * scale, 0, dtype=cv2.CV_32F)


def spine_and_shoulders(scene: Scene, own: Floats) -> Floats:
    """Return the density (OUTER, OUTER) of vertebrae, shoulder blades and upper arms."""
    scale = OUTER / scene.settings.size
    canvas = np.zeros((OUTER, OUTER), np.uint8)
    fill(canvas, scene.pixels(skeleton.vertebrae()) * scale, 100)
    for pair in skeleton.shoulders(scene.chest, own):
        fill(canvas, scene.pixels(pair) * scale, 160)
    return soften(canvas, 0.6) * np.float32(0.042 / 160)


def vessels(scene: Scene, own: np.random.Generator) -> Floats:
    """Return the density (S, S) of the lungs' vessels."""
    size, sparse = scene.settings.size, bool(scene.film.findings[CLASS["Emphysema"]])
    canvas = np.zeros((size, size), np.uint8)
    groups = skeleton.vessels(scene.chest, own, 9 if sparse else 15)
    styles = ((150, 2.2), (105, 1.3), (65, 1.0), (70, 1.0))
    for curves, (value, width) in reversed(list(zip(groups, styles, strict=True))):
        stroke(canvas, scene.pixels(curves), value, max(1, round(size / 256 * width)))
    return soften(canvas, size / 330) * np.float32((0.075 if sparse else 0.115) / 150)


def hila(scene: Scene) -> Floats:
    """Return the density (OUTER, OUTER) of the hilar vessels and nodes."""
    canvas = np.zeros((OUTER, OUTER), np.uint8)
    offsets = np.array([(0.5, -2.4), (1.2, -0.6), (0.7, 1.2), (1.4, 3.0)]) * 0.014
    for hilum, outward in zip(scene.chest.hila, (-1, 1), strict=True):
        nodes = scene.pixels(hilum + offsets * (outward, 1)) * (OUTER / scene.settings.size)
        for x, y in nodes.astype(int):
            cv2.circle(canvas, (int(x), int(y)), 2, 255, -1)
    return soften(canvas, 1.6) * np.float32(0.075 / 255)
