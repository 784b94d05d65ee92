import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness.errors import RecordError
from harness.metrics.auroc import auroc
from harness.metrics.bootstrap import counts, intervals, patient_counts, resampled_auroc
from harness.metrics.clustered import clustered_variance, components, patient_sums


def test_counts_by_hand():
    targets = np.array([[1, 0], [1, np.nan], [0, np.nan], [1, 1.0]])
    found = counts(targets, np.array(["a", "a", "b", "c"]))
    np.testing.assert_array_equal(found.known, [4, 2])
    np.testing.assert_array_equal(found.positive, [3, 1])
    np.testing.assert_array_equal(found.patients, [3, 2])
    np.testing.assert_array_equal(found.positive_patients, [2, 1])


def test_one_patient_alone_has_no_interval():
    random = np.random.default_rng(0)
    scores, targets = random.random((12, 2)), np.tile([[0.0, 1], [1, 0]], (6, 1))
    found = intervals(scores, targets, np.array(["only"] * 12))
    for cell in (*found.classes, found.mean):
        assert np.isfinite(cell.value)
        assert np.isnan([cell.low, cell.high]).all()
        assert cell.undefined == cell.resamples


def test_each_resample_draws_as_many_patients_as_there_are():
    drawn = patient_counts(50, 3, range(200))
    assert (drawn.sum(axis=0) == 50).all()
    np.testing.assert_array_equal(drawn[:, 120:130], patient_counts(50, 3, range(120, 130)))
    assert (drawn != patient_counts(50, 4, range(200))).any(axis=0).all()
    share_left_out = (drawn == 0).mean()
    assert share_left_out == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


@pytest.mark.parametrize("decimals", [1, 12])
def test_every_resample_equals_scikit_learn(clustered_data, decimals):
    scores, targets, patients = clustered_data(1, patients=40, classes=2)
    scores = np.round(scores, decimals)
    targets[5:20, 1] = np.nan
    draws = resampled_auroc(scores, targets, patients, resamples=30, seed=9)
    drawn = patient_counts(40, 9, range(30))
    for c in range(2):
        known = ~np.isnan(targets[:, c])
        for b in range(30):
            expected = roc_auc_score(
                targets[known, c], scores[known, c], sample_weight=drawn[patients[known], b]
            )
            assert draws[b, c] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_size_of_a_block_changes_no_bit(clustered_data, block):
    scores, targets, patients = clustered_data(2)
    expected = resampled_auroc(scores, targets, patients, resamples=100)
    found = resampled_auroc(scores, targets, patients, resamples=100, block=block)
    np.testing.assert_array_equal(found, expected)


def test_names_of_patients_and_order_of_images_do_not_matter(clustered_data):
    scores, targets, patients = clustered_data(3)
    expected = resampled_auroc(scores, targets, patients, resamples=20)
    order = np.random.default_rng(0).permutation(len(patients))
    names = np.array([f"p{patient:05d}" for patient in patients])
    found = resampled_auroc(scores[order], targets[order], names[order], resamples=20)
    np.testing.assert_array_equal(found, expected)


def test_undefined_resamples_are_left_out_and_counted():
    scores = np.array([[0.9, 0.4], [0.1, 0.3], [0.2, 0.2], [0.3, 0.1]])
    targets = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    patients = np.arange(4)
    found = intervals(scores, targets, patients, resamples=500)
    drawn = patient_counts(4, 0, range(500))
    undefined = int(((drawn[0] == 0) | (drawn[0] == 4)).sum())
    rare, absent = found.classes
    assert undefined > 100
    assert rare.undefined == found.mean.undefined == undefined
    assert (rare.value, rare.low, rare.high) == (1, 1, 1)
    assert absent.undefined == 500
    assert np.isnan([absent.value, absent.low, absent.high]).all()
    assert found.mean.value == 1


def test_nothing_defined_gives_no_interval():
    found = intervals(np.zeros((2, 1)), np.full((2, 1), np.nan), np.arange(2), resamples=3)
    assert np.isnan([found.mean.value, found.mean.low, found.mean.high]).all()
    assert found.mean.undefined == 3


def test_the_interval_holds_the_percentiles_of_the_resamples(clustered_data):
    scores, targets, patients = clustered_data(4)
    draws = resampled_auroc(scores, targets, patients, resamples=400, seed=1)
    found = intervals(scores, targets, patients, resamples=400, level=0.9, seed=1)
    for c, interval in enumerate(found.classes):
        assert interval.value == auroc(scores, targets)[c]
        np.testing.assert_allclose(
            [interval.low, interval.high], np.quantile(draws[:, c], [0.05, 0.95]), rtol=1e-12
        )
    mean = draws.mean(axis=1)
    np.testing.assert_allclose(
        [found.mean.low, found.mean.high], np.quantile(mean, [0.05, 0.95]), rtol=1e-12
    )


def test_agrees_with_the_clustered_variance(clustered_data):
    scores, targets, patients = clustered_data(5, patients=600)
    draws = resampled_auroc(scores, targets, patients, resamples=4000)
    _, sums = patient_sums(components(scores, targets).psi, patients)
    ratio = draws.std(axis=0) / np.sqrt(clustered_variance(sums))
    np.testing.assert_allclose(ratio, 1, atol=0.05)
    mean = draws.mean(axis=1).std() / np.sqrt(clustered_variance(sums.mean(axis=1)[:, None]))
    np.testing.assert_allclose(mean, 1, atol=0.05)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(RecordError, match="column Hernia"):
        intervals(np.full((2, 1), np.nan), np.zeros((2, 1)), np.arange(2), names=["Hernia"])


@pytest.mark.slow
def test_intervals_cover_the_truth_in_93_to_97_of_100(clustered_data):
    large, targets, _ = clustered_data(999, patients=60000, classes=3)
    truth = auroc(large, targets)
    covered, mean_covered, clustered, image_wise = [], [], [], []
    for seed in range(600):
        scores, targets, patients = clustered_data(seed)
        found = intervals(scores, targets, patients, resamples=500, seed=seed)
        covered.append([i.low <= t <= i.high for i, t in zip(found.classes, truth, strict=True)])
        mean_covered.append(found.mean.low <= truth.mean() <= found.mean.high)
        parts = components(scores, targets)
        distance = np.abs(parts.auroc - truth) / 1.96
        _, sums = patient_sums(parts.psi, patients)
        clustered.append(distance <= np.sqrt(clustered_variance(sums)))
        image_wise.append(distance <= np.sqrt(clustered_variance(parts.psi)))
    for kind in (covered, mean_covered, clustered):
        assert 0.93 <= np.mean(kind) <= 0.97
    assert np.mean(image_wise) < 0.92


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "low", "high"), [(1, 0.90, 0.95), (2.6, 0.84, 0.90)])
def test_intervals_of_rare_classes_are_too_narrow(clustered_data, effect, low, high):
    """The limit that the README states: 14 positive patients, AUROC .69 and .90.

    Measured .926 and .869, in 1,600 and 1,200 intervals.
    """
    about = {"prevalence": 0.03, "effect": effect}
    large, targets, _ = clustered_data(999, patients=60000, classes=3, **about)
    truth = auroc(large, targets)
    covered, positive = [], []
    for seed in range(400):
        scores, targets, patients = clustered_data(seed, patients=150, **about)
        found = intervals(scores, targets, patients, resamples=500, seed=seed)
        covered.append([i.low <= t <= i.high for i, t in zip(found.classes, truth, strict=True)])
        positive.append(counts(targets, patients).positive_patients)
    assert np.median(positive) == pytest.approx(14, abs=1)
    assert low <= np.mean(covered) <= high
