"""Heat maps in the frame of the original image, where boxes were drawn.

A heat map covers the field of a model's input: cell (i, j) of h x w is the patch of the input of
`frame` pixels around its centre, and values between centres are bilinear. `to_original` (2, 3)
maps input pixels to original ones, so that a cropped, aligned or rotated input is undone here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.errors import RecordError
from harness.metrics.ranking import Bools, Floats, Ints

Singles = NDArray[np.float32]

ROWS = 64
"""Rows of an original resampled together: their temporaries stay in the processor's cache."""


@dataclass(frozen=True)
class HeatMaps:
    """One map for each annotated box, of that box's image and class.

    Raises RecordError for values that are not finite and for maps of other shapes than said.
    """

    maps: NDArray[Any]  # (n, h, w) higher is more disease
    to_original: NDArray[Any]  # (n, 2, 3) input pixels to original pixels
    frame: tuple[int, int]  # height, width of the model's input that the maps cover
    sizes: Ints  # (n, 2) height, width of the original images

    def __post_init__(self) -> None:
        n = len(self.maps)
        shapes = (self.maps.ndim, self.to_original.shape, self.sizes.shape)
        if shapes != (3, (n, 2, 3), (n, 2)):
            raise RecordError(
                f"heat maps {self.maps.shape}, to_original {self.to_original.shape} and sizes "
                f"{self.sizes.shape} must be (n, h, w), (n, 2, 3) and (n, 2)"
            )
        wrong = ~np.isfinite(self.maps).all(axis=(1, 2))
        if wrong.any():
            first = np.flatnonzero(wrong)[0]
            raise RecordError(
                f"{wrong.sum()} of {n} heat maps hold values that are not finite, first map {first}"
            )
        if (np.linalg.det(self.to_original[:, :, :2].astype(np.float64)) == 0).any():
            raise RecordError("a to_original of the heat maps cannot be inverted")

    def take(self, rows: Ints) -> "HeatMaps":
        """Pick maps by index (m,)."""
        return HeatMaps(self.maps[rows], self.to_original[rows], self.frame, self.sizes[rows])

    def in_original(self, i: int, grid: tuple[int, int] | None = None) -> Singles:
        """Resample map i into original pixels (H, W), or into another `grid` over the image."""
        height, width = (int(side) for side in self.sizes[i])
        return in_original(self.maps[i], self.to_original[i], self.frame, (height, width), grid)

    def centres(self, i: int, cells: Ints) -> Floats:
        """Give the original x, y (K, 2) of the centres of map i's cells (K, 2), row and column."""
        height, width = self.maps.shape[1:]
        scale = [self.frame[1] / width, self.frame[0] / height]
        matrix = self.to_original[i]
        return np.asarray((cells[:, ::-1] + 0.5) * scale @ matrix[:, :2].T + matrix[:, 2])


def in_original(
    heat: NDArray[Any],
    to_original: NDArray[Any],
    frame: tuple[int, int],
    size: tuple[int, int],
    grid: tuple[int, int] | None = None,
) -> Singles:
    """Resample one map (h, w) bilinearly at the pixel centres of its original image (H, W).

    `frame` and `size` are (height, width) of the model's input and of the original. `grid`
    samples the original at another resolution. Pixels that the input does not cover get the
    lowest value of those that it does.
    """
    height, width = grid or size
    scale = np.array([[size[1] / width], [size[0] / height]])
    to_cells = _to_cells(to_original, frame, heat.shape)
    matrix, offset = to_cells[:, :2] * scale.T, to_cells[:, 2]
    if matrix[0, 1] == matrix[1, 0] == 0:
        return _stretched(heat, np.diag(matrix), offset, (height, width))
    return _turned(heat, matrix, offset, (height, width))


def _to_cells(to_original: NDArray[Any], frame: tuple[int, int], cells: tuple[int, ...]) -> Floats:
    """Give the affine map (2, 3) from original pixels to heat map cells, both x before y."""
    matrix = np.linalg.inv(to_original[:, :2].astype(np.float64))
    inverse = np.column_stack([matrix, -matrix @ to_original[:, 2]])
    return np.asarray(inverse * [[cells[1] / frame[1]], [cells[0] / frame[0]]])


