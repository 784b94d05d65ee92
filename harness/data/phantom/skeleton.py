"""Ribs, clavicles, shoulder blades, spine, windpipe and lung vessels of a chest."""

from functools import cache

import numpy as np

from harness.data.phantom import template
from harness.data.phantom.anatomy import Anatomy
from harness.data.phantom.shapes import (
    Floats,
    catmull_rom,
    closed_curve,
    mirrored,
    ribbon,
)

POSTERIOR = np.arange(11)
ANTERIOR = slice(0, 8)


def ribs(chest: Anatomy, own: Floats) -> tuple[Floats, Floats]:
    """Return the outlines of posterior (22, N, 2) and anterior ribs (16, N, 2), canonical."""
    behind, front = [], []
    for lung, inward in zip(chest.lungs, (1.0, -1.0), strict=True):
        height = lung.y[-1] - lung.y[0]
        start = lung.y[0] + height * (-0.045 + (0.083 + 0.004 * own[0]) * POSTERIOR)
        drop = height * (0.07 + 0.016 * POSTERIOR + 0.014 * own[1])
        wall_y = start + drop
        wall_x = np.interp(wall_y, lung.y, lung.outer) - inward * 0.006
        behind.append(posterior_ribs(start, drop, wall_x, inward))
        front.append(anterior_ribs(chest, wall_x[ANTERIOR], wall_y[ANTERIOR], inward, height))
    width = template.RIB_WIDTH * chest.height * (1 + 0.1 * own[2])
    return (
        ribbon(np.concatenate(behind), width * np.linspace(0.75, 1.0, 17)),
        ribbon(np.concatenate(front), width * np.linspace(0.95, 1.25, 17)),
    )


def posterior_ribs(start: Floats, drop: Floats, wall_x: Floats, inward: float) -> Floats:
    """Return knots (M, 5, 2) from the spine, nearly level, then down to the lateral wall."""
    spine_x = 0.5 - inward * 0.025
    along = np.array((0.0, 0.22, 0.52, 0.84, 1.0))
    fall = np.array((0.0, -0.05, 0.10, 0.52, 1.0))
    bow = np.array((0.0, -0.010, -0.008, 0.0, 0.0))
    x = spine_x + (wall_x - spine_x)[:, None] * along
    return np.stack([x, start[:, None] + drop[:, None] * fall + bow], axis=-1)


def anterior_ribs(
    chest: Anatomy, wall_x: Floats, wall_y: Floats, inward: float, height: float
) -> Floats:
    """Return knots (M, 5, 2) from the lateral wall steeply down towards the sternum."""
    number = np.arange(len(wall_x))
    end_x = 0.5 - inward * (0.085 + 0.016 * number) * chest.width
    drop = height * (0.09 + 0.022 * number)
    along = np.array((0.0, 0.06, 0.36, 0.72, 1.0))
    fall = np.array((0.0, 0.20, 0.60, 0.92, 1.0))
    x = wall_x[:, None] + (end_x - wall_x)[:, None] * along
    return np.stack([x, wall_y[:, None] + drop[:, None] * fall], axis=-1)


def clavicles(chest: Anatomy, own: Floats) -> Floats:
    """Return the outlines (2, N, 2) of the clavicles, canonical."""
    knots = template.CLAVICLE + np.array((0, 0.014 * own[3]))
    return both(chest, ribbon(knots, np.linspace(0.026, 0.020, 21)))


def both(chest: Anatomy, right: Floats) -> Floats:
    """Return a template outline (N, 2) and its mirror image (2, N, 2) in a chest."""
    return chest.place(np.stack([right, mirrored(right)]))


def shoulders(chest: Anatomy, own: Floats) -> list[Floats]:
    """Return the outlines (2, N, 2) of the shoulder blades and of the upper arms, canonical."""
    blade = closed_curve(template.SCAPULA + np.array((-0.02 - 0.015 * own[4], 0.01 * own[5])), 4)
    arm = ribbon(template.HUMERUS, 0.055)
    return [both(chest, blade), both(chest, arm)]


@cache
def vertebrae() -> Floats:
    """Return the outlines (22, 4, 2) of the vertebral bodies, canonical."""
    edges = -0.02 + np.cumsum(np.linspace(0.030, 0.056, 23))
    top, low = edges[:-1], edges[1:] - 0.010
    half = 0.025 + 0.010 * top
    x = 0.5 + np.stack([-half, half, half, -half], axis=1)
    return np.stack([x, np.stack([top, top, low, low], axis=1)], axis=-1)


def windpipe(chest: Anatomy) -> list[Floats]:
    """Return the outlines (N, 2) of trachea and main bronchi, canonical."""
    outlines = [ribbon(chest.place(template.TRACHEA), 0.038)]
    for hilum in chest.hila:
        middle = chest.carina * 0.45 + hilum * 0.55 - np.array((0, 0.012))
        knots = np.stack([chest.carina - np.array((0, 0.015)), middle, hilum])
        outlines.append(ribbon(knots, np.linspace(0.030, 0.014, 9)))
    return outlines


def vessels(chest: Anatomy, generator: np.random.Generator, count: int) -> list[Floats]:
    """Return curves (M, N, 2), canonical: `count` trunks a lung, then their branches, twigs."""
    curves = []
    for lung, hilum in zip(chest.lungs, chest.hila, strict=True):
        across = 0.35 + 0.6 * generator.random(count)
        down = np.linspace(0.05, 0.94, count) + 0.03 * generator.standard_normal(count)
        ends = lung.at(across, down.clip(0.03, 0.97))
        source = hilum + 0.016 * generator.standard_normal((count, 2)) * (0.6, 1.6)
        bends = generator.standard_normal((2, count, 2)) * 0.016
        first = source + (ends - source) * 0.33 + bends[0]
        second = source + (ends - source) * 0.68 + bends[1]
        curves.append(np.stack([source, first, second, ends], axis=1))
    trunks = catmull_rom(4, 4, False) @ np.concatenate(curves)
    return [trunks[:, :6], trunks[:, 5:10], trunks[:, 9:], side_branches(trunks, generator)]


def side_branches(trunks: Floats, generator: np.random.Generator) -> Floats:
    """Return branches (4M, 3, 2): four leave each trunk (M, 13, 2), turning right and left."""
    origins = np.array((3, 5, 7, 9))
    start = trunks[:, origins].reshape(-1, 2)
    direction = (trunks[:, origins + 1] - trunks[:, origins]).reshape(-1, 2)
    direction /= np.sqrt((direction**2).sum(axis=1, keepdims=True)) + 1e-9
    count = len(start)
    turn = 0.7 * generator.uniform(0.6, 1.4, count) * generator.choice((-1, 1), count)
    reach = 0.05 * generator.uniform(0.5, 1.3, (count, 1))

    def turned(angle: Floats) -> Floats:
        cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return direction * cosine + direction[:, ::-1] * (-1, 1) * sine

    middle = start + turned(turn * 0.6) * reach * 0.5
    return np.stack([start, middle, middle + turned(turn * 1.2) * reach * 0.5], axis=1)
