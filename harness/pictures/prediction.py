"""A prediction as a picture: the radiograph, where the model looked, its boxes, what it is not."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.pictures.overlay import PREDICTED, Pixels, blended, grey, with_box

NOTICE = "For research only, not for diagnosis"
LEAST_WIDTH = 640  # pixels in which the lines at the foot can be read
_COLUMNS = 64  # characters of a line at the foot


def prediction_picture(
    radiograph: NDArray[Any],
    heat: NDArray[Any] | None,
    boxes: Sequence[tuple[Sequence[float], str]],
    lines: Sequence[str],
) -> Pixels:
    """Return a radiograph (H, W) uint8 under its heat map (H, W), with boxes and their texts.

    Under it, outside the radiograph's pixels, stand NOTICE and the lines. Small radiographs are
    enlarged by a whole number.
    """
    picture = grey(radiograph) if heat is None else blended(radiograph, heat)
    times = max(1, -(-LEAST_WIDTH // picture.shape[1]))
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    for box, text in boxes:
        picture = with_box(picture, [times * side for side in box], PREDICTED, text)
    return with_foot(picture, [NOTICE, *lines])


def with_foot(picture: Pixels, lines: Sequence[str]) -> Pixels:
    """Return a picture (H, W, 3) with lines of text, broken where too long, on black below it."""
    width = picture.shape[1]
    parts = [part for line in lines for part in wrap(line, _COLUMNS)]
    scale = width / (_COLUMNS * 20.0)  # the widest letters of the font have 20 pixels at scale 1
    step = round(36 * scale) + 2
    foot = np.zeros((step * len(parts) + step // 2, width, 3), dtype=np.uint8)
    thick = max(1, round(1.5 * scale))
    for number, part in enumerate(parts, start=1):
        at = (step // 3, number * step - step // 8)
        cv2.putText(foot, part, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,) * 3, thick, cv2.LINE_AA)
    return np.concatenate([picture, foot])
