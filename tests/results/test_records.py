import json
import os
import time

import numpy as np
import pytest

from harness.errors import HarnessError, RecordError
from harness.results.records import find_records, read_record, read_scores, write_record

SCORES = {"scores": np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2), "names": np.array(["a"])}


def test_a_record_comes_back_as_it_was_written(tmp_path, record):
    folder = write_record(tmp_path, record(), SCORES)
    assert folder == tmp_path / "nih" / "space-attention-space-attention-0-0-0"
    assert sorted(path.name for path in folder.iterdir()) == ["record.json", "scores.npz"]
    found = read_record(folder)
    assert found.pop("scores")["file"] == "scores.npz"
    assert found == {key: value for key, value in record().items() if key != "scores"}
    for name, array in read_scores(folder).items():
        np.testing.assert_array_equal(array, SCORES[name])


def test_numbers_that_json_lacks_become_null_and_numpy_becomes_plain(tmp_path, record):
    wanted = record(metrics={"auroc": {"mean": {"value": np.float32(0.5)}, "classes": {}}})
    wanted["throughput"] = {"train_images_per_s": float("nan"), "parameters": np.int64(7)}
    text = (write_record(tmp_path, wanted) / "record.json").read_text()
    assert json.loads(text)["throughput"] == {"train_images_per_s": None, "parameters": 7}
    assert "NaN" not in text
    assert json.loads(text)["metrics"]["auroc"]["mean"]["value"] == 0.5


def test_a_failed_write_leaves_what_was_there(tmp_path, record, monkeypatch):
    folder = write_record(tmp_path, record())
    before = (folder / "record.json").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarnessError, match="the disk is full"):
        write_record(tmp_path, record(cells=0.5))
    assert (folder / "record.json").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["record.json"]


def test_changed_scores_are_refused(tmp_path, record):
    folder = write_record(tmp_path, record(), SCORES)
    np.savez(folder / "scores.npz", scores=np.zeros(1))
    with pytest.raises(RecordError, match="is not the file that"):
        read_scores(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "0", "'seed' is '0'; int is needed"),
        ("seed", True, "'seed' is True; int is needed"),
        ("kind", "published", "not measured or imported"),
        ("schema", 2, "schema is 2, this version reads 1"),
        ("dataset", {}, "'dataset.name' is missing"),
        ("metrics", {"auroc": {"classes": {}}}, "metrics.auroc needs 'mean' and 'classes'"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, record, key, value, message):
    broken = record()
    broken[key] = value
    with pytest.raises(RecordError, match=message):
        write_record(tmp_path, broken)
    assert not list(tmp_path.iterdir())


def test_an_impossible_score_is_named(tmp_path, record):
    broken = record()
    broken["metrics"]["auroc"]["classes"]["Hernia"]["value"] = 1.5
    with pytest.raises(RecordError, match=r"metrics\.auroc\.Hernia\.value is 1\.5"):
        write_record(tmp_path, broken)


def test_a_truncated_file_is_named(tmp_path, record):
    folder = write_record(tmp_path, record())
    path = folder / "record.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match=r"record\.json is not valid JSON"):
        find_records(tmp_path)


def test_credentialed_scores_go_elsewhere(tmp_path, record):
    closed = record(dataset={"credentialed": True})
    root, private = tmp_path / "results", tmp_path / "home"
    with pytest.raises(RecordError, match="need a private folder"):
        write_record(root, closed, SCORES, credentialed=True)
    with pytest.raises(RecordError, match="must lie outside"):
        write_record(root, closed, SCORES, credentialed=True, private=root / "nih")
    assert not root.exists()
    folder = write_record(root, closed, SCORES, credentialed=True, private=private)
    assert [path.name for path in folder.iterdir()] == ["record.json"]
    with pytest.raises(RecordError, match="kept elsewhere"):
        read_scores(folder)
    np.testing.assert_array_equal(read_scores(folder, private)["scores"], SCORES["scores"])
    assert str(private) not in (folder / "record.json").read_text()


def test_forgetting_that_data_are_credentialed_is_an_error(tmp_path, record):
    with pytest.raises(RecordError, match="credentialed is True"):
        write_record(tmp_path, record(dataset={"credentialed": True}), SCORES)


@pytest.mark.parametrize(
    "text",
    [
        "aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-eeeeeeee.jpg",
        "files/p10/p10000032/s50414267",
        "CheXpert/train/patient00001/study1",
    ],
)
def test_identifiers_of_credentialed_data_are_refused(tmp_path, record, text):
    closed = record(dataset={"credentialed": True}, command=["harness", "run", text])
    with pytest.raises(RecordError, match="'command' holds a"):
        write_record(tmp_path, closed, credentialed=True)


def test_a_thousand_records_are_read_within_a_second(tmp_path, record):
    strata = {name: record()["metrics"]["auroc"]["classes"] for name in ("AP", "PA", "first")}
    for seed in range(1000):
        big = record(seed=seed)
        big["metrics"]["auroc"]["strata"] = strata
        folder = tmp_path / "nih" / f"m-{seed}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(big, indent=1))
    (tmp_path / "nih" / "unfinished").mkdir()
    start = time.process_time()
    found = find_records(tmp_path)
    assert time.process_time() - start < 1.0
    assert len(found) == 1000
    assert found[0]["folder"] == "nih/m-0"
    assert find_records(tmp_path / "nowhere") == []
