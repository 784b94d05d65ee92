import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from harness.errors import RecordError
from harness.metrics.auroc import auroc
from harness.metrics.bootstrap import Runs, intervals, patient_counts
from harness.metrics.evaluated import Evaluated
from harness.metrics.ranking import rank
from harness.report import roc
from harness.results.records import read_record, write_record
from harness.results.rescore import rescore
from harness.results.telling import made_with


def drawn_curve(scores, targets, patient, counts):
    """The sensitivities of images repeated as often as their patient was drawn, by scikit-learn."""
    rows = np.repeat(np.arange(len(scores)), counts[patient])
    if len(np.unique(targets[rows])) < 2:
        return np.full(len(roc.RATES), np.nan)
    false, true, _ = roc_curve(targets[rows], scores[rows], drop_intermediate=False)
    # where a curve rises, scikit-learn has several points at one rate: the highest counts
    highest = np.array([true[false <= rate + 1e-12].max() for rate in roc.RATES])
    between = np.interp(roc.RATES, false, true)
    return np.maximum(highest, between)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]))
def test_sensitivities_are_those_of_the_repeated_images(seed, levels):
    random = np.random.default_rng(seed)
    images, patients = 40, 12
    scores = random.integers(0, levels, images) / levels
    targets = (random.random(images) < 0.4).astype(float)
    patient = random.integers(0, patients, images)
    counts = patient_counts(patients, seed, range(3))
    runs = Runs.of(rank(scores, targets), patient, patients)
    found = roc.sensitivities(runs, counts)
    for b in range(3):
        expected = drawn_curve(scores, targets, patient, counts[:, b])
        np.testing.assert_allclose(found[:, b], expected, atol=1e-9)


def test_a_worked_curve():
    # from the top: a positive, a negative, a positive, a negative
    scores, targets = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1.0, 0, 1, 0])
    runs = Runs.of(rank(scores, targets), np.arange(4), 4)
    found = roc.sensitivities(runs, np.ones((4, 1), dtype=np.int32))[:, 0]
    np.testing.assert_array_equal(found, np.where(roc.RATES < 0.5, 0.5, 1.0))


def test_ties_are_the_diagonal():
    scores, targets = np.zeros(10), np.arange(10) % 2.0
    runs = Runs.of(rank(scores, targets), np.arange(10), 10)
    found = roc.sensitivities(runs, np.ones((10, 1), dtype=np.int32))[:, 0]
    np.testing.assert_allclose(found, roc.RATES, atol=1e-12)


def test_the_area_is_the_auroc_and_the_band_holds_the_curve(predictions):
    evaluated = predictions()
    found = roc.curves(evaluated)
    values = auroc(evaluated.scores, evaluated.targets)
    for c in (0, 1):
        assert np.trapezoid(found.curve[c], roc.RATES) == pytest.approx(values[c], abs=0.01)
        assert (found.low[c] <= found.curve[c] + 1e-6).all()
        assert (found.curve[c] <= found.high[c] + 1e-6).all()
        assert (np.diff(found.low[c]) >= -1e-6).all()
    for part in (found.curve, found.low, found.high):
        assert np.isnan(part[2]).all()


def test_patients_are_resampled_and_not_their_images(predictions):
    one = predictions()
    single = Evaluated(
        np.arange(300).astype(str), np.arange(300).astype(str), one.classes, one.targets, one.scores
    )
    copies = np.repeat(np.arange(300), 4)
    repeated = Evaluated(
        np.arange(1200).astype(str),
        single.patients[copies],
        one.classes,
        one.targets[copies],
        one.scores[copies],
    )
    first, second = roc.curves(single), roc.curves(repeated)
    np.testing.assert_allclose(first.low[:2], second.low[:2], atol=1e-6)
    np.testing.assert_allclose(first.high[:2], second.high[:2], atol=1e-6)


def test_curves_are_kept_with_the_hash_of_their_predictions(predictions, written, monkeypatch):
    folder = written(predictions())
    first = roc.curves_of(folder)
    monkeypatch.setattr(roc, "curves", lambda *_: pytest.fail("computed again"))
    second = roc.curves_of(folder)
    np.testing.assert_array_equal(first.low, second.low)


def test_a_record_whose_auroc_is_not_that_of_its_predictions_is_refused(predictions, written):
    folder = written(predictions())
    from harness.results.records import read_record

    record = read_record(folder)
    record["metrics"]["auroc"]["classes"]["Mass"]["value"] += 1e-4
    write_record(folder.parents[1], record, predictions().arrays(heavy=False))
    with pytest.raises(RecordError, match="do not give its AUROC of Mass"):
        roc.curves_of(folder)


def test_a_record_scored_with_more_resamples_says_so_and_its_bands_have_as_many(
    predictions, written
):
    evaluated = predictions()
    folder = written(evaluated)
    before = read_record(folder)["metrics"]["auroc"]["mean"]
    rescore(folder.parent.parent, folder, resamples=300)
    record = read_record(folder)
    assert record["resamples"] == 300
    assert ("intervals", "300 resamples of patients") in made_with(record)
    expected = intervals(evaluated.scores, evaluated.targets, evaluated.patients, 300).mean
    after = record["metrics"]["auroc"]["mean"]
    assert (after["low"], after["high"]) == (expected.low, expected.high)
    assert after["value"] == before["value"]
    assert after["low"] != before["low"]
    found = roc.curves_of(folder)
    np.testing.assert_array_equal(found.low, roc.curves(evaluated, 300).low)
    assert not np.array_equal(found.low, roc.curves(evaluated).low, equal_nan=True)
