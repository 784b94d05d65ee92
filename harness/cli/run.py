"""``harness run``: train on this machine, evaluate, record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.engine.plan import Order, Plan


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(
    plugin: Annotated[
        str, typer.Option(help="Models, e.g. resnet34 or 'space-attention[pool=k7],resnet34'.")
    ],
    dataset: Annotated[str, typer.Option(help="A dataset, e.g. nih, phantom or csv:FILE.")],
    root: Annotated[Path | None, typer.Option(help="Where the dataset lies.")] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--with", help="An auxiliary dataset: NAME or NAME:ROOT.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, ...")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="One seed instead.")] = None,
    budget: Annotated[str, typer.Option(help="smoke (minutes, never a result) or full.")] = "full",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A hyperparameter: key=value.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--data", help="An option of the dataset: key=value.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    devices: Annotated[
        str | None, typer.Option(help="Several devices: a number, or their places 0,2.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    micro_batch: Annotated[
        str | None, typer.Option(help="Images of one forward: a number, or auto to fit memory.")
    ] = None,
    sync_bn: Annotated[bool, typer.Option("--sync-bn", help="BatchNorm over all devices.")] = False,
    stage_to: Annotated[
        Path | None, typer.Option(help="Copy the images to this disk first.")
    ] = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Leave out unreadable images and record it.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="Where records go (HARNESS_RESULTS, ./results).")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Rehearse and say what would run.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train every stage again, from its beginning.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Train methods on a dataset, evaluate them on its test split, record the results.

    The same command again goes on where it was interrupted; finished stages are not trained twice.
    """
    if devices is not None:
        from harness.cli.launch import relaunch

        raise typer.Exit(relaunch(devices, device))
    from harness.cli.order import Wishes, orders
    from harness.engine import distributed
    from harness.engine import run as engine
    from harness.engine.plan import plan as plan_of
    from harness.home import results as default_results

    wishes = Wishes(
        plugin,
        dataset,
        root,
        extra or [],
        budget,
        settings or [],
        options or [],
        device,
        precision,
        micro_batch,
        sync_bn,
        stage_to,
        skip_corrupt,
        fresh,
    )
    asked = orders(wishes)
    if plan:
        _print_plans([(order, plan_of(order, backward=False)) for order in asked], as_json=as_json)
        return
    numbers = [seed] if seed is not None else list(range(seeds))
    where = results or default_results()
    try:
        records = [record for order in asked for record in engine.run(order, numbers, where)]
    finally:
        distributed.leave()
    if distributed.first_process():
        from harness.cli.show import print_records

        print_records(records, as_json=as_json)


def _print_plans(plans: list[tuple[Order, Plan]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_plan_json(order, plan) for order, plan in plans], indent=1))
        return
    from tabulate import tabulate

    for order, plan in plans:
        images = ", ".join(f"{count:,} {split}" for split, count in plan.images.items())
        print(f"\n{order.method.label} on {order.dataset.name} ({order.budget.name}): {images}")
        rows = [
            (
                step.kind,
                step.name,
                f"{step.images:,}" if step.images else "",
                f"{step.epochs} epochs"
                if step.epochs
                else f"{step.steps} steps" * bool(step.steps),
                step.batch_size or "",
                f"{step.parameters:,}" if step.parameters else "",
                f"{step.bytes / 1e6:,.1f} MB" if step.bytes else "",
            )
            for step in plan.steps
        ]
        heads = ("step", "name", "images", "at most", "batch", "parameters", "disk")
        print(tabulate(rows, heads, disable_numparse=True))
        print(f"packed images: {plan.store_bytes / 1e6:,.1f} MB; all: {plan.bytes / 1e6:,.1f} MB")


def _plan_json(order: Order, plan: Plan) -> dict[str, object]:
    return {
        "method": order.method.label,
        "dataset": order.dataset.name,
        "budget": order.budget.name,
        "images": dict(plan.images),
        "steps": [vars(step) for step in plan.steps],
        "bytes": plan.bytes,
    }
