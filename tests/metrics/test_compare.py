import numpy as np
import pytest
from scipy import stats

from harness.errors import RecordError
from harness.metrics import compare
from harness.metrics.clustered import clustered_variance, components, patient_sums
from harness.metrics.compare import Spread, differences, measure, ratio, row


@pytest.fixture(scope="module")
def trained(clustered_data):
    """Build a row of `seeds` runs whose scores are the truth plus patients' and seeds' noise."""
    _, targets, patients = clustered_data(0, patients=150, classes=3)

    def build(name, seeds=3, noise=1.0, start=0, bias=0.0):
        random = np.random.default_rng(1000)
        common = targets + random.normal(size=targets.shape) + bias * random.normal(size=(1, 3))
        runs = []
        for seed in range(start, start + seeds):
            own = np.random.default_rng(seed).normal(size=targets.shape)
            runs.append(measure(common + noise * own, targets, patients, resamples=300))
        return row(name, runs)

    return build


def test_the_error_has_patients_and_seeds(trained):
    first, second = trained("A", 3), trained("B", 4, noise=1.5, start=50)
    found = differences(first, second)[1]
    patients = clustered_variance((first.influence - second.influence)[:, [1]])[0]
    parts = [first.seeds[:, 1].var(ddof=1) / 3, second.seeds[:, 1].var(ddof=1) / 4]
    error = np.sqrt(patients + sum(parts))
    df = error**4 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    value = first.seeds[:, 1].mean() - second.seeds[:, 1].mean()
    margin = stats.t.ppf(0.975, df) * error
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx((value - margin, value + margin))
    assert found.p == pytest.approx(2 * stats.t.cdf(-abs(value) / error, df))
    assert found.df == pytest.approx(df)
    assert found.error == pytest.approx(error)
    assert found.patient_error == pytest.approx(np.sqrt(patients))
    assert found.detectable == pytest.approx(
        (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * error
    )


def test_psi_is_averaged_over_seeds(clustered_data):
    scores, targets, patients = clustered_data(1)
    other = scores + np.random.default_rng(0).normal(size=scores.shape)
    joint = row("A", [measure(s, targets, patients, resamples=2) for s in (scores, other)])
    psi = (components(scores, targets).psi + components(other, targets).psi) / 2
    np.testing.assert_allclose(joint.influence, patient_sums(psi, patients)[1], atol=1e-15)


def test_shared_seeds_are_paired(trained):
    first, second = trained("A"), trained("B", noise=1.2)
    found = differences(first, second, paired=True)[0]
    spread = (first.seeds - second.seeds)[:, 0].var(ddof=1) / 3
    assert found.seed_error == pytest.approx(np.sqrt(spread))
    with pytest.raises(RecordError, match="A has 3 seeds and B 2"):
        differences(first, trained("B", 2), paired=True)


def test_one_seed_is_no_test(trained):
    found = differences(trained("A", 1), trained("B", 3, start=5))
    assert {d.note for d in found} == {"no seed variance: no test"}
    assert np.isnan([d.p for d in found]).all()
    assert all(d.patient_error > 0 for d in found)
    assert all(d.more_seeds is None for d in found)


def test_a_row_does_not_differ_from_itself(trained):
    first = trained("A")
    assert [d.p for d in differences(first, first, paired=True)] == [1, 1, 1]
    assert all(d.error == 0 for d in differences(first, first, paired=True))


def test_the_mean_over_classes_is_clustered_too(trained):
    first = trained("A")
    mean = first.mean_over_classes()
    assert mean.auroc == pytest.approx([first.auroc.mean()])
    np.testing.assert_allclose(mean.seeds[:, 0], first.seeds.mean(axis=1))
    expected = first.draws.std(axis=0).mean()
    assert np.sqrt(clustered_variance(mean.influence)[0]) < expected


def test_undefined_classes_are_left_out(clustered_data):
    scores, targets, patients = clustered_data(2)
    targets[:, 1] = 0
    rows = [
        row(name, [measure(s, targets, patients, resamples=50) for s in (scores, k * scores**3)])
        for name, k in (("A", 1), ("B", -1))
    ]
    found = differences(*rows)
    assert "absent" in found[1].note
    assert np.isnan(found[1].value)
    assert not np.isnan([found[0].p, found[2].p]).any()
    mean = rows[0].mean_over_classes()
    assert mean.auroc[0] == pytest.approx(rows[0].auroc[[0, 2]].mean())


def test_rows_of_other_patients_or_labels_are_refused(clustered_data):
    scores, targets, patients = clustered_data(3)
    first = row("A", [measure(scores, targets, patients, resamples=9)] * 2)
    moved = row("B", [measure(scores, targets, patients + 1, resamples=9)] * 2)
    with pytest.raises(RecordError, match="B: scored on other patients"):
        differences(first, moved)
    fewer = row("B", [measure(scores, targets, patients, resamples=8)] * 2)
    with pytest.raises(RecordError, match="B: other labels, classes or resamples"):
        differences(first, fewer)


def test_seeds_needed_are_the_fewest_that_suffice():
    sources = Spread(np.array([1e-6, 1e-6, 1e-4]), [(np.full(3, 4e-5), 3), (np.full(3, 4e-5), 3)])
    value = np.array([0.01, -0.05, 0.005])
    found = compare.more_seeds(sources, value)
    assert found[1:] == [0, None]
    assert sources.detectable(found[0])[0] <= 0.01 < sources.detectable(found[0] - 1)[0]


def test_the_smallest_detectable_difference_is_found_in_four_of_five():
    random = np.random.default_rng(0)
    variance, seeds, patients = 4e-5, 5, 1e-5
    sources = Spread(np.array([patients]), [(np.array([variance]), seeds)] * 2)
    detectable = sources.detectable()[0]
    found = []
    for _ in range(4000):
        rows = random.normal([[detectable], [0]], np.sqrt(variance), (2, seeds))
        value = rows[0].mean() - rows[1].mean() + random.normal(0, np.sqrt(patients))
        own = Spread(np.array([patients]), [(r.var(ddof=1, keepdims=True), seeds) for r in rows])
        error, df = own.errors()
        found.append(2 * stats.t.sf(abs(value) / error[0], df[0]) < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.025)


def test_ratio_without_error():
    with np.errstate(all="raise"):
        found = ratio(np.array([0.0, 2.0, -2.0, 1.0]), np.array([0.0, 0.0, 0.0, 4.0]))
    np.testing.assert_array_equal(found, [0, np.inf, -np.inf, 0.25])
