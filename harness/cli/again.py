"""A finished run taken up again: its dataset and its test images."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness import settings
from harness.data.dataset import Dataset
from harness.data.opening import open_dataset
from harness.data.splits import fingerprint
from harness.engine.budget import budget as budget_named
from harness.engine.job import Rows, used_rows
from harness.errors import DataError

Record = Mapping[str, Any]


def dataset_of(record: Record, root: Path | None, options: list[str]) -> Dataset:
    """Return the dataset of a run, with the options of its command unless others are given.

    Raises:
        HarnessError: it cannot be opened.
    """
    given = options or _data_options(record.get("command", []))
    return open_dataset(record["dataset"]["name"], root, settings.pairs(given))


def _data_options(command: list[str]) -> list[str]:
    """Return what followed ``--data`` in a command."""
    after = [two for one, two in pairwise(command) if one == "--data"]
    return after + [word.removeprefix("--data=") for word in command if word.startswith("--data=")]


def test_rows(record: Record, dataset: Dataset, names: list[str]) -> Rows:
    """Return the rows of the test images of a run; ``names`` are those that were scored.

    Raises:
        DataError: the test split is another one, or has other labels.
    """
    rows = used_rows(dataset, budget_named(record["budget"]))["test"]
    if record["dataset"].get("left_out"):
        rows = rows[np.isin(dataset.samples.take(rows).names, names)]
    found = {
        "test images": fingerprint(dataset.samples.take(rows).names.tolist()),
        "label policy": dict(dataset.policy),
    }
    about = record["dataset"]
    wanted = {"test images": about["fingerprints"]["test"], "label policy": about["policy"]}
    for what, value in found.items():
        if value != wanted[what]:
            raise DataError(
                f"{dataset.root}: the {what} are not those of the run {record['id']} "
                f"({value}, there {wanted[what]}); give the --root and the --data of that run"
            )
    return rows
