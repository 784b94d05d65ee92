import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from harness.errors import RecordError
from harness.metrics.segmentation import (
    boundary_distance,
    dice,
    iou,
    organ_means,
    overlaps,
)


def square(size, top, left, side):
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def slow_boundary(mask):
    """Mask pixels with a neighbour of four outside the mask or the image."""
    padded = np.pad(mask, 1)
    return [
        (i, j)
        for i, j in np.argwhere(mask)
        if not (
            padded[i, j + 1] and padded[i + 2, j + 1] and padded[i + 1, j] and padded[i + 1, j + 2]
        )
    ]


def test_overlap_by_hand():
    a, b = square(8, 0, 0, 4), square(8, 2, 0, 4)
    assert dice(a, b) == 16 / 32
    assert iou(a, b) == 8 / 24
    batch = dice(np.stack([a, a]), np.stack([a, ~a]))
    np.testing.assert_array_equal(batch, [1, 0])


def test_two_empty_masks_are_undefined_and_counted():
    empty, a = np.zeros((8, 8), bool), square(8, 1, 1, 3)
    predicted, truth = np.stack([empty, a, a]), np.stack([empty, empty, a])
    np.testing.assert_array_equal(dice(predicted, truth), [np.nan, 0, 1])
    np.testing.assert_array_equal(iou(predicted, truth), [np.nan, 0, 1])
    np.testing.assert_array_equal(boundary_distance(predicted, truth).mean, [np.nan, np.nan, 0])
    found = organ_means(overlaps(predicted, truth)[:, None], np.array(["1", "2", "3"]))[0]
    values = [found.means[name].value for name in ("dice", "iou", "boundary")]
    assert values == [0.5, 0.5, 0]
    assert (found.images, found.both_empty, found.one_empty) == (3, 1, 1)


def test_intervals_are_over_patients_not_images():
    values = np.zeros((200, 2, 4))
    values[:, 0] = np.repeat([0.6, 1.0], 100)[:, None]  # two patients, a hundred images each
    values[:, 1] = np.random.default_rng(0).random((200, 1))
    pair = np.repeat(["1", "2"], 100)
    both = organ_means(values, pair)[0].means["dice"]
    assert (both.value, both.low, both.high) == pytest.approx((0.8, 0.6, 1.0))
    alone = organ_means(values, np.arange(200))[1].means["dice"]
    error = values[:, 1, 0].std() / np.sqrt(200)
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    twins = np.tile(values, (2, 1, 1)), np.tile(np.arange(200), 2)
    assert organ_means(*twins)[1].means["dice"].low == pytest.approx(alone.low)


def test_distances_are_in_the_units_of_a_pixel():
    a, b = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    a[:, 3], b[:, 8] = True, True
    assert boundary_distance(a, b, (7.0, 2.0)).mean == 10
    assert boundary_distance(a.T, b.T, (7.0, 2.0)).mean == 35
    np.testing.assert_array_equal(overlaps(a, b, (7.0, 2.0)), [0, 0, 10, 10])


def test_boundary_distance_of_shifted_columns():
    a, b = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    a[:, 3], b[:, 8] = True, True
    found = boundary_distance(a, b)
    assert (found.mean, found.hausdorff95) == (5, 5)


@given(st.integers(0, 10**6))
def test_boundary_distance_equals_all_pairs(seed):
    random = np.random.default_rng(seed)
    a, b = random.random((2, 9, 7)) < random.uniform(0.1, 0.9)
    a[0, 0] = b[-1, -1] = True
    pairs = cdist(slow_boundary(a), slow_boundary(b))
    to_b, to_a = pairs.min(axis=1), pairs.min(axis=0)
    found = boundary_distance(a, b)
    assert found.mean == pytest.approx(np.concatenate([to_b, to_a]).mean())
    expected = max(np.percentile(to_a, 95), np.percentile(to_b, 95))
    assert found.hausdorff95 == pytest.approx(expected)


def test_probabilities_and_other_shapes_are_refused():
    with pytest.raises(RecordError, match="threshold probabilities first"):
        dice(np.full((4, 4), 0.5), np.zeros((4, 4)))
    with pytest.raises(RecordError, match="must both be"):
        dice(np.zeros((4, 4)), np.zeros((4, 5)))
