"""Predictions meet annotations: image by image, or study by study as CheXpert is scored."""

import numpy as np

from harness.engine.meeting import _by_study
from harness.metrics.evaluated import Evaluated


def test_a_study_has_the_largest_score_and_label_of_its_images():
    evaluated = Evaluated(
        names=np.array(["a", "b", "c"]),
        patients=np.array(["1", "1", "2"]),
        classes=np.array(["x", "y"]),
        targets=np.array([[0, np.nan], [1, np.nan], [0, 1]], dtype=np.float32),
        scores=np.array([[0.2, 0.7], [0.1, 0.3], [0.6, 0.4]], dtype=np.float32),
    )
    found = _by_study(evaluated, np.array(["s1", "s1", "s2"]))
    assert found.names.tolist() == ["s1", "s2"]
    assert found.patients.tolist() == ["1", "2"]
    np.testing.assert_array_equal(found.targets, [[1, np.nan], [0, 1]])
    np.testing.assert_allclose(found.scores, [[0.2, 0.7], [0.6, 0.4]])
