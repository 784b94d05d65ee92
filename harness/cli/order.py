"""From what a user typed to what a run needs, with every choice resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness import provenance, settings
from harness.data.opening import auxiliary_names, open_dataset
from harness.engine import distributed, job
from harness.engine.budget import budget as budget_named
from harness.engine.compute import (
    Compute,
    keep_freed_memory,
    make_deterministic,
    resolve_device,
    resolve_precision,
)
from harness.engine.plan import Order, fitting_micro_batch
from harness.errors import SettingError


@dataclass(frozen=True)
class Wishes:
    """The options of ``harness run``, as typed."""

    plugin: str
    dataset: str
    root: Path | None
    extra: list[str]
    budget: str
    settings: list[str]
    options: list[str]
    device: str = "auto"
    precision: str = "auto"
    micro_batch: str | None = None
    sync_bn: bool = False
    stage_to: Path | None = None
    skip_corrupt: bool = False
    fresh: bool = False


def orders(wishes: Wishes) -> list[Order]:
    """Return an order for each method that was asked for.

    Raises:
        HarnessError: something that was asked for does not exist.
    """
    budget = budget_named(wishes.budget)
    given = settings.pairs(wishes.settings)
    names = settings.split(wishes.plugin)
    if not names:
        raise SettingError("--plugin names no model; `harness list` shows them")
    methods = [job.make_method(name, given, budget) for name in names]
    options = settings.pairs(wishes.options)
    dataset = open_dataset(wishes.dataset, wishes.root, options)
    auxiliary = {
        name.partition(":")[0]: open_dataset(name, None, {})
        for name in auxiliary_names(wishes.extra)
    }
    compute = _compute(wishes)
    made = [
        Order(
            method,
            dataset,
            auxiliary,
            budget,
            compute,
            skip_corrupt=wishes.skip_corrupt,
            stage_to=wishes.stage_to,
            fresh=wishes.fresh,
            command=provenance.command(),
        )
        for method in methods
    ]
    if wishes.micro_batch == "auto":
        made = [
            replace(order, compute=replace(compute, micro_batch=fitting_micro_batch(order)))
            for order in made
        ]
    return made


def _compute(wishes: Wishes) -> Compute:
    make_deterministic()
    kind = resolve_device(wishes.device)
    device = distributed.join(kind)
    if kind == "cpu":
        keep_freed_memory()
    micro = None if wishes.micro_batch in (None, "auto") else _number(wishes.micro_batch)
    return Compute(
        device,
        resolve_precision(wishes.precision, kind),
        micro,
        wishes.sync_bn,
        eval_batch=64 if device.type == "cuda" else 32,
    )


def _number(text: str | None) -> int:
    if text is None or not text.isdigit() or int(text) < 1:
        raise SettingError(f"--micro-batch is a number of images or auto, not {text!r}")
    return int(text)


def threads() -> int:
    """Return the threads that this process computes with."""
    return torch.get_num_threads()
