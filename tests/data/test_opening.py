"""The dataset of a finished run is opened with the options that it had."""

import pytest

from harness.data import opening


@pytest.fixture
def opened(monkeypatch):
    """Return what open_dataset is called with, without anything being opened."""
    calls = []
    monkeypatch.setattr(opening, "open_dataset", lambda *words: calls.append(words))

    def of(record, *words):
        opening.dataset_of(record, *words)
        return calls[-1]

    return of


def record(name, phantom=None, command=()):
    return {"dataset": {"name": name, "phantom": phantom}, "command": list(command)}


def test_options_are_those_of_the_command(opened):
    ran = record("nih", command=["harness", "run", "--data", "split=mine", "--data=cap=3"])
    assert opened(ran) == ("nih", None, {"split": "mine", "cap": "3"})
    assert opened(ran, None, ["split=other"]) == ("nih", None, {"split": "other"})
    assert opened({"dataset": ran["dataset"]}) == ("nih", None, {})


def test_drawn_ones_are_drawn_as_the_record_says(opened):
    drawn = record("phantom", {"images": 40, "size": 64}, ["harness", "run"])
    assert opened(drawn) == ("phantom", None, {"images": "40", "size": "64"})
    assert opened(drawn, None, ["images=8"]) == ("phantom", None, {"images": "8"})
