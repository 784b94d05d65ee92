import numpy as np
import pytest
from dm_attention.report import landmark_report

from harness import LabelSpace, Samples

SIZE = 64


def shifted(shifts):
    """Samples of 128 pixels whose pose is a shift in original pixels, with two landmarks."""
    count = len(shifts)
    pose = np.tile(np.eye(2, 3), (count, 1, 1))
    pose[:, :, 2] = shifts
    canonical = np.array([[40.0, 30.0], [90.0, 100.0]])
    return Samples.of(
        LabelSpace(("Mass",)),
        names=[f"{i}" for i in range(count)],
        patients=[f"{i // 2}" for i in range(count)],
        sizes=np.full((count, 2), 128),
        pose=pose,
        landmarks=(canonical + np.asarray(shifts)[:, None]).astype(np.float32),
    )


def to_original(moves):
    """Aligned pixel (x, y) lies at 2 (x, y) + move of the original."""
    matrix = np.tile(2 * np.eye(2, 3), (len(moves), 1, 1))
    matrix[:, :, 2] = moves
    return matrix


SHIFTS = [[6.0, 8.0], [-6.0, -8.0], [6.0, 8.0], [-6.0, -8.0]]  # 10 pixels of 128, 5 of 64


def test_an_identity_leaves_the_error_of_the_pose():
    found = landmark_report(shifted(SHIFTS), to_original(np.zeros((4, 2))), SIZE)
    for name in ("error_before", "error_after", "scatter_before", "scatter_after"):
        assert found[name] == pytest.approx([5.0, 5.0, 5.0]), name


def test_an_alignment_that_undoes_the_pose_leaves_nothing():
    found = landmark_report(shifted(SHIFTS), to_original(SHIFTS), SIZE)
    assert found["error_before"][0] == pytest.approx(5.0)
    assert found["error_after"] == pytest.approx([0.0] * 3, abs=1e-5)


def test_an_anchor_that_sits_elsewhere_is_an_error_but_no_scatter():
    moves = np.asarray(SHIFTS) + np.array([20.0, 0.0])
    found = landmark_report(shifted(SHIFTS), to_original(moves), SIZE)
    assert found["error_after"][0] == pytest.approx(10.0)
    assert found["scatter_after"][0] == pytest.approx(0.0, abs=1e-5)


def test_an_anchor_of_another_size_leaves_landmarks_together():
    """Aligned to twice the size, every landmark errs, and lies where it lies in all images."""
    twice = to_original(SHIFTS)
    twice[:, :, :2] /= 2
    found = landmark_report(shifted(SHIFTS), twice, SIZE)
    assert found["error_after"][0] > 5
    assert found["apart_after"] == pytest.approx([0.0] * 3, abs=1e-5)
    # the four shifts, less their mean, on the scale of the view
    apart = np.linalg.norm(np.asarray(SHIFTS) - np.mean(SHIFTS, axis=0), axis=1) / 2
    assert found["apart_before"][0] == pytest.approx(np.median(apart), rel=1e-5)


def test_the_interval_holds_the_median_and_is_the_same_every_time():
    rng = np.random.default_rng(1)
    shifts = rng.normal(0, 6, (30, 2))
    found = landmark_report(shifted(shifts), to_original(np.zeros((30, 2))), SIZE)
    value, low, high = found["error_before"]
    assert value == pytest.approx(np.median(np.linalg.norm(shifts, axis=1)) / 2, rel=1e-5)
    assert low < value < high
    assert found == landmark_report(shifted(shifts), to_original(np.zeros((30, 2))), SIZE)
