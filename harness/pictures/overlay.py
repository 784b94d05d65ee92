"""A radiograph with a heat map and boxes drawn into its pixels; needs numpy and OpenCV alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.files import write_atomically

Pixels = NDArray[np.uint8]
TRUE, PREDICTED = (230, 40, 40), (255, 220, 60)
"""The colours (red, green, blue) of a radiologist's box and of a model's box."""


def blended(radiograph: NDArray[Any], heat: NDArray[Any], strength: float = 0.45) -> Pixels:
    """Return a radiograph (H, W) uint8 under a heat map (H, W) as colours (H, W, 3).

    The map is stretched from its lowest to its highest value; a constant map tints nothing. The
    tint grows with the value, so that what the model did not look at stays a grey radiograph.
    """
    low, high = float(heat.min()), float(heat.max())
    level = (heat - low) / (high - low) if high > low else np.zeros(heat.shape)
    coloured = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    weight = strength * level[..., None]
    return np.asarray(grey(radiograph) * (1 - weight) + coloured * weight).round().astype(np.uint8)


def grey(radiograph: NDArray[Any]) -> Pixels:
    """Return a radiograph (H, W) uint8 as colours (H, W, 3)."""
    return np.repeat(np.asarray(radiograph, dtype=np.uint8)[..., None], 3, axis=2)


def tinted(
    picture: Pixels, mask: NDArray[Any], colour: tuple[int, int, int], strength: float = 0.4
) -> Pixels:
    """Return a picture (H, W, 3) with a colour where a mask (H, W) in [0, 1] is."""
    weight = strength * mask[..., None]
    return np.asarray(picture * (1 - weight) + np.array(colour) * weight).round().astype(np.uint8)


def with_box(
    picture: Pixels,
    box: Iterable[float],
    colour: tuple[int, int, int],
    text: str = "",
    thick: int | None = None,
) -> Pixels:
    """Return a picture (H, W, 3) with a box x1, y1, x2, y2 in its pixels and a text above it.

    Lines are ``thick`` pixels, by default as the picture is large.
    """
    height, width = picture.shape[:2]
    drawn = np.array(picture)
    thick = thick or max(1, round(max(height, width) / 300))
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, thick)
    if text:
        scale = max(height, width) / 900
        above = y1 - 2 * thick if y1 > 30 * scale else y1 + round(30 * scale)
        cv2.putText(
            drawn, text, (x1, above), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA
        )
    return np.asarray(drawn, dtype=np.uint8)


def png(picture: NDArray[Any]) -> bytes:
    """Return a picture (H, W) or (H, W, 3), uint8, as the bytes of a PNG file."""
    shown = picture[..., ::-1] if picture.ndim == 3 else picture
    return bytes(cv2.imencode(".png", np.ascontiguousarray(shown))[1])


def jpeg(picture: Pixels, quality: int = 85) -> bytes:
    """Return a picture (H, W, 3) as the bytes of a JPEG file, colours at full resolution."""
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, *full]
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), settings)[1])


def write_png(path: Path, picture: NDArray[Any]) -> None:
    """Write a picture as a PNG file, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_bytes(png(picture)))
