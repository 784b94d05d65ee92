"""Smooth curves in the chest's own units, and their rasters."""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[Any]
"""Floating-point numbers of either precision."""
Mask: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]

SUBPIXEL_BITS = 4


@cache
def catmull_rom(knots: int, steps: int, closed: bool) -> Floats:
    """Return the weights (points, knots) of a Catmull-Rom spline through its knots."""
    t = np.arange(steps) / steps
    blend = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )
    segments = knots if closed else knots - 1
    weights = np.zeros((segments * steps + (not closed), knots))
    for segment in range(segments):
        for offset in range(4):
            knot = segment + offset - 1
            knot = knot % knots if closed else min(max(knot, 0), knots - 1)
            weights[segment * steps : (segment + 1) * steps, knot] += blend[offset]
    if not closed:
        weights[-1, -1] = 1
    return weights


def closed_curve(knots: Floats, steps: int = 6) -> Floats:
    """Return a smooth closed curve (len(knots) * steps, 2) through knots (K, 2)."""
    return catmull_rom(len(knots), steps, True) @ knots


def open_curve(knots: Floats, steps: int = 6) -> Floats:
    """Return a smooth curve ((len(knots) - 1) * steps + 1, 2) through knots (K, 2)."""
    return catmull_rom(len(knots), steps, False) @ knots


def mirrored(points: Floats) -> Floats:
    """Return points (N, 2) reflected about the midline x = 0.5."""
    return points * (-1.0, 1.0) + (1.0, 0.0)


def apply_affine(matrix: Floats, points: Floats) -> Floats:
    """Return points (..., 2) moved by an affine matrix (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def fixed_point(points: Floats) -> npt.NDArray[np.int32]:
    """Return pixel coordinates as OpenCV's fixed-point ones, whose pixel centres are whole."""
    fixed: npt.NDArray[np.int32] = np.rint((points - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed


def fill(canvas: Bytes, outlines: Sequence[Floats] | Floats, value: int = 1) -> Bytes:
    """Fill outlines (M, N, 2), in pixels, on a canvas (H, W); overlaps cancel (even-odd)."""
    if isinstance(outlines, np.ndarray):
        polygons = list(fixed_point(outlines))
    else:
        polygons = [fixed_point(outline) for outline in outlines]
    cv2.fillPoly(canvas, polygons, value, cv2.LINE_8, SUBPIXEL_BITS)
    return canvas


def stroke(canvas: Bytes, curves: Floats, value: int, thickness: int = 1) -> Bytes:
    """Draw antialiased open curves (M, N, 2), in pixels, on a canvas (H, W)."""
    points = list(fixed_point(curves))
    cv2.polylines(canvas, points, False, value, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


@cache
def tangents(knots: int, steps: int) -> Floats:
    """Return the weights (points, knots) of an open spline's direction at its points."""
    weights: Floats = np.gradient(catmull_rom(knots, steps, False), axis=0)
    return weights


def ribbon(knots: Floats, width: Floats | float, steps: int = 4) -> Floats:
    """Return the outlines (..., 2N, 2) of bands of a full width (N,) along knots (..., K, 2)."""
    count = knots.shape[-2]
    curve, along = catmull_rom(count, steps, False) @ knots, tangents(count, steps) @ knots
    across = along[..., ::-1] * (-1.0, 1.0)
    across *= (np.asarray(width) / 2 / np.sqrt((along**2).sum(axis=-1)))[..., None]
    return np.concatenate([curve + across, (curve - across)[..., ::-1, :]], axis=-2)


def soften(image: Floats, sigma: float) -> Floats:
    """Return an image (H, W) blurred by a Gaussian of `sigma` pixels, cut at 2.5 of them."""
    size = 2 * max(1, round(2.5 * sigma)) + 1
    blurred: Floats = cv2.GaussianBlur(image, (size, size), sigma)
    return blurred


def enlarge(coarse: Floats, size: int) -> Floats:
    """Return a coarse layer (C, C) at the film's size (size, size), float32."""
    return cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)


def shrink(image: Floats, size: int) -> Floats:
    """Return an image (H, W) averaged down to (size, size)."""
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def blob(
    generator: np.random.Generator, centre: Floats, radii: tuple[float, float], roughness: float
) -> Floats:
    """Return an irregular closed outline (60, 2) about a centre, in its units."""
    angle = np.arange(10) * (2 * np.pi / 10)
    radius = 1 + roughness * generator.standard_normal(10).clip(-1.8, 1.8)
    knots = centre + np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None] * radii
    return closed_curve(knots)


def box_of(support: Bytes) -> tuple[float, float, float, float] | None:
    """Return the tight box (x1, y1, x2, y2) of a mask, in continuous pixels; None if empty."""
    x, y, width, height = cv2.boundingRect(support)
    return (x, y, x + width, y + height) if width and height else None
