import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from harness.errors import RecordError
from harness.metrics.calibration import brier, expected_calibration_error, reliability


def test_brier_equals_scikit_learn_and_skips_unknown():
    random = np.random.default_rng(0)
    scores, targets = random.random((50, 3)), (random.random((50, 3)) < 0.3).astype(float)
    targets[::3, 1] = np.nan
    targets[:, 2] = np.nan
    found = brier(scores, targets)
    known = ~np.isnan(targets[:, 1])
    assert found[0] == pytest.approx(brier_score_loss(targets[:, 0], scores[:, 0]), abs=1e-12)
    expected = brier_score_loss(targets[known, 1], scores[known, 1])
    assert found[1] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[2])


def test_calibration_error_by_hand():
    scores = np.array([[0.05, 0.05, 0.95, 1.0]]).T
    targets = np.array([[0.0, 1.0, 1.0, 1.0]]).T
    expected = (2 * abs(0.05 - 0.5) + 2 * abs(0.975 - 1)) / 4
    assert expected_calibration_error(scores, targets)[0] == pytest.approx(expected)
    curve = reliability(scores[:, 0], targets[:, 0])
    assert (curve.count[0], curve.count[-1], curve.count.sum()) == (2, 2, 4)
    assert np.isnan(curve.observed[5])
    assert np.isnan(expected_calibration_error(scores, np.full_like(targets, np.nan))[0])


def test_true_probabilities_are_calibrated():
    random = np.random.default_rng(1)
    scores = random.random((200000, 1))
    targets = (random.random((200000, 1)) < scores).astype(float)
    assert expected_calibration_error(scores, targets)[0] < 0.005
    assert expected_calibration_error(scores**2, targets)[0] > 0.1


def test_logits_are_refused():
    with pytest.raises(RecordError, match=r"column Edema has scores outside \[0, 1\]"):
        brier(np.array([[1.5]]), np.array([[1.0]]), names=["Edema"])
