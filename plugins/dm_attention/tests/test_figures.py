import io

import numpy as np
import pytest

figures = pytest.importorskip("dm_attention.figures")


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure.axes


def test_alignment_pairs_are_one_above_the_other():
    original, aligned = np.zeros((3, 8, 8)), np.ones((3, 8, 8))
    shown = [
        float(panel.images[0].get_array().mean())
        for panel in drawn(figures.alignment_figure(original, aligned))
    ]
    assert shown == [0, 0, 0, 1, 1, 1]


def test_masks_lie_over_the_anchor():
    masks = np.eye(4)[:, None] * np.ones((4, 4, 1))
    panels = drawn(figures.masks_figure(np.full((8, 8), 0.5), masks, ["a", "b", "c", "d"]))
    assert [panel.get_title() for panel in panels[:5]] == ["anchor", "a", "b", "c", "d"]
    assert [len(panel.images) for panel in panels] == [1, 2, 2, 2, 2, 0, 0, 0]
    # a coarse mask covers the same field as the anchor
    assert panels[1].images[0].get_extent() == panels[1].images[1].get_extent() == [0, 8, 8, 0]


def test_boxes_are_red_for_truth_and_black_for_prediction():
    images = np.zeros((2, 8, 8))
    truths = np.array([[1.0, 2, 4, 6], [0, 0, 2, 2]])
    predictions = np.array([[1.0, 1, 3, 3], [np.nan] * 4])
    panels = drawn(figures.boxes_figure(images, images, truths, predictions, ["a", "b"]))
    first, second = (panel.patches for panel in panels)
    assert [patch.get_bbox().extents.tolist() for patch in first] == [[1, 2, 4, 6], [1, 1, 3, 3]]
    assert [patch.get_edgecolor()[:3] for patch in first] == [(1, 0, 0), (0, 0, 0)]
    assert len(second) == 1
