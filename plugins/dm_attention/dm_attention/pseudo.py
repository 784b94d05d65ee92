"""Pseudo disease masks: where textbooks say that diseases sit, drawn on the anchor (section 4.4).

Shapes are boxes x1, y1, x2, y2 and ellipses inscribed in them, in fractions of the anchor's width
and height. Left and right are the image's here: the heart leans to the image's right.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RISE = 0.75  # an organ's edge: this far up from the darkest place to the brightest beyond it
LUNG_ROWS = (0.25, 0.6)  # a frontal radiograph shows both lungs between these rows,
LUNG_COLUMNS = (0.125, 0.5)  # and each lung's middle between these columns from its side


class Box(NamedTuple):
    """A rectangle in fractions of the frame."""

    x1: float
    y1: float
    x2: float
    y2: float


class Anatomy(NamedTuple):
    """Where the organs lie in the anchor."""

    left: Box
    right: Box
    heart: Box


def _valley(profile: Tensor, window: slice) -> tuple[int, int]:
    """Return where the deepest valley of a brightness profile (n,) begins and ends, in pixels.

    Its bottom lies in the window, and depth counts below the lower of the two crests: the dark
    air around the body is no valley.
    """
    left_crest = profile.cummax(0).values
    right_crest = profile.flip(0).cummax(0).values.flip(0)
    depth = torch.minimum(left_crest, right_crest) - profile
    bottom = window.start + int(depth[window].argmax())

    def rise(side: Tensor) -> int:
        high = side >= side[0] + RISE * (side.max() - side[0])
        return max(int(high.int().argmax()), 1)

    return bottom + 1 - rise(profile[: bottom + 1].flip(0)), bottom + rise(profile[bottom:])


def _window(shares: tuple[float, float], length: int) -> slice:
    start = int(shares[0] * length)
    return slice(start, max(int(shares[1] * length), start + 1))


def _lung(half: Tensor) -> tuple[int, int, int, int]:
    """Find the lung in half an anchor (H, W / 2) whose columns run from the side to the middle."""
    height, width = half.shape
    rows = _window(LUNG_ROWS, height)
    x1, x2 = _valley(half[rows].mean(0), _window(LUNG_COLUMNS, 2 * width))
    y1, y2 = _valley(half[:, x1:x2].mean(1), rows)
    return x1, y1, x2, y2


def find_anatomy(anchor: Tensor) -> Anatomy:
    """Locate lungs and heart in the anchor (1, H, W) by the two dark valleys between its crests.

    The heart stands on the lungs' floor, from their mid-height down, one sixth of a lung's width
    beyond the medial edge on the image's left and one third on its right.
    """
    _, height, width = anchor.shape
    middle = width // 2
    x1, y1, x2, y2 = _lung(anchor[0, :, :middle])
    left = Box(x1 / width, y1 / height, x2 / width, y2 / height)
    x1, y1, x2, y2 = _lung(anchor[0, :, -middle:].flip(1))
    right = Box(1 - x2 / width, y1 / height, 1 - x1 / width, y2 / height)
    bottom = max(left.y2, right.y2)
    heart = Box(
        left.x2 - (left.x2 - left.x1) / 6,
        (min(left.y1, right.y1) + bottom) / 2,
        right.x1 + (right.x2 - right.x1) / 3,
        bottom,
    )
    return Anatomy(left, right, heart)


def _ellipse(box: Box, x: Tensor, y: Tensor) -> Tensor:
    across, down = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    wide, high = (box.x2 - box.x1) / 2, (box.y2 - box.y1) / 2
    return ((x - across) / wide) ** 2 + ((y - down) / high) ** 2 <= 1


def _below(box: Box, share: float, y: Tensor) -> Tensor:
    return y >= box.y2 - share * (box.y2 - box.y1)


def _lungs(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    return _ellipse(body.left, x, y) | _ellipse(body.right, x, y)


def _lower_lungs(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    lungs = (body.left, body.right)
    return torch.stack([_ellipse(lung, x, y) & _below(lung, 1 / 2, y) for lung in lungs]).any(0)


def _upper_lungs(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    return _lungs(body, x, y) & ~_lower_lungs(body, x, y)


def _lung_floors(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    inside = [
        (lung.x1 <= x) & (x <= lung.x2) & (y <= lung.y2) & _below(lung, 1 / 3, y)
        for lung in (body.left, body.right)
    ]
    return torch.stack(inside).any(0)


def _heart(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    return _ellipse(body.heart, x, y)


def _lower_heart(body: Anatomy, x: Tensor, y: Tensor) -> Tensor:
    return _heart(body, x, y) & _below(body.heart, 1 / 2, y)


Drawing = Callable[[Anatomy, Tensor, Tensor], Tensor]
DRAWINGS: dict[str, Drawing] = {
    "Atelectasis": _lower_lungs,
    "Cardiomegaly": _heart,
    "Effusion": _lung_floors,
    "Infiltration": _lungs,
    "Mass": _lungs,
    "Nodule": _lungs,
    "Pneumonia": _lungs,
    "Pneumothorax": _upper_lungs,
    "Consolidation": _lungs,
    "Edema": _lungs,
    "Emphysema": _lungs,
    "Fibrosis": _lower_lungs,
    "Pleural_Thickening": _upper_lungs,
    "Hernia": _lower_heart,
}


def pseudo_masks(anchor: Tensor, classes: Sequence[str], size: int) -> Tensor:
    """Draw masks (C, size, size) of 0 and 1 on the anatomy of the anchor (1, H, W).

    A cell is 1 where its centre lies in the class's drawing; a class without a drawing is 0.
    """
    body = find_anatomy(anchor)
    centres = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    nothing = torch.zeros(size, size)
    return torch.stack(
        [DRAWINGS[name](body, x, y).float() if name in DRAWINGS else nothing for name in classes]
    )
