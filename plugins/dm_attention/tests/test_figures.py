import io

import numpy as np
import pytest

figures = pytest.importorskip("dm_attention.figures")


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure.axes


def mean(panel):
    return float(panel.images[0].get_array().mean())


def test_alignment_pairs_are_one_above_the_other_and_the_anchor_is_last():
    original, aligned = np.zeros((3, 8, 8)), np.ones((3, 8, 8))
    panels = drawn(figures.alignment_figure(original, aligned, np.full((8, 8), 0.4)))
    assert [mean(panel) for panel in panels[:3]] == [0, 0, 0]
    assert [mean(panel) for panel in panels[4:]] == [255, 255, 255, 102]
    assert not panels[3].images


def test_masks_lie_over_the_anchor():
    masks = np.zeros((6, 8, 8))
    masks[2, :4, 4:] = 1  # the right upper quarter
    names = ["a", "b", "c", "d", "e", "f"]
    panels = drawn(figures.masks_figure(np.full((8, 8), 0.4), masks, names))
    assert [panel.get_title() for panel in panels] == ["anchor", *names, "", "", ""]
    changed = (panels[3].images[0].get_array() != 102).any(axis=2)
    side = len(changed)
    assert changed[: 3 * side // 8, 5 * side // 8 :].all()
    assert not changed[5 * side // 8 :].any()
    assert not changed[:, : 3 * side // 8].any()
    assert mean(panels[1]) == 102
