"""Where each finding of a film lies, and how large and how plain it is."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.data.phantom.anatomy import Anatomy, Lung
from harness.data.phantom.cohort import Film, stream
from harness.data.phantom.frequencies import prevalences
from harness.data.phantom.names import CLASS, FINDINGS
from harness.data.phantom.seats import (
    HEIGHTS,
    RIGHT,
    ZONES,
    independent_seats,
    spread_seats,
    zone_weights,
)
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Floats, blob, open_curve

MIDDLE: Final = 2
"""`side` of a lesion in neither lung."""

OUTSIDE: Final = 3
"""`side` of a lesion outside lungs and heart."""

ZONE_SPAN: Final = ((0.05, 0.36), (0.36, 0.64), (0.64, 0.88))
"""Upper, mid and lower zone as fractions of the lung's height."""

RADII: Final = {
    "Infiltration": (0.060, 0.095),
    "Mass": (0.042, 0.078),
    "Nodule": (0.013, 0.030),
    "Pneumonia": (0.055, 0.090),
    "Consolidation": (0.060, 0.095),
    "Edema": (0.080, 0.120),
    "Fibrosis": (0.070, 0.110),
}
"""Least and largest radius in fractions of a film of about 40 cm: nodules stay below 3 cm."""

ROUGHNESS: Final = {"Nodule": 0.05, "Mass": 0.10}

ACROSS: Final = {
    "Edema": (0.08, 0.40),
    "Fibrosis": (0.45, 0.90),
    "Mass": (0.25, 0.75),
    "Nodule": (0.15, 0.88),
}
"""Class priors between the medial (0) and the lateral (1) border."""

FAINT: Final = (0.45, 0.90)
PLAIN: Final = (0.75, 1.00)
"""Range of visibility with `neighbours` on (weaker in every zone) and off."""


@dataclass(frozen=True)
class Lesion:
    """One finding in one place."""

    finding: int
    side: int
    """0 right lung, 1 left lung, MIDDLE or OUTSIDE."""
    zone: int
    """Seat in seats.ZONES, or -1."""
    outline: Floats
    """Closed outline (N, 2), canonical; clipped to where `side` says when it is drawn."""
    strength: float
    """Visibility, up to 1."""
    line: Floats | None = None
    """Pleural line (N, 2) of a pneumothorax."""


def lesions_of(settings: PhantomSettings, film: Film, chest: Anatomy) -> list[Lesion]:
    """Return the lesions of a film; a patient's follow-up shows the same finding in one place."""
    lesions = []
    for finding in np.flatnonzero(film.findings):
        place = stream(settings, "places", film.patient, int(finding))
        change = stream(settings, "lesions", film.index, int(finding))
        name = FINDINGS[finding]
        if name in HEIGHTS:
            lesions += zonal(settings, name, chest, place, change)
        elif name in PLEURAL:
            lesions += pleural(settings, name, chest, place, change)
        elif name == "Cardiomegaly":
            lesions.append(Lesion(int(finding), MIDDLE, -1, chest.heart, 1.0))
        elif name == "Hernia":
            lesions.append(hernia(chest, place, change))
    return lesions


def visibility(settings: PhantomSettings, change: np.random.Generator) -> float:
    """Draw how plain a lesion is."""
    low, high = FAINT if settings.neighbours else PLAIN
    return float(change.uniform(low, high))


def seats_of(
    settings: PhantomSettings, name: str, weights: Floats, place: np.random.Generator
) -> list[int]:
    """Return the seats (indices of `weights`) that a present finding takes, at least one."""
    if settings.neighbours:
        return spread_seats(place, name, weights)
    return independent_seats(place, weights, float(prevalences(settings.enrich)[CLASS[name]]))


def zonal(
    settings: PhantomSettings,
    name: str,
    chest: Anatomy,
    place: np.random.Generator,
    change: np.random.Generator,
) -> list[Lesion]:
    """Return one lesion of a parenchymal finding for each zone that it takes."""
    weights = zone_weights(name, settings.location_priors)
    lesions = []
    for zone in seats_of(settings, name, weights, place):
        side, level = ZONES[zone]
        lung = chest.lungs[side == "left"]
        across = ACROSS.get(name, (0.2, 0.8)) if settings.location_priors else (0.1, 0.9)
        top, bottom = ZONE_SPAN[level]
        inset = 0.2 * (bottom - top)
        down = place.uniform(top + inset, bottom - inset)
        centre = lung.at(place.uniform(*across), down) + 0.006 * change.standard_normal(2)
        strength = visibility(settings, change)
        where = int(side == "left")
        if change.random() < settings.outside and name != "Edema":
            where, centre = OUTSIDE, outside_organs(chest, change)
        outline = parenchymal_outline(name, centre, place, change)
        lesions.append(Lesion(CLASS[name], where, zone, outline, strength))
    return lesions


def parenchymal_outline(
    name: str, centre: Floats, place: np.random.Generator, change: np.random.Generator
) -> Floats:
    """Return the outline (N, 2) of a lesion; the size changes a little between films."""
    if name == "Atelectasis":
        return plate(centre, place, change)
    low, high = RADII[name]
    radius = np.exp(place.uniform(np.log(low), np.log(high))) * change.uniform(0.92, 1.08)
    radius = min(radius, high)
    if name in ROUGHNESS:
        return blob(place, centre, (radius, radius), ROUGHNESS[name])
    flat = place.uniform(0.75, 1.15)
    return blob(place, centre, (radius, radius * flat), 0.16)


