"""Samples are lazy views; a batch is their only read."""

import numpy as np
import pytest
import torch
from data_toys import everything
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import DataError, LabelSpace, Samples, View

COUNT = 10
SAMPLES = everything(COUNT)
picks = st.lists(st.lists(st.integers(0, COUNT - 1), max_size=8), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(picks)
def test_takes_of_takes_are_takes(lists):
    expected, view = np.arange(COUNT), SAMPLES
    for wanted in lists:
        rows = [row % len(expected) for row in wanted] if len(expected) else []
        expected = expected[np.array(rows, dtype=int)]
        view = view.take(rows)
    assert len(view) == len(expected)
    for name in SAMPLES.columns:
        np.testing.assert_array_equal(view.need(name), SAMPLES.need(name)[expected])
    if len(expected):
        batch = view.batch(np.arange(len(expected)))
        np.testing.assert_array_equal(batch.images[:, 0], SAMPLES.need("images")[expected])
        assert batch.index.tolist() == list(range(len(expected)))


def test_a_take_copies_nothing_and_a_mask_takes():
    part = SAMPLES.take(np.arange(COUNT) % 2 == 0)
    assert part.names.tolist() == ["0", "2", "4", "6", "8"]
    for name, column in part.columns.items():
        assert column.values is SAMPLES.columns[name].values


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(DataError, match="a mask of 3 for 10 samples"):
        SAMPLES.take(np.array([True, False, True]))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.take(np.arange(COUNT - 1)),
        lambda s: s.take(np.arange(COUNT)[::-1]),
        lambda s: s.with_column("labels", np.zeros((COUNT, 3), np.float32)),
        lambda s: s.with_column("labels", s.labels.astype(np.float64)),
        lambda s: s.with_column("more", np.zeros(COUNT)),
        lambda s: s.with_column("more", np.zeros(COUNT), digest="a"),
        lambda s: s.with_column("more", np.zeros(COUNT), digest="b"),
        lambda s: Samples(s.columns, LabelSpace(("A", "C", "B")), s.view),
        lambda s: Samples(s.columns, s.space, View(24, "letterbox")),
    ],
)
def test_fingerprints_change(change):
    assert change(SAMPLES).fingerprint != SAMPLES.fingerprint


def test_fingerprints_stay_and_differ_among_changes():
    assert everything(COUNT).fingerprint == SAMPLES.fingerprint
    assert SAMPLES.take(np.arange(COUNT)).fingerprint == SAMPLES.fingerprint
    a, b = (SAMPLES.with_column("more", np.zeros(COUNT), digest=d).fingerprint for d in "ab")
    assert a != b


def test_columns_of_another_length_are_refused():
    with pytest.raises(DataError, match="column 'labels' has 2 rows, names have 3"):
        Samples.of(LabelSpace(()), names=list("abc"), patients=list("abc"), labels=np.zeros((2, 1)))
    with pytest.raises(DataError, match="column 'more' has 3 rows for 10 samples"):
        SAMPLES.with_column("more", np.zeros(3))


def test_what_is_lacking_is_told():
    with pytest.raises(DataError, match=r"no 'masked'; they have box_classes, boxes, .* sizes"):
        SAMPLES.need("masked")
    assert SAMPLES.column("masked") is None
    blind = Samples(SAMPLES.columns, SAMPLES.space)
    with pytest.raises(DataError, match="choose a view first"):
        blind.batch(np.array([0]))


def test_predict_is_given_no_annotation():
    batch = SAMPLES.batch(np.arange(3), inputs_only=True)
    assert set(batch.columns) == {"metadata"}
    assert not batch.spatial
    assert batch.labels is None
    assert batch.masks is None
    assert batch.boxes is None
    assert torch.equal(batch.to_original, SAMPLES.batch(np.arange(3)).to_original)


def test_a_part_of_a_batch_is_the_batch_of_a_part():
    whole = SAMPLES.batch(np.array([4, 1, 7, 2]))
    part, direct = whole.part(1, 3), SAMPLES.batch(np.array([1, 7]))
    for name in direct.columns:
        assert torch.equal(part[name].nan_to_num(), direct[name].nan_to_num())
    assert torch.equal(part.images, direct.images)
    assert torch.equal(part.masks, direct.masks)
    assert torch.equal(part.index, direct.index)


def test_floats_are_255ths():
    batch = SAMPLES.batch(np.array([0]))
    ready = batch.floats()
    torch.testing.assert_close(ready.images, batch.images.float() / 255, rtol=0, atol=0)
    assert set(ready.masks.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(ready.floats().images, ready.images)
