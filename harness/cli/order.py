"""From what a user typed to what a run needs, with every choice resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from harness import provenance, settings
from harness.cli.wishes import Wishes
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
from harness.engine.job import Method
from harness.engine.plan import Order, fitting_micro_batch
from harness.engine.recipe import recipe as recipe_named
from harness.errors import SettingError


def chosen(plugin: str, given: list[str], wishes: Wishes) -> list[Method]:
    """Return the methods that ``--plugin`` names, each with these settings.

    Raises:
        HarnessError: none is named, or one does not exist or has no such setting.
    """
    names = settings.split(plugin)
    if not names:
        raise SettingError("--plugin names no model; `harness list` shows them")
    budget, pairs = budget_named(wishes.budget), settings.pairs(given)
    return [job.make_method(name, pairs, budget) for name in names]


def orders(methods: Sequence[Method], dataset: str, wishes: Wishes) -> list[Order]:
    """Return an order for each method, all on one dataset.

    Raises:
        HarnessError: something that was asked for does not exist.
    """
    opened = open_dataset(dataset, wishes.root, settings.pairs(wishes.options or []))
    auxiliary = {
        name.partition(":")[0]: open_dataset(name, None, {})
        for name in auxiliary_names(wishes.extra or [])
    }
    budget, recipe = budget_named(wishes.budget), recipe_named(wishes.recipe)
    compute = _compute(wishes)
    return [
        Order(
            method,
            opened,
            auxiliary,
            budget,
            compute,
            recipe,
            skip_corrupt=wishes.skip_corrupt,
            stage_to=wishes.stage_to,
            fresh=wishes.fresh,
            command=provenance.command(),
        )
        for method in methods
    ]


def fitted(order: Order, wishes: Wishes) -> Order:
    """Return the order with the micro-batch that fits the device, where auto was asked for."""
    if wishes.micro_batch != "auto":
        return order
    return replace(order, compute=replace(order.compute, micro_batch=fitting_micro_batch(order)))


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
