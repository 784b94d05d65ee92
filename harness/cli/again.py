"""A finished run taken up again: its dataset, its test images and its trained model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import settings
from harness.data.dataset import Dataset
from harness.data.opening import open_dataset
from harness.data.splits import fingerprint
from harness.engine.budget import budget as budget_named
from harness.engine.job import Rows, used_rows
from harness.engine.replay import load_model
from harness.errors import DataError, RecordError
from harness.home import home
from harness.model.model import Model
from harness.plugins import registry

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


def model_of(record: Record, folder: Path, device: torch.device) -> Model:
    """Return the trained model of the record in a folder.

    Raises:
        HarnessError: it is not on this machine, or of another version of the method.
    """
    stored = home() / "models" / folder.name
    if not (stored / "model.json").exists():
        raise RecordError(
            f"the trained model of {record['label']} is not on this machine ({stored}): only "
            "where it was trained can radiographs be pictured"
        )
    kind = registry().resolve("models", record["method"])
    values = {name: entry["value"] for name, entry in record["hyperparameters"].items()}
    made = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    return load_model(stored, made, device)
