"""Records and the rows made of them: stored predictions are all that any number is made from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.metrics.evaluated import Evaluated, read_evaluated, write_heavy
from harness.results.exchange import probabilities, read_predictions
from harness.results.records import read_record, write_record

TOY = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset", "--set", "epochs=1")


@pytest.fixture
def run(harness):
    """Return the folder of a record of the toy model."""
    ended = harness(*TOY, "--json")
    assert ended.code == 0, ended.error
    (record,) = json.loads(ended.out)
    return Path(record["folder"])


def test_scoring_again_gives_the_same_record(run, harness):
    before = read_record(run)
    ended = harness("score")
    assert ended.code == 0, ended.error
    assert read_record(run) == before
    assert before["metrics"]["auroc"]["classes"]["Mass"]["value"] is not None


def test_scoring_follows_the_predictions(run, harness):
    record = read_record(run)
    path = run / "scores.npz"
    with np.load(path) as arrays:
        stored = dict(arrays)
    stored["scores"] = stored["targets"].astype(np.float32)
    write_record(run.parents[1], {**record, "metrics": {}}, stored)
    assert harness("score", record["id"]).code == 0
    assert read_record(run)["metrics"]["auroc"]["mean"]["value"] == 1.0


def test_scores_of_another_run_are_refused(run, harness):
    path = run / "scores.npz"
    with np.load(path) as arrays:
        stored = dict(arrays)
    stored["scores"][0] = 0.123
    np.savez(path, **stored)
    ended = harness("score")
    assert ended.code == 1
    assert "is not the file that" in ended.error


def test_exported_and_imported_again_the_scores_are_equal(run, harness, tmp_path):
    assert harness("export", run, "--csv", tmp_path / "out.csv").code == 0
    words = ("import", tmp_path / "out.csv", "--dataset", "toyset", "--as", "Mine", "--json")
    ended = harness(*words[:-1])
    assert ended.code == 0, ended.error
    (imported,) = [p.parent for p in run.parents[1].rglob("record.json") if p.parent != run]
    first, second = read_evaluated(run), read_evaluated(imported)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.names, second.names)
    np.testing.assert_array_equal(first.targets, second.targets)
    one, two = read_record(run), read_record(imported)
    assert two["kind"] == "imported"
    assert two["label"] == "Mine"
    for name, cell in one["metrics"]["auroc"]["classes"].items():
        assert cell == two["metrics"]["auroc"]["classes"][name]


def test_a_finished_command_given_again_trains_nothing(run, harness):
    ended = harness(*TOY, "--json")
    (record,) = json.loads(ended.out)
    assert Path(record["folder"]) == run
    assert all(stage["shared"] for stage in record["stages"])
    ended = harness(*TOY, "--fresh", "--json")
    (again,) = json.loads(ended.out)
    assert not any(stage["shared"] for stage in again["stages"])
    assert again["stages"][0]["final"] == record["stages"][0]["final"]
    assert again["metrics"] == record["metrics"]


def test_everything_that_decides_a_number_is_in_the_run_id(run, harness):
    ids = {read_record(run)["id"]}
    for words in (
        ("--set", "rate=0.02"), ("--data", "images=72"), ("--precision", "bf16"),
        ("--micro-batch", "4"), ("--budget", "smoke"), ("--set", "pool=max"),
    ):  # fmt: skip
        ended = harness(*TOY, *words, "--json")
        assert ended.code == 0, (words, ended.error)
        (record,) = json.loads(ended.out)
        ids.add(record["id"])
    assert len(ids) == 7
    (seeded,) = json.loads(harness(*TOY, "--seed", "3", "--json").out)
    assert seeded["id"] in ids
    assert seeded["folder"].endswith("-3")


def test_a_plan_trains_nothing(harness, own_home):
    ended = harness(*TOY, "--plan", "--json")
    (plan,) = json.loads(ended.out)
    assert ended.code == 0
    assert plan["images"] == {"train": 20, "validation": 20, "test": 20}
    (step,) = plan["steps"]
    assert (step["name"], step["images"], step["epochs"], step["batch_size"]) == (
        "classifier",
        20,
        1,
        8,
    )
    assert not (own_home / "stages").exists()
    assert "classifier" in harness(*TOY, "--plan").out


def test_two_methods_and_two_seeds_are_four_records(harness):
    words = (*TOY[:4], "toy,toy[pool=max]", *TOY[5:], "--seeds", "2", "--json")
    records = json.loads(harness(*words).out)
    labels = [(record["label"], record["seed"]) for record in records]
    both = ("toy[epochs=1]", "toy[epochs=1,pool=max]")
    assert labels == [(label, seed) for label in both for seed in (0, 1)]
    listed = json.loads(harness("ls", "--json").out)
    assert sorted((row["method"], row["seed"]) for row in listed) == sorted(labels)


def evaluated(count=5):
    random = np.random.default_rng(0)
    text = np.array([f"é{row}" for row in range(count)])
    return Evaluated(
        names=text, patients=text, classes=np.array(["A", "B"]),
        targets=np.array([[0, 1]] * count, np.float32),
        scores=random.random((count, 2), np.float32),
        sizes=np.full((count, 2), 7), boxes=np.zeros((count, 1, 4), np.float32),
        box_classes=np.full((count, 1), -1), to_original=random.random((count, 2, 3)),
        detailed=np.array([1, 3]), maps=random.random((2, 2, 4, 4)).astype(np.float16),
        map_frame=np.array([8, 8]),
    )  # fmt: skip


def test_stored_predictions_come_back(tmp_path):
    from dataclasses import fields

    from harness.files import write_npz

    before = evaluated()
    write_npz(tmp_path / "scores.npz", before.arrays(heavy=False))
    write_heavy(tmp_path, before)
    after = read_evaluated(tmp_path)
    for entry in fields(Evaluated):
        one, two = getattr(before, entry.name), getattr(after, entry.name)
        if entry.name == "resamples":  # a wish, not a prediction
            continue
        assert (one is None) == (two is None), entry.name
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
    shutil.copy(tmp_path / "scores.npz", tmp_path / "maps.npz")
    (tmp_path / "scores.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(Exception, match=r"scores\.npz cannot be read"):
        read_evaluated(tmp_path)


def test_reading_predictions(tmp_path):
    """Order, letter case, blanks, folders, prob_ and other columns do not matter."""
    path = tmp_path / "p.csv"
    path.write_text(
        "\ufeffImage Index,other,prob_pleural thickening,MASS\nx/b.png,?,0.25,0.5\na.png,,1,0\n"
    )
    found = read_predictions(path, ["a.png", "b.png"], ["Mass", "Pleural_Thickening"])
    np.testing.assert_array_equal(found, [[0, 1], [0.5, 0.25]])


def test_names_with_folders_that_tell_images_apart(tmp_path):
    names = ["p1/view.jpg", "p2/view.jpg"]
    path = tmp_path / "p.csv"
    path.write_text("image,A\np2/view.jpg,0.5\np1/view.jpg,0.25\n")
    np.testing.assert_array_equal(read_predictions(path, names, ["A"]), [[0.25], [0.5]])


def test_logits_become_probabilities_without_a_word():
    scores = np.array([[-800.0, 0.0], [800.0, 0.3]])
    found, were_logits = probabilities(scores)
    assert were_logits
    np.testing.assert_allclose(found, [[0, 0.5], [1, 0.574442516811659]], atol=1e-12)
    same, were_logits = probabilities(np.array([[0.0, 1.0]]))
    assert not were_logits
    np.testing.assert_array_equal(same, [[0, 1]])


def test_imported_logits_are_noted_and_swapped_columns_warned(harness, tmp_path):
    from toy_plugin.dataset import ToySet

    test = ToySet().part("test")
    lines = [
        f"{name},{4 * (0.5 - row[0])},{4 * (row[1] - 0.5)}"
        for name, row in zip(test.names, test.labels, strict=True)
    ]
    path = tmp_path / "p.csv"
    path.write_text("\n".join(["image,Mass,Nodule", *lines]))
    ended = harness("import", path, "--dataset", "toyset", "--as", "Mine")
    assert ended.code == 0, ended.error
    assert "warning: Mass has an AUROC below one half" in ended.error
    assert "Nodule has" not in ended.error
    (record,) = (tmp_path / "results").rglob("record.json")
    assert json.loads(record.read_text())["notes"] == ["scores were logits"]


def test_an_import_never_replaces_other_predictions(tmp_path):
    import numpy as np

    from harness.errors import RecordError
    from harness.metrics.evaluated import Evaluated
    from harness.results.exchange import imported_record, refuse_other_scores

    about = {"name": "nih", "protocol": "official", "fingerprints": {"test": "a"}, "policy": {}}
    other = {**about, "protocol": "chexnet-random", "fingerprints": {"test": "b"}}
    assert (
        imported_record("Mine", 0, about, {})["id"] != imported_record("Mine", 0, other, {})["id"]
    )
    scores = np.array([[0.25], [0.75]])
    np.savez(tmp_path / "scores.npz", scores=scores)
    names = np.array(["x", "y"])
    same = Evaluated(names, names, np.array(["c"]), scores=scores)
    refuse_other_scores(tmp_path, same)
    with pytest.raises(RecordError, match="other predictions"):
        refuse_other_scores(tmp_path, Evaluated(names, names, np.array(["c"]), scores=scores + 0.1))


def test_a_row_with_settings_is_found_by_the_name_of_its_method(harness):
    """``toy`` finds ``toy[epochs=1]`` as long as no row has that very label."""
    assert harness(*TOY).code == 0
    ended = harness("explain", "toy")
    assert ended.code == 0, ended.error
    assert "toy[epochs=1], seed 0" in ended.out
    assert harness("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset").code == 0
    ended = harness("explain", "toy")
    assert "toy, seed 0" in ended.out
    assert "toy[epochs=1]" not in ended.out
    ended = harness("explain", "toys")
    assert ended.code == 1
    assert "has the id, label or method, 'toys'" in ended.error
