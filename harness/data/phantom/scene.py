"""What is to be painted: a film's anatomy, its pose, its organs and its lesions in pixels."""

from dataclasses import dataclass

import numpy as np

from harness.data.phantom.anatomy import Anatomy, chest_of
from harness.data.phantom.cohort import Film, film_at
from harness.data.phantom.lesions import MIDDLE, OUTSIDE, Lesion, lesions_of
from harness.data.phantom.placement import pose_of
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Bytes, Floats, apply_affine, fill


@dataclass(frozen=True)
class Scene:
    """What is to be painted: anatomy, pose and the support of every lesion in pixels."""

    settings: PhantomSettings
    film: Film
    chest: Anatomy
    pose: Floats
    masks: Bytes
    """Organs (3, S, S), 0 or 1."""
    lesions: list[Lesion]
    supports: list[Bytes]
    """Pixels (S, S) that each lesion takes, 0 or 1."""

    def pixels(self, points: Floats) -> Floats:
        """Return canonical points (..., 2) as image pixels."""
        return apply_affine(self.pose, points * self.settings.size)


def scene_at(settings: PhantomSettings, index: int) -> Scene:
    """Return the scene of phantom `index`."""
    if index < 0:
        raise IndexError(f"a phantom's index is 0 or more, not {index}")
    film = film_at(settings, index)
    chest = chest_of(settings, film)
    pose = pose_of(settings, film)
    masks = organ_masks(settings.size, chest, pose)
    lesions = lesions_of(settings, film, chest)
    supports = [support_of(lesion, masks, pose) for lesion in lesions]
    return Scene(settings, film, chest, pose, masks, lesions, supports)


def organ_masks(size: int, chest: Anatomy, pose: Floats) -> Bytes:
    """Return left lung, right lung and heart (3, S, S) as 0 or 1.

    A lung mask is the lung field: air, fluid and opacities in it included, heart and
    mediastinum not.
    """
    organs = np.zeros((size, size), np.uint8)

    def draw(outline: Floats, value: int) -> None:
        fill(organs, [apply_affine(pose, outline * size)], value)

    right, left = chest.lungs
    draw(left.outline, 1)
    draw(right.outline, 2)
    for hiding in chest.middle[1:]:
        draw(hiding, 0)
    draw(chest.heart, 3)
    masks: Bytes = (organs == np.array((1, 2, 3), np.uint8)[:, None, None]).view(np.uint8)
    return masks


def support_of(lesion: Lesion, masks: Bytes, pose: Floats) -> Bytes:
    """Return the pixels (S, S) of a lesion: its outline within the lung, or outside the organs.

    A lesion of which that would leave nothing keeps its whole outline.
    """
    size = masks.shape[-1]
    support = fill(np.zeros((size, size), np.uint8), [apply_affine(pose, lesion.outline * size)])
    if lesion.side == MIDDLE:
        return support
    allowed = ~masks.any(axis=0) if lesion.side == OUTSIDE else masks[1 - lesion.side]
    clipped: Bytes = support & allowed.view(np.uint8)
    return clipped if clipped.any() else support
