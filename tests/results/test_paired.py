"""Bold by comparison with the best: paired, over patients and seeds, cached by hashes."""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import families
from harness.metrics.auroc import auroc
from harness.metrics.compare import measure, row
from harness.results import paired
from harness.results.pages import load_page
from harness.results.records import find_records, write_record
from harness.results.tables import TESTED, build

PATIENTS, IMAGES = 150, 450
_random = np.random.default_rng(0)
PATIENT = np.sort(_random.integers(0, PATIENTS, IMAGES))
TARGETS = (_random.random((IMAGES, 14)) < 0.3).astype(np.float32)
COMMON = _random.normal(size=(IMAGES, 14))


def scores(skill, seed, spread=0.02):
    """Score with a noise that all rows share: unpaired intervals are wide, paired errors small."""
    own = np.random.default_rng(seed).normal(size=TARGETS.shape)
    return (skill * TARGETS + COMMON + spread * own).astype(np.float32)


@pytest.fixture
def run(tmp_path, record, entry, nih):
    """Write the record of one seed with predictions of this skill, and return its scores."""

    def write(method, skill, seed, found=None, targets=TARGETS):
        found = scores(skill, seed) if found is None else found
        cells = dict(zip(nih, auroc(found, TARGETS).tolist(), strict=True))
        made = record(method, metrics={"auroc": entry(cells, half=0.03)}, seed=seed)
        arrays = {
            "names": np.array([f"{i:08d}_000.png" for i in range(IMAGES)]),
            "patients": PATIENT.astype(np.str_),
            "classes": np.array(nih),
            "targets": targets,
            "scores": found,
        }
        write_record(tmp_path / "results", made, arrays)
        return found

    return write


@pytest.fixture
def table(tables, tmp_path):
    page = load_page("nih-auc", tables)

    def make():
        root = tmp_path / "results"
        built = build(page, find_records(root, {"auroc"}), root)
        return {row.method: row for row in built.rows if row.seeds is not None}

    return make


def test_a_paired_test_tells_apart_what_intervals_cannot(run, table, tables, tmp_path):
    for seed in range(3):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    bold = {name: "mean" in row.bold for name, row in table().items()}
    assert bold == {"good": True, "less": False}
    page, root = load_page("nih-auc", tables), tmp_path / "results"
    assert TESTED in build(page, find_records(root), root).notes
    unpaired = build(page, find_records(root))
    assert all("mean" in row.bold for row in unpaired.rows if row.seeds is not None)


@pytest.mark.parametrize("alike", [False, True])
def test_bold_is_what_the_comparison_with_the_best_says(run, table, nih, alike):
    skills = {"a": 1.2, "b": 1.195, "c": 1.1, "d": 1.199}
    rows = []
    for number, (name, skill) in enumerate(skills.items()):
        first = 0 if alike else 10 * number  # rows with the same seeds are pairs
        own = [scores(skill, 10 * number + seed) for seed in range(3)]
        found = [run(name, skill, first + seed, own[seed]) for seed in range(3)]
        rows.append(row(name, [measure(each, TARGETS, PATIENT) for each in found]))
    shown = table()
    for column, place in {"mean": None, nih[0]: 0, nih[13]: 13}.items():
        expected = set(families.best(rows, place, alike).rows)
        assert {name for name, row in shown.items() if column in row.bold} == expected
    assert {name for name, row in shown.items() if "mean" in row.bold} < set(skills)


def test_one_seed_is_not_tested_and_falls_to_its_interval(run, table):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    run("single", 1.05, 20)
    bold = {name for name, row in table().items() if "mean" in row.bold}
    assert bold == {"good", "single"}


def test_a_largest_row_of_one_seed_is_beaten_by_no_test(run, table):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    run("single", 1.25, 20)
    bold = {name for name, row in table().items() if "mean" in row.bold}
    assert bold == {"good", "single"}  # "less" is told from "good", though not from "single"


def test_predictions_that_are_not_here_are_not_tested(run, table, tmp_path):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    for path in (tmp_path / "results").rglob("scores.npz"):
        if "less" in path.parent.name:
            path.unlink()
    assert all("mean" in row.bold for row in table().values())


def test_other_labels_are_another_test(run, table):
    other = np.where(np.arange(IMAGES)[:, None] == 0, 1 - TARGETS, TARGETS)
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
        run("elsewhere", 1.05, 20 + seed, targets=other)
    bold = {name for name, row in table().items() if "mean" in row.bold}
    assert bold == {"good", "elsewhere"}


def test_a_second_table_opens_no_predictions_and_tests_nothing(run, table, monkeypatch):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    reduced = []
    inner = paired._reduce
    monkeypatch.setattr(paired, "_reduce", lambda *words: (reduced.append(words), inner(*words)))
    first = table()
    assert len(reduced) == 4

    def never(*_, **__):
        raise AssertionError("a table that was printed before tests nothing again")

    with monkeypatch.context() as patch:
        patch.setattr(paired, "_reduce", never)
        patch.setattr(families, "best", never)
        patch.setattr(np, "load", never)
        assert table() == first
    run("more", 1.1, 30)
    run("more", 1.1, 31)
    assert not {name for name, row in table().items() if "mean" in row.bold} - {"good"}
    assert len(reduced) == 6  # of the new predictions only
    folders = {Path(folder).name for folder, _ in reduced[4:]}
    assert all(name.startswith("more") for name in folders)


def test_new_predictions_under_an_old_name_are_tested_again(run, table):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    assert {name for name, row in table().items() if "mean" in row.bold} == {"good"}
    for seed in range(2):
        run("less", 0, 10 + seed, scores(1.2, 40 + seed))
    assert {name for name, row in table().items() if "mean" in row.bold} == {"good", "less"}


def test_a_table_of_many_records_never_parses_what_it_does_not_show(run, table, tmp_path, record):
    run("good", 1.2, 0)
    (path,) = (tmp_path / "results").rglob("record.json")
    before = find_records(tmp_path / "results", {"auroc"})
    text = path.read_text()
    wrong = '\n  "localization": {\n   "largest": {\n    broken\n   }\n  },\n  "auroc": {'
    path.write_text(text.replace('\n  "auroc": {', wrong, 1))
    assert find_records(tmp_path / "results", {"auroc"}) == before
    assert len(table()) == 1
    with pytest.raises(Exception, match="not valid JSON"):
        find_records(tmp_path / "results")


def test_metrics_that_are_not_asked_for_are_left_out(tmp_path, record, entry):
    boxes = {"localization": {"largest": {"iou>0.1": entry({"Mass": 0.5})}}}
    both = record()["metrics"] | boxes | {"calibration": {}}
    write_record(tmp_path, record(metrics=both))
    (everything,) = find_records(tmp_path)
    (some,) = find_records(tmp_path, {"auroc"})
    assert everything["metrics"] == both
    assert some["metrics"] == {"auroc": both["auroc"]}
    assert some == everything | {"metrics": some["metrics"]}
    (other,) = find_records(tmp_path, {"localization"})
    assert other["metrics"] == boxes


def test_what_is_kept_lies_under_home(run, table):
    for seed in range(2):
        run("good", 1.2, seed)
        run("less", 1.05, 10 + seed)
    table()
    kept = sorted(path.suffix for path in Path(os.environ["HARNESS_HOME"], "comparisons").iterdir())
    assert kept == [".json", *[".npz"] * 4]
