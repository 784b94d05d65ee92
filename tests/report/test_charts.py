import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.charts import Axis, Mark, curves, interval_bar, scatter, shared_scale


@given(st.floats(-5, 5), st.floats(0.001, 10))
def test_linear_ticks_are_round_and_inside(low, width):
    axis = Axis(low, low + width, 0, 100)
    ticks = axis.ticks(4)
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-6 <= tick <= low + width + 1e-6 for tick in ticks)


def test_axes_map_their_ends():
    assert Axis(10, 1000, 0, 100, log=True).at(100) == pytest.approx(50)
    assert Axis(0.5, 1, 100, 0).at(0.75) == pytest.approx(50)
    assert Axis(10, 1000, 0, 1, log=True).ticks(5) == [10, 100, 1000]
    assert Axis(1, 10, 0, 1, log=True).ticks(5) == [1, 2, 5, 10]


def test_an_interval_is_drawn_where_its_numbers_are():
    drawn = interval_bar(0.75, (0.5, 1.0), (0.5, 1.0), "a mean")
    assert 'd="M4.0 8H116.0"' in drawn
    assert 'cx="60.0"' in drawn


def test_every_seed_has_its_line_and_the_epoch_that_was_kept():
    lines = [[(1, 3.0), (2, 2.0), (3, 2.5)], [(1, 3.5), (2, 2.2)]]
    drawn = curves(lines, "loss, by epoch", "classifier", [2, None])
    assert drawn.count("<polyline") == drawn.count('class="dot"') == 2
    heights = [float(y) for y in re.findall(r",(\d+\.\d)", drawn)]
    assert heights.index(min(heights)) == 3  # the highest loss is drawn highest: second line, first


def test_one_epoch_is_a_dot():
    assert 'class="dot"' in curves([[(1, 0.5)]], "loss", "classifier", [None])


def test_texts_are_escaped_and_none_covers_another():
    marks = [Mark(f"<b>{i}</b>", 100 + i, 0.8, (0.7, 0.9), i, "<title>") for i in range(30)]
    drawn = scatter(marks, "images per second", "<AUROC>")
    assert "<b>" not in drawn
    assert "<title>&lt;title&gt;</title>" in drawn
    assert drawn.count("<circle") == 30
    places = re.findall(r'class="tag" x="([\d.]+)" y="([\d.]+)"', drawn)
    assert 0 < len(places) < 30
    assert len(set(places)) == len(places)


def test_equal_values_have_a_scale():
    low, high = shared_scale([0.5, 0.5])
    assert low < 0.5 < high
    assert shared_scale([]) is None
