"""Things on a film that are no finding: markers, wires, electrodes, tubes, shadows elsewhere."""

import cv2
import numpy as np

from harness.data.phantom.cohort import stream
from harness.data.phantom.scene import Scene
from harness.data.phantom.shapes import Bytes, Floats, blob, fill, open_curve, soften, stroke


def paint_distractors(scene: Scene, density: Floats) -> None:
    """Add the distractors of a film to its density (S, S), outside lungs and heart."""
    amount = scene.settings.distractors
    if amount == 0:
        return
    generator = stream(scene.settings, "distractors", scene.film.index)
    size = scene.settings.size
    canvas = np.zeros((size, size), np.uint8)
    bedside = scene.film.view == "AP"
    if generator.random() < 0.8 * amount:
        marker(canvas, generator, bedside)
    for _ in range(generator.poisson((1.2 if bedside else 0.15) * amount)):
        wire(scene, canvas, generator)
    if bedside and generator.random() < 0.35 * amount:
        tubes(scene, canvas, generator)
    for _ in range(generator.poisson(0.7 * amount)):
        elsewhere(scene, density, generator)
    organs = scene.masks.any(axis=0)
    canvas[organs] = 0
    density += soften(canvas, size / 400) * np.float32(0.55 / 255)


def marker(canvas: Bytes, generator: np.random.Generator, bedside: bool) -> None:
    """Write a side letter, or more, in an upper corner."""
    size = canvas.shape[0]
    left = generator.random() < 0.5
    x = generator.uniform(0.03, 0.10) if left else generator.uniform(0.86, 0.93)
    place = (int(x * size), int(generator.uniform(0.08, 0.16) * size))
    text = ("R" if left else "L") + ("P" if bedside and generator.random() < 0.4 else "")
    scale = generator.uniform(0.45, 0.8) * size / 256
    cv2.putText(
        canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1 + size // 300, cv2.LINE_AA
    )


def wire(scene: Scene, canvas: Bytes, generator: np.random.Generator) -> None:
    """Draw an electrode on shoulder or abdomen and its wire leaving the film."""
    size = scene.settings.size
    side = generator.choice((0.06, 0.94))
    high = generator.random() < 0.6
    end = np.array(
        (
            side + generator.normal(0, 0.04),
            generator.uniform(0.16, 0.3) if high else generator.uniform(0.82, 0.95),
        )
    )
    out = np.array((side + generator.normal(0, 0.1), -0.15 if high else 1.15))
    middle = (end + out) / 2 + generator.normal(0, 0.05, 2)
    curve = open_curve(np.stack([end, middle, out]))
    stroke(canvas, scene.pixels(curve)[None], 200, max(1, size // 256))
    x, y = scene.pixels(end)
    cv2.circle(canvas, (int(x), int(y)), round(size * 0.012), 180, -1, cv2.LINE_AA)


def tubes(scene: Scene, canvas: Bytes, generator: np.random.Generator) -> None:
    """Draw a tube in the windpipe, or a line in the great vein."""
    chest, size = scene.chest, scene.settings.size
    tip = chest.carina - np.array((0.0, generator.uniform(0.02, 0.1)))
    thick = max(1, round(size / 110))
    if generator.random() < 0.4:
        tip = chest.carina + np.array((-0.035, generator.uniform(-0.05, 0.05)))
        thick = max(1, round(size / 250))
    start = np.array((tip[0] + generator.normal(0, 0.02), -0.1))
    curve = open_curve(np.stack([start, (start + tip) / 2 + generator.normal(0, 0.008, 2), tip]))
    stroke(canvas, scene.pixels(curve)[None], 130, thick)


def elsewhere(scene: Scene, density: Floats, generator: np.random.Generator) -> None:
    """Add a shadow that looks like a nodule or a mass but lies outside lungs and heart."""
    size = scene.settings.size
    radius = float(np.exp(generator.uniform(np.log(0.014), np.log(0.06))))
    centre = generator.uniform(0.03, 0.97, 2)
    outline = blob(generator, centre, (radius, radius), 0.08) * size
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 4, 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 4, size)
    if (low >= high).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    shadow = fill(np.zeros((high - low)[::-1], np.uint8), [outline - low], 255)
    shadow[scene.masks[:, window[0], window[1]].any(axis=0)] = 0
    strength = np.float32(generator.uniform(0.08, 0.2) / 255)
    density[window] += soften(shadow, 0.006 * size) * strength
