"""Ribs, clavicles, shoulder blades, spine, windpipe and lung vessels of a chest."""

from functools import cache
from itertools import pairwise

import numpy as np

from harness.data.phantom import template
from harness.data.phantom.anatomy import Anatomy, Lung
from harness.data.phantom.shapes import Floats, band, closed_curve, mirrored, open_curve


def ribs(chest: Anatomy, own: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return the outlines of the posterior and of the anterior ribs of both sides, canonical."""
    posterior, anterior = [], []
    sag = 0.012 * own[0]
    for lung, inward in zip(chest.lungs, (1.0, -1.0), strict=True):
        height = lung.y[-1] - lung.y[0]
        for number in range(10):
            behind, wall = posterior_rib(chest, lung, number, inward, height, sag)
            posterior.append(band(behind, template.RIB_WIDTH * chest.height))
            if 0 < number < 8:
                front = anterior_rib(chest, wall, number, inward, height)
                anterior.append(band(front, template.RIB_WIDTH * 1.1 * chest.height))
    return posterior, anterior


def posterior_rib(
    chest: Anatomy, lung: Lung, number: int, inward: float, height: float, sag: float
) -> tuple[Floats, Floats]:
    """Return a posterior rib's curve (N, 2) from the spine, and where it meets the wall (2,)."""
    start_y = lung.y[0] + height * (-0.02 + 0.088 * number)
    drop = height * (0.05 + 0.020 * number + sag)
    wall_y = start_y + drop
    wall_x = np.interp(wall_y, lung.y, lung.outer) - inward * 0.004
    spine_x = 0.5 - inward * 0.028
    wall = np.array((wall_x, wall_y))
    along = np.array((0.0, 0.25, 0.55, 0.85, 1.0))
    rise = np.array((0.0, -0.022, -0.012, 0.35 * drop, drop))
    knots = np.column_stack([spine_x + (wall_x - spine_x) * along, start_y + rise])
    return open_curve(knots, 4), wall


def anterior_rib(chest: Anatomy, wall: Floats, number: int, inward: float, height: float) -> Floats:
    """Return an anterior rib's curve (N, 2), steeply down from the wall towards the sternum."""
    end_x = 0.5 - inward * (0.10 + 0.014 * number) * chest.width
    drop = height * (0.10 + 0.018 * number)
    along = np.array((0.0, 0.08, 0.4, 0.75, 1.0))
    fall = np.array((0.0, 0.22, 0.62, 0.95, 1.0))
    return open_curve(
        np.column_stack([wall[0] + (end_x - wall[0]) * along, wall[1] + drop * fall]), 4
    )


def shoulder_bones(chest: Anatomy, own: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return the outlines of clavicles, and of shoulder blades and upper arms, canonical."""
    clavicle = template.CLAVICLE + np.array((0, 0.012 * own[1]))
    collar = band(open_curve(clavicle, 4), 0.024)
    blade = closed_curve(template.SCAPULA + np.array((-0.018 - 0.012 * own[2], 0.01 * own[3])), 4)
    arm = band(open_curve(template.HUMERUS, 4), 0.055)
    return (
        [chest.place(p) for p in (collar, mirrored(collar))],
        [chest.place(p) for p in (blade, mirrored(blade), arm, mirrored(arm))],
    )


@cache
def vertebrae() -> tuple[Floats, ...]:
    """Return the outlines (4, 2) of the vertebral bodies, canonical."""
    tops = -0.02 + np.cumsum(np.linspace(0.030, 0.056, 22))
    outlines = []
    for top, bottom in pairwise(tops):
        half = 0.026 + 0.010 * top
        low = bottom - 0.009
        outlines.append(
            np.array([(0.5 - half, top), (0.5 + half, top), (0.5 + half, low), (0.5 - half, low)])
        )
    return tuple(outlines)


def windpipe(chest: Anatomy) -> list[Floats]:
    """Return the outlines of trachea and main bronchi, canonical."""
    trachea = chest.place(template.TRACHEA)
    outlines = [band(open_curve(trachea, 4), 0.036)]
    for hilum in chest.hila:
        middle = chest.carina * 0.45 + hilum * 0.55 - np.array((0, 0.012))
        bronchus = open_curve(np.stack([chest.carina - np.array((0, 0.015)), middle, hilum]), 4)
        outlines.append(band(bronchus, np.linspace(0.028, 0.014, len(bronchus))))
    return outlines


def vessels(
    chest: Anatomy, generator: np.random.Generator, sparse: bool
) -> list[tuple[int, list[Floats]]]:
    """Return (order, canonical curves): trunks at the hila 0, branches 1, twigs 2."""
    orders: list[list[Floats]] = [[], [], []]
    for lung, hilum in zip(chest.lungs, chest.hila, strict=True):
        count = 8 if sparse else 13
        across = 0.45 + 0.5 * generator.random(count)
        down = np.linspace(0.06, 0.93, count) + 0.02 * generator.standard_normal(count)
        ends = lung.at(across, down)
        bend = generator.standard_normal((count, 2, 2)) * 0.014
        for end, bent in zip(ends, bend, strict=True):
            start = hilum + (end - hilum) * 0.08
            knots = np.stack(
                [
                    start,
                    hilum + (end - hilum) * 0.35 + bent[0],
                    (hilum + 2 * end) / 3 + bent[1],
                    end,
                ]
            )
            curve = open_curve(knots, 4)
            orders[0].append(curve[:5])
            orders[1].append(curve[4:9])
            orders[2].append(curve[8:])
            orders[2] += twigs(curve, generator)
    return list(enumerate(orders))


def twigs(curve: Floats, generator: np.random.Generator) -> list[Floats]:
    """Return two side branches of a vessel (N, 2)."""
    branches = []
    for at, turn, length in zip((5, 8), (0.6, -0.6), generator.uniform(0.03, 0.07, 2), strict=True):
        direction = curve[at + 1] - curve[at]
        direction = direction / (np.linalg.norm(direction) + 1e-9)
        cosine, sine = np.cos(turn), np.sin(turn)
        turned = np.array(
            (
                cosine * direction[0] - sine * direction[1],
                sine * direction[0] + cosine * direction[1],
            )
        )
        branches.append(np.stack([curve[at], curve[at] + turned * length]))
    return branches
