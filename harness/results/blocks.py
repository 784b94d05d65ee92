"""Which rows may stand beside each other: one block, one split, one protocol, real data only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.results.facts import TEST_LISTS
from harness.results.measured import Runs
from harness.results.pages import Page, Printed

Lists = tuple[str, str]
"""Fingerprints of a training and a validation list."""

NOTES: Final[Mapping[str, str]] = {
    "phantom data": "Phantom data are drawn, not radiographs: their numbers compare with no paper.",
    "smoke budget": "A smoke budget shows that everything runs: its numbers reproduce nothing.",
    "common recipe": "All classifiers trained alike, not as their papers say: to rank the methods.",
    "other test images": "Other test images are a part of the list, or another list altogether.",
    "other training lists": "Other training lists than those of the rows above.",
}
"""Why a block stands apart, by the words in its name."""


def printed_block(page: Page, row: Printed) -> str:
    """Return the name of the block that a printed row stands in."""
    parts = [*_grid(row), *(["per image"] if row.metric != page.metric else [])]
    return ", ".join(parts) or _split(row.protocol.get("split", "not stated"))


def measured_block(page: Page, row: Printed, runs: Runs, usual: Lists | None) -> str:
    """Return the block of measured rows that would stand beside ``row`` if they may."""
    reasons = apart(page, runs, usual)
    if not reasons:
        return printed_block(page, row)
    return ", ".join([*_grid(row), *reasons])


def apart(page: Page, runs: Runs, usual: Lists | None) -> list[str]:
    """Say why these runs cannot stand beside the printed rows; empty where they can."""
    dataset = runs.first["dataset"]
    if dataset["phantom"] is not None:
        reasons = ["phantom data"]
    elif dataset["protocol"] != page.protocol.get("split"):
        reasons = [_split(dataset["protocol"])]
    elif other_images(dataset):
        reasons = ["other test images"]
    elif usual and _lists(runs) not in {usual, None}:
        reasons = ["other training lists"]
    else:
        reasons = []
    if runs.first["budget"] != "full":
        reasons.append(f"{runs.first['budget']} budget")
    if runs.first["recipe"] == "common":
        reasons.append("common recipe")
    return reasons


def other_images(dataset: Mapping[str, Any]) -> bool:
    """Whether the test images are not those of the split's pinned list."""
    pinned = TEST_LISTS.get((dataset["name"], dataset["protocol"]))
    found = dataset["fingerprints"].get("test")
    return bool(pinned and found and not str(found).startswith(pinned))


def usual_lists(page: Page, runs: Sequence[Runs]) -> Lists | None:
    """Return the training and validation lists that most comparable runs share."""
    lists = [_lists(each) for each in runs if not apart(page, each, None)]
    counts = Counter(each for each in lists if each)
    return counts.most_common(1)[0][0] if counts else None


def _lists(runs: Runs) -> Lists | None:
    """Return the lists trained on, None where they are only declared."""
    found = runs.first["dataset"]["fingerprints"]
    both = found.get("train"), found.get("validation")
    return (str(both[0]), str(both[1])) if all(both) else None


def _grid(row: Printed) -> list[str]:
    boxes = "box rule not stated" if row.boxes == "not stated" else f"{row.boxes} boxes"
    return [part for part in (row.section.title, row.boxes and boxes) if part]


def _split(name: str) -> str:
    return f"{name} split" if len(name.split()) == 1 else name
