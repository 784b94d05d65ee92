"""What a user asked for, resolved; and what a run of it would do, found out on eight images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from harness.data.dataset import Dataset
from harness.engine import job
from harness.engine.budget import Budget
from harness.engine.compute import Compute
from harness.engine.job import Data, Method, Rows
from harness.engine.recipe import PAPER, Recipe
from harness.engine.rehearsal import Planned, eight, rehearse
from harness.errors import TrainingError


@dataclass(frozen=True)
class Order:
    """What a user asked for, resolved: one method on one dataset, for some seeds."""

    method: Method
    dataset: Dataset
    auxiliary: Mapping[str, Dataset]
    budget: Budget
    compute: Compute
    recipe: Recipe = PAPER
    skip_corrupt: bool = False
    stage_to: Path | None = None
    fresh: bool = False
    command: list[str] = field(default_factory=list)


MICRO_BATCHES = (None, 256, 128, 64, 32, 16, 8, 4, 2, 1)


def fitting_micro_batch(order: Order) -> int | None:
    """Return the largest micro-batch with which every stage fits in the device's memory.

    None, the whole batch at once, on a CPU. Found by rehearsing each stage with full batches.
    """
    if order.compute.device.type == "cpu":
        return None
    for size in MICRO_BATCHES:
        try:
            plan(replace(order, compute=replace(order.compute, micro_batch=size)), full_batch=True)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            continue
        return size
    raise TrainingError(
        f"{order.method.label} does not fit in the memory of {order.compute.device}"
    )


@dataclass(frozen=True)
class Plan:
    """What a run would do: its steps, images by split, bytes on disk, and FLOPs."""

    steps: list[Planned]
    images: Mapping[str, int]
    store_bytes: int
    flops: int  # of predicting one image

    @property
    def bytes(self) -> int:
        """Everything that the run would keep."""
        return self.store_bytes + sum(step.bytes for step in self.steps)


def plan(order: Order, *, full_batch: bool = False, backward: bool = True) -> Plan:
    """Rehearse the whole method on eight samples and say what a run would do.

    Raises:
        HarnessError: something is wrong with the method or the data: it would have been later.
    """
    method, view = order.method, order.method.model.view
    rows = job.used_rows(order.dataset, order.budget)
    few = {split: _eight_rows(order.dataset, where) for split, where in rows.items()}
    data = job.make_data(order.dataset, view, few, skip_corrupt=order.skip_corrupt)
    extra = {
        name: auxiliary_data(other, order, few=True) for name, other in order.auxiliary.items()
    }
    auxiliary = {name: other.samples("train") for name, other in extra.items()}
    found = rehearse(
        method.model,
        data.samples("train"),
        data.samples("validation"),
        auxiliary,
        order.compute,
        sizes={split: len(where) for split, where in rows.items()}
        | {name: len(other.splits["train"]) for name, other in order.auxiliary.items()},
        budget=order.budget,
        recipe=order.recipe,
        full_batch=full_batch,
        backward=backward,
    )
    images = {split: len(where) for split, where in rows.items()}
    size = sum(images.values()) * view.size**2 * (1 + len(order.dataset.space.organs))
    return Plan(found.steps, images, size, found.flops)


def _eight_rows(dataset: Dataset, rows: Rows) -> Rows:
    names = eight(dataset.samples.take(rows)).names
    return np.asarray(rows[np.isin(dataset.samples.take(rows).names, names)])


def auxiliary_data(dataset: Dataset, order: Order, *, few: bool = False) -> Data:
    """Return an auxiliary dataset; only its training split is ever read."""
    rows = np.asarray(dataset.splits["train"], dtype=np.int64)
    used = {"train": _eight_rows(dataset, rows) if few else rows}
    view = order.method.model.view
    return job.make_data(
        dataset, view, used, skip_corrupt=order.skip_corrupt, stage_to=order.stage_to
    )
