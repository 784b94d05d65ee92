"""Region rows are compared by the localized AUROC of each label, paired over patients."""

import numpy as np
import pytest

from harness.metrics.compare import differences, measure, measure_regions, row
from harness.metrics.regions import region_auroc

RNG = np.random.default_rng(5)
N, R, C = 240, 3, 2
PATIENTS = np.array([f"p{i // 4}" for i in range(N)])
LABELS = (RNG.random((N, R, C)) < 0.3).astype(np.float32)
LABELS[:, 2, 1] = 0  # a pair with one outcome only


def noisy(noise, seed):
    return (LABELS + noise * np.random.default_rng(seed).normal(size=LABELS.shape)).astype("f4")


def test_a_label_is_the_mean_over_the_regions_in_which_it_is_defined():
    scores = noisy(1.0, 0)
    run = measure_regions(scores, LABELS, PATIENTS, resamples=100)
    assert run.auroc == pytest.approx(region_auroc(scores, LABELS).labels)
    one = [measure(scores[:, r, :1], LABELS[:, r, :1], PATIENTS, resamples=100) for r in range(R)]
    assert run.influence[:, 0] == pytest.approx(np.mean([o.influence[:, 0] for o in one], axis=0))
    assert run.draws[:, 0] == pytest.approx(np.mean([o.draws[:, 0] for o in one], axis=0))


def test_a_label_that_no_region_defines_is_undefined():
    labels = LABELS.copy()
    labels[:, :, 1] = 0
    run = measure_regions(noisy(1.0, 0), labels, PATIENTS, resamples=100)
    assert np.isfinite(run.auroc[0])
    assert np.isnan(run.auroc[1])


def test_the_error_of_a_difference_is_that_of_the_patient_bootstrap():
    first, second = (
        row(name, [measure_regions(noisy(noise, seed), LABELS, PATIENTS, resamples=2000)])
        for name, noise, seed in (("sharp", 0.8, 1), ("dull", 1.2, 2))
    )
    found = differences(first.mean_over_classes(), second.mean_over_classes())[0]
    draws = (first.mean_over_classes().draws - second.mean_over_classes().draws)[:, 0]
    assert found.value == pytest.approx(np.mean(draws), abs=0.01)
    assert found.patient_error == pytest.approx(np.nanstd(draws), rel=0.1)


def test_a_row_does_not_differ_from_itself():
    same = row("same", [measure_regions(noisy(1.0, 0), LABELS, PATIENTS, resamples=100)])
    found = differences(same, same)
    assert [d.value for d in found] == [0, 0]
    assert [d.patient_error for d in found] == [0, 0]
