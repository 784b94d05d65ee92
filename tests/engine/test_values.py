"""Kept values come back as they were; the selection rule; budgets of whole patients."""

import numpy as np
import pytest
import torch
from engine_toys import CLASSES, plain, samples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from harness import DataError, HarnessError, LabelSpace, Samples, SettingError, Stage
from harness.engine.budget import Budget, budget
from harness.engine.evaluate import Predictions
from harness.engine.selection import selection_score
from harness.engine.values import read_value, write_value
from harness.errors import TrainingError
from harness.metrics.auroc import auroc

arrays = npst.arrays(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
plains = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats()
values = st.recursive(
    plains | arrays | arrays.map(torch.from_numpy),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def assert_same(one, two):
    assert type(one) is type(two)
    if isinstance(one, (np.ndarray, torch.Tensor)):
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    else:
        assert one == two or one != one


@settings(max_examples=150, deadline=None)
@given(values)
def test_values_come_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.safetensors"
    write_value(path, value)
    assert_same(value, read_value(path))


def test_what_cannot_be_kept_is_named(tmp_path):
    with pytest.raises(TrainingError, match="a kept value cannot hold a set"):
        write_value(tmp_path / "value", {"a": [{1}]})
    with pytest.raises(TrainingError, match="as a key of a dict"):
        write_value(tmp_path / "value", {(1, 2): 3})
    assert not list(tmp_path.iterdir())


def test_a_broken_value_is_named(tmp_path):
    (tmp_path / "value").write_bytes(b"nothing")
    with pytest.raises(HarnessError, match="value cannot be read"):
        read_value(tmp_path / "value")


def labelled(positives, count=200, negatives=None):
    """Return samples with so many positives of each class (at random), and predictions."""
    random = np.random.default_rng(0)
    labels = np.zeros((count, len(positives)), dtype=np.float32)
    for c, number in enumerate(positives):
        labels[random.permutation(count)[:number], c] = 1
    names = [str(row) for row in range(count)]
    space = LabelSpace(tuple(f"c{c}" for c in range(len(positives))))
    made = Samples.of(space, names=names, patients=names, labels=labels)
    scores = (labels * 0.2 + random.random(labels.shape)).astype(np.float32) / 1.2
    return made, Predictions({"scores": scores}, {}, np.zeros(0, int), None, None)


def test_selection_is_over_classes_with_fifty_positives():
    made, said = labelled([50, 49, 120])
    value, rule = selection_score(said, made)
    each = auroc(said.scores, made.labels)
    assert value == pytest.approx((each[0] + each[2]) / 2, abs=1e-12)
    assert rule == "classes with 50 positives"


def test_selection_without_such_a_class_is_over_all_that_have_both_kinds():
    made, said = labelled([49, 0, 3])
    value, rule = selection_score(said, made)
    each = auroc(said.scores, made.labels)
    assert value == pytest.approx((each[0] + each[2]) / 2, abs=1e-12)
    assert rule == "all classes with both kinds"
    made, said = labelled([200, 7])  # 200 positives, but not one negative
    assert selection_score(said, made)[0] == auroc(said.scores, made.labels)[1]


def test_selection_by_nothing_is_an_error():
    made, said = labelled([0, 200])
    with pytest.raises(DataError, match="no class of the validation split has positives and neg"):
        selection_score(said, made)
    with pytest.raises(DataError, match="neither image nor region scores"):
        selection_score(Predictions({}, {}, np.zeros(0, int), None, None), made)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 80))
def test_budgets_take_whole_patients(films, most):
    patients = np.repeat([f"p{i}" for i in range(len(films))], films)
    names = [str(row) for row in range(len(patients))]
    made = Samples.of(LabelSpace(()), names=names, patients=patients.tolist())
    every = np.arange(len(names))
    used = Budget("small", train=most).rows(made, every, "train")
    assert len(used) > 0
    assert np.array_equal(np.sort(used), used)
    for patient in set(patients[used]):
        assert set(np.flatnonzero(patients == patient)) <= set(used)
    left = [n for i, n in enumerate(films) if f"p{i}" not in set(patients[used])]
    if len(used) > most:
        assert len(set(patients[used])) == 1  # never none at all
    if left and len(used) <= most:
        assert len(used) + max(films) > most  # and as many as fit, in the order of a hash
    assert np.array_equal(Budget("full").rows(made, every, "train"), every)
    more = Budget("more", train=most + 5).rows(made, every, "train")
    assert set(used) <= set(more)  # a larger budget has all of a smaller one


def test_budgets_differ_by_split_and_shorten_stages():
    made = samples(60)
    small = Budget("small", train=20, evaluation=20, epochs=2, steps=9)
    every = np.arange(60)
    assert not np.array_equal(small.rows(made, every, "train"), small.rows(made, every, "test"))
    network = plain()
    optimizer = SGD(network.parameters(), 0.1)
    stage = Stage("s", network, lambda n, b: {}, made, optimizer, epochs=5)
    assert small.limit(stage).epochs == 2
    assert small.limit(stage).steps is None
    assert Budget("full").limit(stage).epochs == 5
    assert stage.epochs == 5
    with pytest.raises(SettingError, match="no such budget: 'huge'; choose smoke or full"):
        budget("huge")
    assert len(CLASSES) == 3


def test_a_plateau_of_a_score_that_should_fall_is_refused():
    optimizer = SGD(plain().parameters(), 1)
    with pytest.raises(SettingError, match="mode="):
        Stage(
            "odd",
            plain(),
            lambda n, b: {},
            data=samples(3),
            optimizer=optimizer,
            epochs=1,
            scheduler=ReduceLROnPlateau(optimizer),
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "needs either epochs or steps"),
        ({"epochs": 1, "steps": 1}, "needs either epochs or steps"),
        ({"epochs": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
        ({"epochs": 1, "batch_size": 0}, "at least 1"),
        ({"epochs": 1, "accumulate": 0}, "at least 1"),
        ({"epochs": 1, "patience": 2}, "patience but no score"),
        ({"epochs": 1, "patience": 0, "score": float}, "patience is at least 1"),
        ({"epochs": 1, "data": {}}, "no data"),
    ],
)
def test_stages_that_cannot_be(wrong, said):
    network = plain()
    options = {"data": samples(3), **wrong}
    with pytest.raises(SettingError, match=f"stage 'odd'.*{said}"):
        Stage("odd", network, lambda n, b: {}, optimizer=SGD(network.parameters(), 1), **options)
