import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.auroc import auroc
from harness.metrics.clustered import (
    clustered_covariance,
    clustered_variance,
    components,
    delong_covariance,
    delong_test,
    patient_sums,
    placements,
)


def slow_placements(scores, targets):
    """Compare every positive with every negative, O(m n)."""
    placed = np.full(len(scores), np.nan)
    for i in range(len(scores)):
        wins = [
            1.0 if s > o else 0.5 if s == o else 0.0
            for j in range(len(scores))
            if targets[i] + targets[j] == 1
            for s, o in [(scores[i], scores[j]) if targets[i] else (scores[j], scores[i])]
        ]
        if wins:
            placed[i] = np.mean(wins)
    return placed


def slow_covariance(scores, targets):
    """DeLong's covariance from the definition: S10 / m + S01 / n."""
    columns = np.array([slow_placements(column, targets) for column in scores.T])
    positive, negative = columns[:, targets == 1], columns[:, targets == 0]
    return np.cov(positive) / positive.shape[1] + np.cov(negative) / negative.shape[1]


@st.composite
def cases(draw):
    n = draw(st.integers(6, 30))
    level = st.integers(0, 8)
    scores = np.array(draw(st.lists(st.tuples(level, level), min_size=n, max_size=n))) / 8
    targets = np.array(draw(st.lists(st.sampled_from([0.0, 1, np.nan]), min_size=n, max_size=n)))
    targets[:4] = 0, 1, 0, 1
    return scores, targets


@given(cases())
def test_delong_equals_its_definition(case):
    scores, targets = case
    known = ~np.isnan(targets)
    for column in scores.T:
        np.testing.assert_allclose(
            placements(column, targets)[known],
            slow_placements(column[known], targets[known]),
            atol=1e-12,
        )
    area, covariance = delong_covariance(scores, targets)
    np.testing.assert_allclose(area, auroc(scores, np.stack([targets] * 2, 1)), atol=1e-12)
    expected = slow_covariance(scores[known], targets[known])
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_placements_by_hand():
    scores, targets = np.array([0.1, 0.4, 0.4, 0.8, 0.3]), np.array([0.0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(placements(scores, targets), [1, 0.75, 0.75, 1, np.nan])
    parts = components(scores[:, None], targets[:, None])
    assert parts.auroc[0] == 0.875
    np.testing.assert_array_equal(parts.psi[:, 0], [0.0625, -0.0625, -0.0625, 0.0625, 0])


def test_psi_sums_to_zero_and_undefined_is_nan(clustered_data):
    scores, targets, _ = clustered_data(0)
    targets[:, 2] = 1
    targets[:10, 0] = np.nan
    parts = components(scores, targets)
    np.testing.assert_allclose(parts.psi[:, :2].sum(axis=0), 0, atol=1e-12)
    assert (parts.psi[:10, 0] == 0).all()
    assert np.isnan(parts.auroc[2])
    assert np.isnan(parts.psi[:, 2]).all()
    np.testing.assert_allclose(parts.auroc[:2], auroc(scores, targets)[:2], atol=1e-14)


def test_clustered_variance_by_hand():
    psi = np.array([[0.1], [0.2], [-0.3], [0.0]])
    names, sums = patient_sums(psi, np.array(["b", "b", "a", "c"]))
    assert names.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(sums[:, 0], [-0.3, 0.3, 0])
    np.testing.assert_allclose(clustered_variance(sums), [3 / 2 * 0.18])
    np.testing.assert_allclose(clustered_covariance(sums), [[3 / 2 * 0.18]])
    assert np.isnan(clustered_variance(sums[:1])).all()


def test_one_image_a_patient_gives_nearly_delong(clustered_data):
    scores, targets, _ = clustered_data(1, patients=400, classes=1)
    single = np.arange(len(scores))
    _, sums = patient_sums(components(scores, targets).psi, single)
    _, covariance = delong_covariance(scores, targets[:, 0])
    assert clustered_variance(sums)[0] == pytest.approx(covariance[0, 0], rel=0.01)


def test_patients_widen_the_variance(clustered_data):
    scores, targets, patients = clustered_data(2, patients=400)
    _, sums = patient_sums(components(scores, targets).psi, patients)
    for c in range(3):
        image_wise = delong_covariance(scores[:, [c]], targets[:, c])[1][0, 0]
        assert clustered_variance(sums)[c] > 1.5 * image_wise


def test_delong_test_of_equal_and_of_opposite_scores():
    random = np.random.default_rng(0)
    targets = np.repeat([0.0, 1.0], 100)
    scores = random.normal(size=200) + targets
    assert delong_test(scores, 3 * scores, targets) == 1
    assert delong_test(scores, -scores, targets) < 1e-6
    assert np.isnan(delong_covariance(scores[:, None][99:], targets[99:])[1]).all()


def test_delong_test_holds_its_level():
    random = np.random.default_rng(1)
    targets = np.repeat([0.0, 1.0], [150, 50])
    p = [
        delong_test(*(random.normal(size=(2, 200)) + targets + random.normal(size=200)), targets)
        for _ in range(1000)
    ]
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.07


FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("case", ["continuous", "ties", "rare"])
def test_delong_equals_proc(case):
    """The numbers of R 4.2.2's pROC 1.18.0: auc, var, cov and roc.test, method "delong"."""
    with (FIXTURES / "proc_data.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["case"] == case]
    with (FIXTURES / "proc_results.csv").open() as file:
        known = next(row for row in csv.DictReader(file) if row["case"] == case)
    targets = np.array([float(row["target"]) for row in rows])
    scores = np.array([[float(row["first"]), float(row["second"])] for row in rows])
    area, covariance = delong_covariance(scores, targets)
    found = [*area, covariance[0, 0], covariance[1, 1], covariance[0, 1]]
    found.append(delong_test(scores[:, 0], scores[:, 1], targets))
    columns = ["auc_first", "auc_second", "variance_first", "variance_second", "covariance", "p"]
    np.testing.assert_allclose(found, [float(known[c]) for c in columns], rtol=0, atol=1e-10)
