import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from harness.metrics import components as module
from harness.metrics.components import components


def labelled(masks, diagonal=False):
    """Label and box map by map with scipy.ndimage: mask, box and area of each component."""
    structure = np.ones((3, 3)) if diagonal else None
    found = []
    for number, mask in enumerate(masks):
        labels, _ = ndimage.label(mask, structure)
        for k, (rows, columns) in enumerate(ndimage.find_objects(labels)):
            box = (columns.start, rows.start, columns.stop, rows.stop)
            found.append((number, box, np.count_nonzero(labels == k + 1)))
    return found


def ours(masks, diagonal=False):
    found = components(masks, diagonal)
    boxes = [tuple(box) for box in found.boxes.tolist()]
    return list(zip(found.mask.tolist(), boxes, found.area.tolist(), strict=True))


@given(
    st.integers(0, 10**6),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([0.05, 0.4, 0.55, 0.6, 0.9, 1.0]),
    st.booleans(),
)
def test_equal_scipy_in_boxes_areas_and_order(seed, h, w, density, diagonal):
    masks = np.random.default_rng(seed).random((3, h, w)) < density
    assert ours(masks, diagonal) == labelled(masks, diagonal)


def test_corners_are_neighbours_only_when_asked():
    mask = np.eye(3, dtype=bool)[None]
    assert len(ours(mask)) == 3
    assert ours(mask, diagonal=True) == [(0, (0, 0, 3, 3), 3)]


def test_masks_do_not_touch_one_another():
    masks = np.ones((3, 4, 5), dtype=bool)
    assert ours(masks) == [(i, (0, 0, 5, 4), 20) for i in range(3)]
    assert ours(np.zeros((2, 3, 3), dtype=bool)) == []
    assert ours(np.zeros((0, 3, 3), dtype=bool)) == []


@pytest.mark.parametrize("cached", [1, 50, 10**6])
def test_the_number_of_masks_done_together_does_not_matter(monkeypatch, cached):
    masks = np.random.default_rng(0).random((9, 5, 5)) < 0.4
    monkeypatch.setattr(module, "CACHED", cached)
    assert ours(masks) == labelled(masks)


def test_maps_as_they_are_scored():
    random = np.random.default_rng(0)
    maps = [ndimage.zoom(random.random((8, 8)), 40, order=1) for _ in range(8)]
    masks = np.stack([m > m.min() + np.ptp(m) * 180 / 255 for m in maps])
    assert ours(masks) == labelled(masks)
