"""``harness run``: train on this machine, evaluate, record."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.cli.wishes import Wishes, with_wishes


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(with_wishes(run))


def run(
    plugin: Annotated[
        str, typer.Option(help="Models, e.g. resnet34 or 'space-attention[pool=k7],resnet34'.")
    ],
    dataset: Annotated[str, typer.Option(help="A dataset, e.g. nih, phantom or csv:FILE.")],
    wishes: Wishes,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A hyperparameter: key=value.")
    ] = None,
) -> None:
    """Train methods on a dataset, evaluate them on its test split, record the results.

    The same command again goes on where it was interrupted; finished stages are not trained twice.
    """
    if wishes.devices is not None:
        from harness.cli.launch import relaunch

        raise typer.Exit(relaunch(wishes.devices, wishes.device))
    from harness.cli.order import chosen, fitted, orders
    from harness.cli.plans import as_plain, print_courses
    from harness.engine import distributed
    from harness.engine import run as engine
    from harness.engine.courses import Planner
    from harness.home import results as default_results
    from harness.results.records import find_records

    asked = [
        fitted(order, wishes)
        for order in orders(chosen(plugin, settings or [], wishes), dataset, wishes)
    ]
    where = wishes.results or default_results()
    try:
        if wishes.plan:
            planner = Planner(wishes.numbers, find_records(where), again=True)
            courses = [planner.course(order) for order in asked]
            if wishes.as_json:
                print(json.dumps([as_plain(course) for course in courses], indent=1))
            else:
                print_courses(courses)
            return
        records = [r for order in asked for r in engine.run(order, wishes.numbers, where)]
    finally:
        distributed.leave()
    if distributed.first_process():
        from harness.cli.show import print_records

        print_records(records, as_json=wishes.as_json)
