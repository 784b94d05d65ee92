"""The command behind a number: it can be pasted, and says nothing of the machine of the run."""

import json
import shlex

import pytest

from harness.provenance import without_folders

WORDS = {
    "--root": "--root",
    "/data/nih": "/path/to/nih",
    "/data/nih/": "/path/to/nih",
    "--root=/data/nih": "--root=/path/to/nih",
    "jsrt:/data/sets/jsrt": "jsrt:/path/to/jsrt",
    "csv:/home/me/my own.csv": "csv:/path/to/my own.csv",
    "lists=/home/me/lists": "lists=/path/to/lists",
    "here/nih": "here/nih",
    "space-attention[pool=k7],resnet34": "space-attention[pool=k7],resnet34",
    "rate=1/2": "rate=1/2",
}


@pytest.mark.parametrize("word", WORDS)
def test_folders_are_left_out_wherever_they_stand(word):
    assert without_folders(word) == WORDS[word]


def test_a_command_can_be_pasted_and_its_gap_is_named(harness, tmp_path):
    results = tmp_path / "some where" / "results"
    words = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset")
    assert harness(*words, "--set", "epochs=1", "--results", results).code == 0
    (path,) = results.rglob("record.json")
    record = json.loads(path.read_text())
    assert str(tmp_path) not in path.read_text()
    ended = harness("explain", record["id"], "--results", results)
    (line,) = [line for line in ended.out.splitlines() if line.startswith("command")]
    pasted = shlex.split(line.removeprefix("command"))
    assert pasted == ["harness", *words, "--set", "epochs=1", "--results", "/path/to/results"]
    assert "put your own folders for /path/to/" in ended.out
