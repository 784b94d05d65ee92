"""A finished run taken up again: its test images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data.dataset import Dataset
from harness.data.splits import fingerprint
from harness.engine.budget import budget as budget_named
from harness.engine.job import Rows, used_rows
from harness.errors import DataError

Record = Mapping[str, Any]


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
