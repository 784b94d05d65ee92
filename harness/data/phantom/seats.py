"""Which lung zones, or which sides, a finding takes."""

from typing import Final

import numpy as np

from harness.data.phantom.shapes import Floats

ZONES: Final = (("right", 0), ("right", 1), ("right", 2), ("left", 0), ("left", 1), ("left", 2))
"""Seats of a parenchymal finding: (side, upper 0, mid 1 or lower 2)."""

ZONE_EDGES: Final = ((0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5))
"""Neighbouring zones: above each other, or mirror images."""

SIDE_EDGES: Final = ((0, 1),)

RIGHT: Final = 0.55
"""Share of findings on the right, where the larger lung is."""

HEIGHTS: Final = {
    "Atelectasis": (0.10, 0.25, 0.65),
    "Infiltration": (0.20, 0.35, 0.45),
    "Mass": (0.45, 0.35, 0.20),
    "Nodule": (0.45, 0.30, 0.25),
    "Pneumonia": (0.08, 0.22, 0.70),
    "Consolidation": (0.25, 0.20, 0.55),
    "Edema": (0.20, 0.60, 0.20),
    "Fibrosis": (0.35, 0.15, 0.50),
}
"""Class priors: how a finding is shared between upper, mid and lower zones."""

SPREAD: Final = {
    "Atelectasis": 0.40,
    "Infiltration": 0.50,
    "Mass": 0.12,
    "Nodule": 0.25,
    "Pneumonia": 0.40,
    "Consolidation": 0.40,
    "Edema": 0.80,
    "Fibrosis": 0.60,
    "Effusion": 0.45,
    "Pneumothorax": 0.03,
    "Pleural_Thickening": 0.35,
}
"""Probability that a finding passes between two neighbouring seats."""


def zone_weights(name: str, location_priors: bool) -> Floats:
    """Return how probable each of the six zones is, relative to the others (6,), summing to 1."""
    if not location_priors:
        return np.full(6, 1 / 6)
    heights = np.array(HEIGHTS[name])
    return np.concatenate([heights * RIGHT, heights * (1 - RIGHT)])


def spread_seats(generator: np.random.Generator, name: str, weights: Floats) -> list[int]:
    """Return the seats reached from one seat over open edges (percolation)."""
    edges = ZONE_EDGES if len(weights) == 6 else SIDE_EDGES
    first = int(np.searchsorted(np.cumsum(weights)[:-1], generator.random(), side="right"))
    passable = [e for e, u in zip(edges, generator.random(7), strict=False) if u < SPREAD[name]]
    reached = {first}
    for _ in edges:
        for a, b in passable:
            if a in reached or b in reached:
                reached |= {a, b}
    return sorted(reached)


def independent_seats(
    generator: np.random.Generator, weights: Floats, prevalence: float
) -> list[int]:
    """Return seats drawn independently of each other, given that there is one.

    A seat of weight w is taken with probability 1 - (1 - p)^w, so that none is taken with
    probability 1 - p: over images that have the finding with prevalence p, seats are independent.
    """
    absent = 1 - prevalence
    draws = generator.random(len(weights))
    taken: list[int] = []
    for seat, weight in enumerate(weights):
        chance = 1 - absent**weight
        if not taken:
            chance /= 1 - absent ** weights[seat:].sum()
        if draws[seat] < chance:
            taken.append(seat)
    return taken or [len(weights) - 1]
