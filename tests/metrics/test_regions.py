import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness.errors import RecordError
from harness.metrics.regions import region_auroc


def test_means_over_regions_then_labels():
    scores = np.array([0.1, 0.6, 0.4, 0.9])[:, None, None] * np.ones((4, 3, 2))
    labels = np.zeros((4, 3, 2))
    labels[:, 0, 0] = [0, 0, 1, 1]  # 3 of 4 pairs in order
    labels[:, 1, 0] = [0, 1, 0, 1]  # all in order
    labels[:, 2, 0] = [np.nan, 1, 1, 1]  # one outcome
    found = region_auroc(scores, labels)
    np.testing.assert_array_equal(found.pairs[:, 0], [0.75, 1, np.nan])
    assert np.isnan(found.pairs[:, 1]).all()
    np.testing.assert_array_equal(found.labels, [0.875, np.nan])
    np.testing.assert_array_equal(found.valid, [2, 0])
    assert found.mean == 0.875


def test_pairs_equal_scikit_learn():
    random = np.random.default_rng(0)
    scores, labels = random.random((40, 18, 9)), (random.random((40, 18, 9)) < 0.4).astype(float)
    pairs = region_auroc(scores, labels).pairs
    for r in range(18):
        for c in range(9):
            expected = roc_auc_score(labels[:, r, c], scores[:, r, c])
            assert pairs[r, c] == pytest.approx(expected, abs=1e-12)


def test_a_bad_score_names_region_and_label():
    scores = np.zeros((3, 2, 2))
    scores[1, 1, 0] = np.nan
    with pytest.raises(RecordError, match="column 0 of region 1"):
        region_auroc(scores, np.zeros((3, 2, 2)))
    with pytest.raises(RecordError, match="must both be"):
        region_auroc(scores, np.zeros((3, 2)))
