import numpy as np
import pytest

from harness.errors import RecordError
from harness.metrics.compare import Row, differences
from harness.metrics.families import (
    best,
    compare,
    deviations,
    family,
    holm,
    pair_errors,
    seed_noise,
)


def made(name, shift=0.0, seeds=4, classes=3, patients=80, key=0, spread=0.002, influence=None):
    """Make a row directly: influence of patients common to all rows, plus its own part."""
    random = np.random.default_rng(key)
    if influence is None:
        influence = random.normal(size=(patients, classes))
    influence = 0.004 / np.sqrt(patients) * (influence - influence.mean(axis=0))
    joint = np.random.default_rng(77)
    counts = joint.multinomial(patients, np.full(patients, 1 / patients), size=500)
    values = 0.8 + shift + spread * random.normal(size=(seeds, classes))
    draws = values.mean(axis=0) + counts @ influence
    return Row(name, values, np.arange(patients), influence, draws)


def test_holm_by_hand():
    np.testing.assert_allclose(
        holm(np.array([0.01, np.nan, 0.04, 0.03, 0.005])), [0.03, np.nan, 0.06, 0.06, 0.02]
    )
    np.testing.assert_array_equal(holm(np.array([0.9, 0.8])), [1, 1])
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_families_are_corrected_over_classes_and_rows():
    reference, rows = made("R"), [made("A", key=1), made("B", 0.03, key=2)]
    found = family(rows, reference)
    assert [(d.row, d.column) for d in found] == [(r, c) for r in "AB" for c in range(3)]
    p = np.array([d.difference.p for d in found])
    stepped, joint = np.array([d.holm for d in found]), np.array([d.max_t for d in found])
    np.testing.assert_allclose(stepped, holm(p))
    assert (stepped >= p).all()
    assert (joint >= p - 0.02).all()
    assert (joint <= 6 * p + 0.05).all()
    assert (joint[3:] < 0.05).all()


def test_max_t_pays_nothing_for_copies_of_one_class():
    random = np.random.default_rng(3)
    shared = np.repeat(random.normal(size=(80, 1)), 6, axis=1)
    other = np.repeat(random.normal(size=(80, 1)), 6, axis=1)
    reference = made("R", classes=6, influence=shared, spread=1e-9)
    row = made("A", 0.0095, classes=6, influence=other, spread=1e-9)
    found = family([row], reference)[0]
    assert 0.03 < found.difference.p < 0.2
    assert found.max_t == pytest.approx(found.difference.p, abs=0.05)
    assert found.holm == pytest.approx(min(1, 6 * found.difference.p))


def test_one_seed_and_undefined_classes_are_no_part_of_a_family():
    reference, row, single = made("R"), made("A", key=1), made("S", key=2, seeds=1)
    for each in (reference, row, single):
        each.seeds[:, 1] = np.nan
        each.draws[:, 1] = np.nan
        each.influence[:, 1] = np.nan
    found = family([row, single], reference)
    tested = [(d.row, d.column) for d in found if not np.isnan(d.holm)]
    assert tested == [(d.row, d.column) for d in found if not np.isnan(d.max_t)]
    assert tested == [("A", 0), ("A", 2)]
    alone = family([row], reference)
    assert [d.max_t for d in alone if d.column != 1] == [found[0].max_t, found[2].max_t]
    comparison = compare(row, reference)
    assert comparison.undefined == [1]
    assert not np.isnan(comparison.mean.p)


def test_compare_takes_the_mean_as_its_test():
    first, second = made("A", 0.03, key=1), made("B")
    found = compare(first, second)
    expected = differences(first.mean_over_classes(), second.mean_over_classes())[0]
    assert found.mean == expected
    assert found.mean.p < 0.05
    assert [d.column for d in found.classes] == [0, 1, 2]


def test_rows_near_the_best_are_kept_and_others_are_not():
    rows = [made("A", 0.0), made("B", 0.0005, key=1), made("C", -0.05, key=2)]
    found = best([*rows, made("S", 0.5, seeds=1)])
    assert found.rows == ["A", "B"]
    assert found.untested == ["S"]
    assert best(rows, column=2).rows == ["A", "B"]
    assert best(rows[:1]).rows == ["A"]
    assert best([]).rows == []


def test_resamples_without_the_class_do_not_decide_the_best():
    rows = [made("A"), made("B", -0.05, key=1)]
    for row in rows:
        row.draws[::3, 0] = np.nan
        row.draws[:, 1] = np.nan
    assert best(rows, column=0).rows == ["A"]
    assert best(rows, column=1).rows == []


def test_errors_of_pairs_equal_those_of_differences():
    rows = [made("A"), made("B", key=1, seeds=6), made("C", key=2)]
    ends = [row.one_class(0) for row in rows]
    for paired, chosen in ((False, [0, 1, 2]), (True, [0, 2])):
        found = pair_errors([ends[i] for i in chosen], paired)
        for i, first in enumerate(chosen):
            for j, second in enumerate(chosen):
                if i != j:
                    expected = differences(ends[first], ends[second], paired)[0].error
                    assert found[i, j] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(RecordError, match="numbers of seeds differ"):
        best(rows, paired=True)


def test_equal_rows_are_all_best():
    row = made("A")
    assert best([row, row, row], paired=True).rows == ["A"] * 3


def test_seed_noise_has_the_covariance_of_the_seed_mean():
    row = made("A", seeds=12, spread=0.01)
    wide = Row("A", row.seeds, row.patients, row.influence, np.zeros((40000, 3)))
    noise = seed_noise(wide, 1, 0)
    expected = np.cov(row.seeds.T) / 12 * (11 / 9)
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.05 * expected.max())
    one, two = deviations([row, row], paired=True, seed=0)
    np.testing.assert_array_equal(one, two)
    one, two = deviations([row, row], paired=False, seed=0)
    assert (one != two).all()
    assert (seed_noise(made("S", seeds=1), 0, 0) == 0).all()


@pytest.mark.slow
def test_comparison_with_the_best_keeps_the_true_best_in_95_percent():
    kept = []
    for key in range(400):
        random = np.random.default_rng([key, 1])
        base, sampled = random.normal(size=(80, 1)), random.normal(size=80)
        rows = []
        for number in range(5):
            own = 0.5 * base + random.normal(size=(80, 1))
            row = made(str(number), classes=1, key=[key, number], influence=own, spread=0.002)
            strayed = sampled @ row.influence
            rows.append(
                Row(row.name, row.seeds + strayed, row.patients, row.influence, row.draws + strayed)
            )
        kept.append("0" in best(rows, seed=key).rows)
    assert 0.93 <= np.mean(kept) <= 0.98
