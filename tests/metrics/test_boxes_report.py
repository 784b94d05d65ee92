"""What a record says of heat maps: the resamples left out of an interval are counted."""

import numpy as np
import pytest

from harness.metrics.boxes_report import localization_report
from harness.metrics.evaluated import Evaluated

SIDE = 32


def evaluated(kinds):
    """Images of one patient each, with one box of the class named for each, and a map on it."""
    n = len(kinds)
    maps = np.zeros((n, 2, 8, 8), np.float16)
    maps[:, :, 2, 2] = 1
    return Evaluated(
        names=np.array([f"{i}.png" for i in range(n)]),
        patients=np.array([f"{i}" for i in range(n)]),
        classes=np.array(["Mass", "Hernia"]),
        sizes=np.full((n, 2), SIDE),
        boxes=np.tile(np.array([8.0, 8.0, 12.0, 12.0], np.float32), (n, 1, 1)),
        box_classes=np.array(kinds)[:, None],
        to_original=np.tile(np.eye(2, 3, dtype=np.float32), (n, 1, 1)),
        detailed=np.arange(n),
        maps=maps,
        map_frame=np.array([SIDE, SIDE]),
    )


def test_resamples_without_a_rare_class_are_counted():
    entry = localization_report(evaluated([0] * 9 + [1]))["largest"]["pointing"]
    missed = entry["mean"]["undefined_resamples"] / 1000
    assert missed == pytest.approx(0.9**10, abs=0.05)
    assert entry["classes"]["Hernia"]["undefined_resamples"] == 1000 * missed
    assert entry["classes"]["Mass"]["undefined_resamples"] == 0
    assert entry["micro"]["undefined_resamples"] == 0


def test_a_class_shows_its_boxes_and_the_patients_they_are_of():
    one = evaluated([0] * 9 + [1])
    one.patients[:3] = "0"
    classes = localization_report(one)["any"]["iou>0.3"]["classes"]
    assert (classes["Mass"]["boxes"], classes["Mass"]["patients"]) == (9, 7)
    assert (classes["Hernia"]["boxes"], classes["Hernia"]["patients"]) == (1, 1)
