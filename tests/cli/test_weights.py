"""Weights of a run that another run begins with."""

import json
from pathlib import Path

import pytest

from harness.results.records import read_record
from harness.tensors import read_tensors

TOY = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset", "--set", "epochs=1")


@pytest.fixture
def run(harness):
    """Return the folder of a record of the toy model."""
    return trained(harness(*TOY, "--json"))


def trained(ended):
    assert ended.code == 0, ended.error
    (record,) = json.loads(ended.out)
    return Path(record["folder"])


def test_a_run_begins_where_another_ended(run, harness):
    """No step follows at a rate of 0, so that both ends are the same to the bit."""
    ended = harness("weights", "take", run, "mine")
    assert ended.code == 0, ended.error
    assert Path(ended.out.strip()).name == "mine.safetensors"
    ended = harness(*TOY, "--set", "weights=mine", "--set", "rate=0", "--json")
    first, second = read_record(run), read_record(trained(ended))
    assert first["stages"][0]["final"] == second["stages"][0]["final"]
    assert set(second["weights"]) == {"mine"}
    train = first["dataset"]["fingerprints"]["train"]
    assert f"beginning with the weights mine: stage 'classifier' of {first['label']}, run " in (
        ended.error
    )
    assert f"trained on toyset (training images {train})" in ended.error


def test_a_part_of_a_network_is_taken_under_its_own_names(run, harness):
    ended = harness("weights", "take", run, "convolution", "--under", "0.")
    tensors, about = read_tensors(Path(ended.out.strip()))
    assert set(tensors) == {"weight", "bias"}
    assert about["origin"].startswith("stage 'classifier' of toy")
    ended = harness(*TOY, "--set", "weights=convolution")
    assert ended.code == 1
    assert "the weights convolution do not fit: missing ['0.bias'" in ended.error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mine", "--stage", "head"), "has no stage 'head'; there are: classifier"),
        (
            ("mine", "--under", "resnet."),
            "no tensor of 'classifier' starts with 'resnet.'; 0, 3 do",
        ),
        (("../mine",), "'../mine' cannot name weights"),
        (("none",), "'none' cannot name weights"),
    ],
)
def test_what_cannot_be_taken(run, harness, tmp_path, words, said):
    ended = harness("weights", "take", run, *words)
    assert ended.code == 1
    assert said in ended.error
    assert not list(tmp_path.rglob("weights/*.safetensors"))


def test_weights_are_never_replaced(run, harness):
    assert harness("weights", "take", run, "mine").code == 0
    ended = harness("weights", "take", run, "mine")
    assert ended.code == 1
    assert "mine.safetensors is there already" in ended.error
