"""One run made definite.

Every choice resolved, written down and hashed before anything is trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import settings
from harness.data.dataset import Dataset
from harness.data.samples import Samples
from harness.data.splits import check_disjoint, fingerprint
from harness.data.store import Store, prepare, staged
from harness.data.view import View
from harness.engine.budget import Budget
from harness.engine.compute import Compute
from harness.engine.distributed import barrier, ranks
from harness.engine.recipe import Recipe
from harness.errors import DataError
from harness.model.model import Model
from harness.plugins import registry

Rows = npt.NDArray[np.int64]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Method:
    """A model with its hyperparameters, where each came from, and what the row is called."""

    name: str
    label: str
    model: Model
    origins: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Data:
    """A dataset in a view, with the rows of each split that the budget leaves."""

    dataset: Dataset
    rows: Mapping[str, Rows]
    store: Store
    excluded: list[str]  # names that cannot be decoded, left out on request

    def samples(self, split: str) -> Samples:
        """Return one split with its images."""
        return self.store.attach(self.dataset.samples, self.rows[split])


def make_method(text: str, given: Mapping[str, str], budget: Budget) -> Method:
    """Return the method that ``name[key=value]`` and further settings name.

    Raises:
        HarnessError: no plugin offers it, or a setting is wrong.
    """
    name, bracketed = settings.parse(text)
    kind = registry().resolve("models", name)
    merged = {**bracketed, **given}
    overrides = dict(kind.smoke) if budget.name == "smoke" else {}
    model, origins = settings.build(kind, name, merged, overrides)
    made: Model = model.resolved()
    for entry in fields(made):  # type: ignore[arg-type]
        if entry.name in origins:
            origins[entry.name]["value"] = getattr(made, entry.name)
    return Method(name, settings.label(name, made, merged), made, origins)


def used_rows(dataset: Dataset, budget: Budget) -> dict[str, Rows]:
    """Return the rows of each split that a budget leaves.

    Raises:
        DataError: a split is empty, or a patient is in two of them.
    """
    used = {}
    for split in SPLITS:
        rows = np.asarray(dataset.splits.get(split, []), dtype=np.int64)
        if len(rows) == 0:
            raise DataError(f"the {split} split of {dataset.name!r} in {dataset.root} is empty")
        used[split] = budget.rows(dataset.samples, rows, split)
    check_disjoint(used, dataset.samples.patients)
    return used


def make_data(
    dataset: Dataset,
    view: View,
    rows: Mapping[str, Rows],
    *,
    skip_corrupt: bool = False,
    stage_to: Path | None = None,
) -> Data:
    """Return a dataset with its images decoded: by the first rank of a machine, for all."""
    every = np.unique(np.concatenate(list(rows.values())))
    if not ranks().first:
        barrier()
    store = prepare(dataset, view, every, skip_corrupt=skip_corrupt)
    if ranks().first:
        barrier()
    bad = store.corrupt(every)
    good = {split: where[~np.isin(where, bad)] for split, where in rows.items()}
    if stage_to is not None:
        store = staged(store, np.setdiff1d(every, bad), stage_to)
    return Data(dataset, good, store, dataset.samples.take(bad).names.tolist())


def fingerprints(dataset: Dataset, rows: Mapping[str, Rows]) -> dict[str, str]:
    """Return the fingerprint of each split's sorted names."""
    names = {split: dataset.samples.take(used).names.tolist() for split, used in rows.items()}
    return {split: fingerprint(listed) for split, listed in names.items()}


def identity(
    method: Method,
    data: Data,
    auxiliary: Mapping[str, Data],
    budget: Budget,
    recipe: Recipe,
    compute: Compute,
) -> dict[str, Any]:
    """Return everything that makes this run another run when it changes, but for the seed."""
    pixels = data.store.digest(np.concatenate([data.rows[s] for s in SPLITS]))
    lists = {name: fingerprints(other.dataset, other.rows) for name, other in auxiliary.items()}
    known = declared(method, data.dataset, data.rows, lists, budget, recipe, compute)
    return {**known, "pixels": pixels}


def declared(
    method: Method,
    dataset: Dataset,
    rows: Mapping[str, Rows],
    auxiliary: Mapping[str, Mapping[str, str]],
    budget: Budget,
    recipe: Recipe,
    compute: Compute,
) -> dict[str, Any]:
    """Return what of a run's identity is known before any image is opened."""
    samples = dataset.samples
    annotations = {split: samples.take(used).fingerprint for split, used in sorted(rows.items())}
    return {
        "model": method.name,
        "hyperparameters": {k: v["value"] for k, v in method.origins.items()},
        "tta": method.model.tta,
        "recipe": recipe.facts,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "policy": dict(dataset.policy),
        "annotations": annotations,
        "view": asdict(method.model.view),
        "auxiliary": {name: dict(lists) for name, lists in sorted(auxiliary.items())},
        "budget": budget.name,
        "precision": compute.precision,
        "micro_batch": compute.micro_batch,
        "sync_bn": compute.sync_bn,
        "ranks": ranks().world,
    }


def run_id(facts: Mapping[str, Any]) -> str:
    """Return twelve hex digits over a run's identity."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
