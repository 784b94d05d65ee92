"""How fast metrics are at the size of NIH's test split, against the usual tools in the same run.

Ratios are kept in `extra_info`; the absolute seconds of a shared machine drift.
"""

from time import perf_counter

import cv2
import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from harness.metrics.auroc import auroc
from harness.metrics.bootstrap import intervals, resampled_auroc
from harness.metrics.boxes import Annotated
from harness.metrics.compare import measure
from harness.metrics.components import components
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.localization import localize

IMAGES, PATIENTS = 25596, 2797
POSITIVES = (3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86)
MAPS, BOXES = 123, 984


@pytest.fixture(scope="module")
def predictions():
    """Draw scores (N, 14) with one column of ties, targets at NIH's prevalence, patients."""
    random = np.random.default_rng(0)
    targets = (random.random((IMAGES, 14)) < np.array(POSITIVES) / IMAGES).astype(np.float32)
    logits = random.normal(size=(IMAGES, 14)) + 1.2 * targets - 3
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    scores[:, 1] = np.round(scores[:, 1], 2)
    return scores, targets, np.sort(random.integers(0, PATIENTS, IMAGES))


def seconds(function):
    start = perf_counter()
    result = function()
    return perf_counter() - start, result


def sklearn_loop(scores, targets, patients, resamples):
    """Resample patients and score every class, as scripts do."""
    random = np.random.default_rng(0)
    films = np.split(np.arange(len(patients)), np.flatnonzero(np.diff(patients)) + 1)
    out = []
    for _ in range(resamples):
        drawn = random.integers(0, len(films), len(films))
        rows = np.concatenate([films[patient] for patient in drawn])
        out.append(roc_auc_score(targets[rows], scores[rows], average=None))
    return np.array(out)


def test_auroc(benchmark, predictions):
    scores, targets, _ = predictions
    found = benchmark(auroc, scores, targets)
    usual, expected = min(
        (seconds(lambda: roc_auc_score(targets, scores, average=None)) for _ in range(3)),
        key=lambda pair: pair[0],
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)
    benchmark.extra_info["ratio to scikit-learn"] = usual / benchmark.stats["min"]


def test_patient_bootstrap(benchmark, predictions):
    """At least 50 times the scikit-learn loop, which is timed on 20 resamples of 1,000."""
    benchmark.pedantic(intervals, args=predictions, rounds=5, warmup_rounds=1)
    usual, draws = seconds(lambda: sklearn_loop(*predictions, resamples=20))
    ours = resampled_auroc(*predictions)
    assert np.abs(draws.mean(axis=0) - ours.mean(axis=0)).max() < 5 * ours.std(axis=0).max()
    ratio = usual * 50 / benchmark.stats["median"]
    benchmark.extra_info["scikit-learn loop, s per 1,000"] = usual * 50
    benchmark.extra_info["ratio to scikit-learn"] = ratio
    assert ratio >= 50


def test_measure_a_run(benchmark, predictions):
    benchmark.pedantic(measure, args=predictions, rounds=3)


@pytest.fixture(scope="module", params=[8, 16, 32])
def masks(request):
    """Threshold 123 maps of 1024 x 1024 pixels that come from a few cells."""
    random = np.random.default_rng(0)
    cells = (random.random((MAPS, request.param, request.param)) ** 2).astype(np.float32)
    large = (cv2.resize(c, (1024, 1024)) for c in cells)
    return np.stack([m > m.min() + (m.max() - m.min()) * 180 / 255 for m in large])


def scipy_boxes(masks):
    found = []
    for mask in masks:
        labels, _ = ndimage.label(mask)
        for rows, columns in ndimage.find_objects(labels):
            found.append((columns.start, rows.start, columns.stop, rows.stop))
    return found


def test_boxes_of_984_masks(benchmark, masks):
    """At least 4 times scipy.ndimage's label and find_objects, with identical boxes."""
    repeats = BOXES // MAPS
    usual, expected = seconds(lambda: [scipy_boxes(masks) for _ in range(repeats)])
    found = benchmark.pedantic(
        lambda: [components(masks) for _ in range(repeats)], rounds=3, warmup_rounds=1
    )
    assert [tuple(corners) for corners in found[0].boxes.tolist()] == expected[0]
    ratio = usual / benchmark.stats["median"]
    benchmark.extra_info["scipy, s per 984"] = usual
    benchmark.extra_info["ratio to scipy"] = ratio
    assert ratio >= 4


@pytest.mark.parametrize("degrees", [0, 7])
def test_984_boxes_from_heat_maps(benchmark, degrees):
    """Score 8 x 8 maps of a 256 pixel input in 1024 pixel originals, turned or not."""
    random = np.random.default_rng(0)
    angle = np.deg2rad(degrees)
    turn = 4 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.column_stack([turn, [512, 512] - turn @ [128, 128]])
    heat = HeatMaps(
        random.random((BOXES, 8, 8)).astype(np.float32),
        np.stack([affine] * BOXES),
        (256, 256),
        np.full((BOXES, 2), 1024),
    )
    corner = random.uniform(0, 700, (BOXES, 2))
    truth = Annotated(
        np.concatenate([corner, corner + 200], axis=1),
        random.integers(0, 8, BOXES),
        np.arange(BOXES).astype(str),
        np.arange(BOXES),
    )
    benchmark.pedantic(localize, args=("largest", heat, truth), rounds=1)
