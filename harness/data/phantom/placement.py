"""Where the chest lies on the film: shift, scale and rotation."""

import numpy as np

from harness.data.phantom.cohort import Film, stream
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Floats, apply_affine

ROTATION = np.deg2rad(2.5)
SCALE = 0.045
ASPECT = 0.012
SHIFT = 0.03
"""Standard deviations at pose_spread 1 (fractions of the film); cut at two of them."""

CHEST = np.array([(0.10, 0.12), (0.90, 0.12), (0.90, 0.82), (0.10, 0.82)])
MARGIN = 0.03
"""The chest's frame leaves the film by no more than this."""


def pose_of(settings: PhantomSettings, film: Film) -> Floats:
    """Return the affine (2, 3) from canonical to image pixels; identity at pose_spread 0.

    A film at the bedside (AP) is misplaced 1.3 times as much.
    """
    draws = stream(settings, "pose", film.index).standard_normal(5).clip(-2, 2)
    draws = draws * settings.pose_spread * (1.3 if film.view == "AP" else 1.0)
    angle = draws[0] * ROTATION
    stretch = np.exp(draws[1] * SCALE + draws[2] * ASPECT * np.array((1, -1)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn * stretch
    centre = np.array((0.5, 0.5))
    pose = np.column_stack([linear, centre - linear @ centre + draws[3:] * SHIFT])
    corners = apply_affine(pose, CHEST)
    low, high = corners.min(axis=0), corners.max(axis=0)
    pose[:, 2] += np.maximum(-MARGIN - low, 0) - np.maximum(high - 1 - MARGIN, 0)
    pose[:, 2] *= settings.size
    return pose
