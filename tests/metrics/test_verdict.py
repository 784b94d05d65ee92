import numpy as np
import pytest
from scipy import stats

from harness.metrics.verdict import (
    CLASS_AUROC,
    MEAN_AUROC,
    SIGNATURE_CLASSES,
    Pooled,
    inside,
    pool,
    resembles_random_split,
    signature,
    verdict,
)

CALM = Pooled(0.001, 20)


def test_pooled_spread_by_hand():
    found = pool([[0.80, 0.82], [0.5, 0.5, 0.53], [0.9]])
    assert found.df == 3
    assert found.deviation == pytest.approx(np.sqrt((2 * 0.01**2 + 0.0006) / 3))
    assert np.isnan(pool([[0.9]]).deviation)


def test_difference_and_margin_follow_the_formula():
    found = verdict([0.830, 0.834, 0.832], 0.8300, 4, Pooled(0.003, 12))
    expected = stats.t.ppf(0.95, 12) * np.sqrt(0.003**2 * (1 + 1 / 3) + 0.00005**2 / 3)
    assert found.difference == pytest.approx(0.002)
    assert found.margin == pytest.approx(expected)
    assert found.kind == "match"


@pytest.mark.parametrize(
    ("difference", "spread", "kind"),
    [
        (0.000, CALM, "match"),
        (0.0079, CALM, "match"),
        (-0.0079, CALM, "match"),
        (0.0081, CALM, "higher"),
        (-0.0081, CALM, "lower"),
        (0.030, CALM, "higher"),
        (0.000, Pooled(0.006, 20), "inconclusive"),
        (0.009, Pooled(0.006, 20), "inconclusive"),
        (0.013, Pooled(0.006, 20), "higher"),
        (0.0, Pooled(float("nan"), 0), "inconclusive"),
    ],
)
def test_kinds(difference, spread, kind):
    found = verdict([0.84 + difference] * 3, 0.84, 4, spread)
    assert found.kind == kind
    assert bool(found.reason) == (kind == "inconclusive")


def test_a_small_difference_that_is_certain_is_a_match():
    assert verdict([0.845] * 5, 0.84, 4, CALM).kind == "match"
    assert verdict([0.845] * 5, 0.84, 4, CALM, delta=0.003).kind == "higher"


def test_the_cause_of_an_inconclusive_verdict_is_named():
    wide = verdict([0.84] * 3, 0.84, 4, Pooled(0.01, 6)).reason
    assert "wider than the tolerance 0.010" in wide
    assert "spread over seeds" in wide
    rounded = verdict([0.855] * 3, 0.84, 1, Pooled(0.0001, 6)).reason
    assert "rounding of the printed cells" in rounded
    between = verdict([0.8485] * 3, 0.84, 4, Pooled(0.005, 20)).reason
    assert "within the tolerance" in between


def test_nothing_is_decided_on_few_seeds_or_other_protocols():
    assert verdict([], 0.84, 4, CALM).kind == "not run"
    few = verdict([0.84, 0.84], 0.84, 4, CALM)
    assert (few.kind, few.reason) == ("inconclusive", "2 of at least 3 seeds")
    other = verdict([0.84] * 5, 0.84, 4, CALM, not_comparable="another split")
    assert (other.kind, other.reason) == ("not comparable", "another split")


def test_classes_inside_the_tolerance():
    assert CLASS_AUROC == 0.020
    measured = np.array([0.80, 0.70, np.nan, 0.9])
    assert inside(measured, np.array([0.81, 0.75, 0.8, np.nan])) == (1, 2)


def test_signature_by_hand():
    first, second = SIGNATURE_CLASSES
    cells = {**dict.fromkeys(first, 0.85), **dict.fromkeys(second, 0.80)}
    assert signature(cells) == pytest.approx(0.05)
    assert resembles_random_split(cells, mean=0.82)
    assert not resembles_random_split(cells, mean=0.79)
    cells = {**dict.fromkeys(first, 0.80), **dict.fromkeys(second, 0.83)}
    assert not resembles_random_split(cells, mean=0.82)
    assert np.isnan(signature({"Edema": 0.9}))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("deviation", [0.001, 0.002, 0.004])
def test_error_rates(seeds, deviation):
    """Draw both trainings 4,000 times; 12 degrees of freedom, printed with four digits."""
    random = np.random.default_rng(0)
    rates = {}
    for truth in (0.0, MEAN_AUROC, -MEAN_AUROC, 0.03):
        kinds = []
        for _ in range(4000):
            measured = random.normal(0.83 + truth, deviation, seeds)
            published = np.round(random.normal(0.83, deviation), 4)
            spread = Pooled(deviation * np.sqrt(random.chisquare(12) / 12), 12)
            kinds.append(verdict(measured, published, 4, spread).kind)
        rates[truth] = {kind: np.mean(np.array(kinds) == kind) for kind in set(kinds)}
    assert rates[0.0].get("higher", 0) < 0.06
    assert rates[0.0].get("lower", 0) < 0.06
    assert rates[MEAN_AUROC].get("match", 0) < 0.06
    assert rates[-MEAN_AUROC].get("match", 0) < 0.06
    assert rates[0.03].get("higher", 0) > 0.95
    assert rates[0.03].get("match", 0) == 0
