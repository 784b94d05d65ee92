import cv2
import numpy as np
import pytest

from harness.errors import RecordError
from harness.metrics.heatmaps import HeatMaps, in_original, peaks

STRETCH = np.array([[4.0, 0, 0], [0, 4.0, 0]])


def about(centre, degrees, scale=1.0, shift=(0.0, 0.0)):
    """An affine map (2, 3) that turns and scales about a point, then shifts."""
    a = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.column_stack([matrix, centre - matrix @ centre + shift])


def slow(heat, to_original, frame, size):
    """Evaluate the definition pixel by pixel; NaN outside the model's field."""
    out = np.full(size, np.nan)
    square = np.vstack([to_original, [0, 0, 1]])
    for y in range(size[0]):
        for x in range(size[1]):
            u, v, _ = np.linalg.solve(square, [x + 0.5, y + 0.5, 1])
            u, v = u * heat.shape[1] / frame[1], v * heat.shape[0] / frame[0]
            if 0 <= u <= heat.shape[1] and 0 <= v <= heat.shape[0]:
                u = np.clip(u - 0.5, 0, heat.shape[1] - 1)
                v = np.clip(v - 0.5, 0, heat.shape[0] - 1)
                i, j = min(int(v), heat.shape[0] - 2), min(int(u), heat.shape[1] - 2)
                f, g = v - i, u - j
                top = heat[i, j] * (1 - g) + heat[i, j + 1] * g
                bottom = heat[i + 1, j] * (1 - g) + heat[i + 1, j + 1] * g
                out[y, x] = top * (1 - f) + bottom * f
    return np.where(np.isnan(out), np.nanmin(out), out)


def test_a_stretched_input_is_a_plain_bilinear_resize():
    heat = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    found = in_original(heat, STRETCH, (64, 64), (256, 256))
    np.testing.assert_allclose(found, cv2.resize(heat, (256, 256)), atol=1e-6)


@pytest.mark.parametrize(
    "to_original",
    [
        np.array([[1.5, 0, 3], [0, 1.25, -4]]),  # another aspect, partly outside
        np.array([[-1.0, 0, 40], [0, 1, 0]]),  # mirrored
        np.array([[1.0, 0, 10], [0, 1, 5]]),  # a crop
        np.array([[0.0, 1, 0], [1, 0, 0]]),  # transposed
        about(np.array([16.0, 16]), 20, 1.1, (3, -2)),
        about(np.array([16.0, 16]), -75, 0.6),
    ],
)
def test_any_frame_equals_the_definition(to_original):
    heat = np.random.default_rng(1).random((5, 7))
    found = in_original(heat, to_original, (32, 34), (36, 40))
    np.testing.assert_allclose(found, slow(heat, to_original, (32, 34), (36, 40)), atol=1e-5)


def test_a_grid_samples_the_same_surface():
    heat = np.random.default_rng(2).random((4, 4))
    fine = in_original(heat, STRETCH, (64, 64), (256, 256))
    coarse = in_original(heat, STRETCH, (64, 64), (256, 256), grid=(64, 64))
    expected = cv2.resize(heat.astype(np.float32), (64, 64))
    np.testing.assert_allclose(coarse, expected, atol=1e-6)
    np.testing.assert_allclose(coarse.mean(), fine.mean(), atol=1e-4)


def test_peaks_are_the_cells_no_neighbour_exceeds():
    heat = np.zeros((6, 6))
    heat[1, 1], heat[4, 4], heat[4, 3] = 0.5, 0.9, 0.3
    assert peaks(heat).tolist() == [[4, 4], [1, 1]]
    assert peaks(np.ones((3, 3))).tolist() == []


def test_the_centre_of_a_cell_in_original_pixels():
    heat = HeatMaps(np.zeros((1, 4, 8)), STRETCH[None], (64, 64), np.array([[256, 256]]))
    centres = heat.centres(0, np.array([[0, 0], [3, 7]]))
    np.testing.assert_allclose(centres, [[16, 32], [240, 224]])


def test_bad_maps_are_refused():
    sizes, affine = np.full((2, 2), 64), np.stack([STRETCH] * 2)
    maps = np.zeros((2, 4, 4))
    maps[1, 0, 0] = np.nan
    with pytest.raises(RecordError, match=r"1 of 2 heat maps .* first map 1"):
        HeatMaps(maps, affine, (64, 64), sizes)
    with pytest.raises(RecordError, match="must be"):
        HeatMaps(maps[0], affine, (64, 64), sizes)
    with pytest.raises(RecordError, match="cannot be inverted"):
        HeatMaps(np.zeros((2, 4, 4)), 0 * affine, (64, 64), sizes)