def _stretched(heat: NDArray[Any], scale: Floats, offset: Floats, size: tuple[int, int]) -> Singles:
    """Resample without rotation: rows and columns apart, as two products of matrices."""
    columns, across = _interpolation(scale[0], offset[0], size[1], heat.shape[1])
    rows, down = _interpolation(scale[1], offset[1], size[0], heat.shape[0])
    values = down @ heat.astype(np.float32) @ across.T
    if values.shape == size:
        return np.asarray(values)
    out = np.full(size, values.min() if values.size else 0, dtype=np.float32)
    out[np.ix_(rows, columns)] = values
    return out


def _interpolation(scale: float, offset: float, pixels: int, cells: int) -> tuple[Bools, Singles]:
    """Weigh cells along one axis: which pixels are covered (P,), and their weights (p, cells)."""
    place = scale * (np.arange(pixels) + 0.5) + offset
    covered = (place >= 0) & (place <= cells)
    centre = np.clip(place[covered] - 0.5, 0, cells - 1)
    low = np.minimum(centre.astype(np.int64), max(cells - 2, 0))
    weights = np.zeros((len(centre), cells), dtype=np.float32)
    pixel = np.arange(len(centre))
    weights[pixel, low] = 1 - (centre - low)
    if cells > 1:
        weights[pixel, low + 1] = centre - low
    return covered, weights


def _turned(heat: NDArray[Any], matrix: Floats, offset: Floats, size: tuple[int, int]) -> Singles:
    """Resample under any affine map, a few rows of the original at a time."""
    h, w = heat.shape
    a, b, c, d = _surface(heat.astype(np.float32))
    turn, shift = matrix.astype(np.float32), (offset + 0.5).astype(np.float32)
    x = np.arange(size[1], dtype=np.float32) + np.float32(0.5)
    out = np.empty(size, dtype=np.float32)
    for top in range(0, size[0], ROWS):
        y = np.arange(top, min(top + ROWS, size[0]), dtype=np.float32)[:, None] + np.float32(0.5)
        u = turn[0, 0] * x + (turn[0, 1] * y + shift[0])
        v = turn[1, 0] * x + (turn[1, 1] * y + shift[1])
        outside = (np.abs(u - (w + 1) / 2) > w / 2) | (np.abs(v - (h + 1) / 2) > h / 2)
        j = np.clip(u, 0.5, w + 0.5, out=u).astype(np.int32)
        i = np.clip(v, 0.5, h + 0.5, out=v).astype(np.int32)
        f, g = np.subtract(u, j, out=u), np.subtract(v, i, out=v)
        cell = i * np.int32(w + 1) + j
        values = a.take(cell) + f * b.take(cell) + g * (c.take(cell) + f * d.take(cell))
        values[outside] = np.inf
        out[top : top + ROWS] = values
    lowest = out.min()
    return np.where(np.isinf(out), lowest if np.isfinite(lowest) else np.float32(0), out)


def _surface(heat: Singles) -> list[Singles]:
    """Write the map between four centres as a + b f + c g + d f g, f and g in [0, 1).

    The four tables (h + 1) * (w + 1) are flat; the outermost centres are repeated around the map.
    """
    edge = np.pad(heat, 1, mode="edge")
    corner, right, below = edge[:-1, :-1], edge[:-1, 1:], edge[1:, :-1]
    tables = (corner, right - corner, below - corner, edge[1:, 1:] - right - below + corner)
    return [table.reshape(-1) for table in tables]


def peaks(heat: NDArray[Any]) -> Ints:
    """Give the cells (K, 2) as row, column that no neighbour (of eight) exceeds, highest first.

    The maxima of a bilinear surface lie at cell centres. A map that is constant has none.
    """
    highest = heat == ndimage.maximum_filter(heat, size=3, mode="nearest")
    cells = np.argwhere(highest & (heat > heat.min()))
    return cells[np.argsort(-heat[cells[:, 0], cells[:, 1]], kind="stable")]