def plate(centre: Floats, place: np.random.Generator, change: np.random.Generator) -> Floats:
    """Return a plate-like band (N, 2), nearly horizontal, thicker in its middle."""
    length = place.uniform(0.11, 0.19) * change.uniform(0.9, 1.1)
    thick = place.uniform(0.014, 0.034)
    angle = place.normal(0, 0.3)
    t = np.linspace(-0.5, 0.5, 9)
    bend = place.normal(0, 0.02) * (1 - 4 * t**2)
    profile = thick * (0.35 + 0.65 * np.sqrt(np.maximum(1 - (2 * t) ** 2, 0)))
    upper = np.column_stack([t * length, bend - profile / 2])
    lower = np.column_stack([t * length, bend + profile / 2])[::-1]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    band: Floats = np.concatenate([upper, lower]) @ turn + centre
    return band


def outside_organs(chest: Anatomy, generator: np.random.Generator) -> Floats:
    """Return a point (2,) beside the lungs and the heart: mediastinum, neck or upper abdomen."""
    place = generator.integers(3)
    middle, bottom = chest.carina[0], max(chest.lungs[0].y[-1], chest.lungs[1].y[-1])
    if place == 0:
        return np.array((middle + generator.uniform(-0.04, 0.04), generator.uniform(0.2, 0.38)))
    lung = chest.lungs[place - 1]
    across = generator.uniform(0.2, 0.9)
    below = bottom + generator.uniform(-0.02, 0.05)
    return np.array((lung.inner[-40] + across * (lung.outer[-40] - lung.inner[-40]), below))


def hernia(chest: Anatomy, place: np.random.Generator, change: np.random.Generator) -> Lesion:
    """Return a hiatal hernia: a rounded retrocardiac pouch just above the diaphragm."""
    base = chest.heart[:, 1].max()
    radius = place.uniform(0.048, 0.072) * change.uniform(0.93, 1.07)
    centre = np.array((0.5 + place.uniform(0.0, 0.06), base - radius * place.uniform(0.9, 1.3)))
    outline = blob(place, centre, (radius, radius * 0.9), 0.04)
    return Lesion(CLASS["Hernia"], MIDDLE, -1, outline, float(change.uniform(0.75, 1)))


def pleural(
    settings: PhantomSettings,
    name: str,
    chest: Anatomy,
    place: np.random.Generator,
    change: np.random.Generator,
) -> list[Lesion]:
    """Return one lesion for each side; without location priors, a pocket anywhere in the lung."""
    weights = np.array((RIGHT, 1 - RIGHT)) if settings.location_priors else np.full(2, 0.5)
    lesions = []
    for side in seats_of(settings, name, weights, place):
        lung = chest.lungs[side]
        strength = visibility(settings, change)
        line = None
        if settings.location_priors:
            outline, line = PLEURAL[name](lung, place, change)
        else:
            centre = lung.at(place.uniform(0.15, 0.85), place.uniform(0.1, 0.85))
            radii = (place.uniform(0.03, 0.055), place.uniform(0.06, 0.10))
            outline = blob(place, centre, radii, 0.05)
            line = outline if name == "Pneumothorax" else None
        lesions.append(Lesion(CLASS[name], side, -1, outline, strength, line))
    return lesions


def below_meniscus(
    lung: Lung, place: np.random.Generator, change: np.random.Generator
) -> tuple[Floats, None]:
    """Return the outline of free fluid: it blunts the angle and climbs the lateral wall."""
    level = float(np.clip(place.uniform(0.62, 0.97) + change.normal(0, 0.03), 0.5, 0.98))
    across = np.array((-0.4, 0.2, 0.5, 0.78, 0.95, 1.3))
    small = 0.5 * max(level - 0.85, 0)  # only the lateral angle is blunted
    rise = np.array((0.035 + small, 0.035 + small, 0.02 + small, -0.035, -0.10, -0.14))
    surface = open_curve(lung.at(across, level + rise))
    corners = lung.at(np.array((1.4, -0.6)), np.array((1.3, 1.3)))
    return np.concatenate([surface, corners]), None


def apical_rim(
    lung: Lung, place: np.random.Generator, change: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the outline of apical air and the pleural line of the lung that fell away from it."""
    depth = float(np.clip(place.uniform(0.12, 0.38) + change.normal(0, 0.03), 0.10, 0.45))
    length = 0.35 + 1.2 * depth
    top = 0.04 + 0.28 * depth
    across = np.array((-0.1, 0.3, 0.75 - 0.8 * depth, 1 - depth, 1 - 0.7 * depth, 1.03))
    down = np.array((top + 0.03, top, top + 0.05, 0.45 * length, 0.75 * length, length))
    line = open_curve(lung.at(across, down))
    corners = lung.at(np.array((1.5, 1.5, -0.8, -0.8)), np.array((length, -0.2, -0.2, top)))
    return np.concatenate([line, corners]), line


def lateral_band(
    lung: Lung, place: np.random.Generator, change: np.random.Generator
) -> tuple[Floats, None]:
    """Return the outline of thickened pleura along the lateral wall or over the apex."""
    start = place.uniform(0.0, 0.55)
    down = np.linspace(start, start + place.uniform(0.22, 0.42), 9)
    thick = place.uniform(0.07, 0.14) * change.uniform(0.9, 1.1)
    profile = thick * np.sqrt(np.sin(np.pi * np.linspace(0.03, 0.97, 9)))
    apical = np.clip(1 - down / 0.12, 0, 1) * 0.5
    inner = lung.at(1 - profile - apical, down)
    outer = lung.at(np.full(9, 1.4), down)[::-1]
    return np.concatenate([inner, outer]), None


PLEURAL: Final = {
    "Effusion": below_meniscus,
    "Pneumothorax": apical_rim,
    "Pleural_Thickening": lateral_band,
}
