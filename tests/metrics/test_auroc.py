import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from harness.errors import RecordError
from harness.metrics.auroc import auroc, average_precision, macro, roc_curve


@st.composite
def labelled(draw, least=2):
    """Scores with many ties and targets with both outcomes, as (N,) arrays."""
    n = draw(st.integers(least, 60))
    levels = st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.1 + 1e-9, 0.25, 1 / 3, 0.5, 0.75, 1.0])
    scores = np.array(draw(st.lists(levels, min_size=n, max_size=n)))
    targets = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    targets[:2] = 0, 1
    return scores, targets


def test_counts_the_pairs_that_are_in_order():
    scores = np.array([[0.1, 0.4, 0.35, 0.8]]).T
    assert auroc(scores, np.array([[0.0, 0, 1, 1]]).T) == 0.75
    assert auroc(scores, np.array([[0.0, 1, 0, 1]]).T) == 1.0
    assert auroc(scores, np.array([[1.0, 0, 0, 0]]).T) == 0.0


def test_a_tie_counts_one_half():
    scores = np.array([[0.5, 0.5, 0.2, 0.5]]).T
    assert auroc(scores, np.array([[1.0, 0, 0, 0]]).T) == (0.5 + 1 + 0.5) / 3
    assert auroc(np.ones((6, 1)), np.array([[1.0, 0, 0, 1, 0, 0]]).T) == 0.5


def test_unknown_labels_and_absent_outcomes():
    scores = np.array([[0.9, 0.1], [0.2, 0.2], [0.5, 0.3]])
    targets = np.array([[1, 1], [0, 1], [np.nan, np.nan]], dtype=np.float32)
    areas = auroc(scores, targets)
    assert areas[0] == 1
    assert np.isnan(areas[1])
    assert macro(areas) == (1.0, [1])
    mean, undefined = macro(np.array([np.nan, np.nan]))
    assert np.isnan(mean)
    assert undefined == [0, 1]
    assert np.isnan(auroc(scores, np.full_like(targets, np.nan))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_names_its_column(value):
    scores = np.zeros((4, 2))
    scores[2, 1] = value
    targets = np.array([[0, 0], [1, 1], [0, np.nan], [1, 1]])
    with pytest.raises(RecordError, match=r"column Mass .* in 1 of 4 rows, first in row 2"):
        auroc(scores, targets, names=["Edema", "Mass"])
    with pytest.raises(RecordError, match="column 1 "):
        average_precision(scores, targets)


def test_other_targets_and_shapes_are_refused():
    with pytest.raises(RecordError, match="target other than 0, 1 and NaN"):
        auroc(np.zeros((2, 1)), np.array([[-1.0], [1.0]]))
    with pytest.raises(RecordError, match="must both be"):
        auroc(np.zeros((2, 1)), np.zeros((2, 2)))


def test_double_precision_is_not_merged_into_ties():
    scores = np.array([[0.3, 0.3 + 1e-12]]).T
    assert auroc(scores, np.array([[0.0, 1]]).T) == 1
    assert auroc(scores.astype(np.float32), np.array([[0.0, 1]]).T) == 0.5


@given(labelled(), st.randoms(use_true_random=False))
def test_equals_scikit_learn_with_ties_and_weights(data, random):
    scores, targets = data
    weights = np.array([random.choice([0.0, 0.5, 1, 3]) for _ in scores])
    weights[:2] = 1
    expected = oracle.roc_auc_score(targets, scores, sample_weight=weights)
    assert auroc(scores[:, None], targets[:, None], weights)[0] == pytest.approx(
        expected, abs=1e-12
    )
    expected = oracle.roc_auc_score(targets, scores)
    assert auroc(scores[:, None], targets[:, None])[0] == pytest.approx(expected, abs=1e-12)
    expected = oracle.average_precision_score(targets, scores)
    found = average_precision(scores[:, None], targets[:, None])[0]
    assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(labelled())
def test_the_curve_equals_scikit_learn(data):
    scores, targets = data
    false, true, thresholds = oracle.roc_curve(targets, scores, drop_intermediate=False)
    curve = roc_curve(scores, targets)
    np.testing.assert_allclose(curve.false_positive_rate, false, atol=1e-15)
    np.testing.assert_allclose(curve.true_positive_rate, true, atol=1e-15)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


def test_curve_and_precision_without_one_outcome():
    curve = roc_curve(np.array([0.1, 0.2]), np.array([1.0, 1.0]))
    assert np.isnan(curve.false_positive_rate).all()
    np.testing.assert_array_equal(curve.true_positive_rate, [0, 0.5, 1])
    scores = np.array([[0.1], [0.2]])
    assert np.isnan(average_precision(scores, np.zeros((2, 1)))).all()
    assert average_precision(scores, np.array([[1.0], [np.nan]])) == 1


@given(labelled(), st.permutations(range(60)))
def test_neither_order_nor_a_monotone_map_matters(data, order):
    scores, targets = data
    shuffled = [i for i in order if i < len(scores)]
    area = auroc(scores[:, None], targets[:, None])
    assert auroc(scores[shuffled, None], targets[shuffled, None]) == area
    assert auroc(8 * scores[:, None], targets[:, None]) == area
    assert auroc(-scores[:, None], targets[:, None]) == pytest.approx(1 - area, abs=1e-15)
