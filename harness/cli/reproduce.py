"""``harness reproduce TABLE``: every run that a table needs, what they share once."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.wishes import Wishes, with_wishes

if TYPE_CHECKING:
    from harness.engine.courses import Course
    from harness.engine.job import Method
    from harness.engine.plan import Order
    from harness.results.pages import Page

DISTRIBUTIONS = {  # of this repository: whose table or model a row of another one may need
    "cxr-harness-anatomy-xnet": {"anatomy-xnet-nih", "anatomy-xnet-chexpert"},
    "cxr-harness-anaxnet": {"anaxnet-auc"},
    "cxr-harness-attention": {"attention-auc", "attention-localization"},
    "cxr-harness-baselines": {"dcnn", "chexnet", "senet", "agcnn"},
    "cxr-harness-cxr-irnet": {"cxr-irnet-auc", "cxr-irnet-iou"},
    "cxr-harness-dm-attention": {"dm-auc", "dm-localization"},
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reproduce")(with_wishes(reproduce))


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table of `harness list`, such as nih-auc.")
    ],
    wishes: Wishes,
    dataset: Annotated[
        str | None, typer.Option(help="Another dataset than the table's, e.g. phantom.")
    ] = None,
) -> None:
    """Run every method that a table's rows name, then print the table.

    Runs that have their record are not run again, and stages that methods share are trained once. A
    row that fails does not stop the others: it is told at the end. On several devices it does.
    """
    if wishes.devices is not None:
        from harness.cli.launch import relaunch

        raise typer.Exit(relaunch(wishes.devices, wishes.device))
    from harness.cli.order import fitted, orders
    from harness.engine import distributed
    from harness.home import results as default_results
    from harness.plugins import tables
    from harness.results.pages import load_page

    page = load_page(name, tables())
    troubles = Troubles()
    methods = list(_methods(page, wishes, troubles))
    where = wishes.results or default_results()
    try:
        asked = orders(methods, dataset or page.dataset, wishes)
        work = _planning(wishes, where) if wishes.plan else _running(wishes, where)
        done = []
        for order in asked:
            with troubles.of(order.method.label):
                done.append(work(fitted(order, wishes)))
    finally:
        distributed.leave()
    if distributed.first_process():
        _conclude(page, done, troubles, wishes, where)


class Troubles:
    """What kept rows from being reproduced, by row."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    @contextmanager
    def of(self, row: str) -> Iterator[None]:
        """Note an error inside the block and go on; processes that must meet cannot go on."""
        from harness.engine.distributed import ranks
        from harness.errors import HarnessError, Interrupted

        try:
            yield
        except Interrupted:
            raise
        except HarnessError as error:
            if ranks().world > 1:
                raise
            self.told[row] = str(error)
        except Exception as error:  # a mistake in one plugin must not cost the others' hours
            if ranks().world > 1:
                raise
            traceback.print_exc()
            self.told[row] = f"{type(error).__name__}: {error}"


def _methods(page: Page, wishes: Wishes, troubles: Troubles) -> Iterator[Method]:
    """Yield each method that rows of a table name once, with the settings of the row."""
    from harness import settings
    from harness.engine import job
    from harness.engine.budget import budget
    from harness.plugins import registry, tables
    from harness.results.pages import read_toml

    offered, seen = registry().offered("models"), set()
    gathered = read_toml(tables()[page.name]).get("from", ())
    for absent in (name for name in gathered if name not in tables()):
        troubles.told[f"the rows of {absent}"] = not_offered(absent)
    for model in dict.fromkeys(row.model for row in page.rows if row.model):
        if settings.parse(model)[0] not in offered:
            troubles.told[model] = not_offered(settings.parse(model)[0])
            continue
        with troubles.of(model):
            method = job.make_method(model, {}, budget(wishes.budget))
            values = {key: entry["value"] for key, entry in method.origins.items()}
            identity = json.dumps([method.name, values], sort_keys=True, default=str)
            if identity not in seen:
                seen.add(identity)
                yield method


def not_offered(name: str) -> str:
    """Say what to install for a table or model that no installed plugin offers."""
    who = [distribution for distribution, names in DISTRIBUTIONS.items() if name in names]
    if who:
        return f"no installed plugin offers {name}: pip install {who[0]}"
    return f"no installed plugin offers {name}"


def _planning(wishes: Wishes, where: Path) -> Callable[[Order], Course | None]:
    from harness.engine.courses import Planner
    from harness.results.records import find_records

    return Planner(wishes.numbers, find_records(where), again=wishes.fresh).course


def _running(wishes: Wishes, where: Path) -> Callable[[Order], Course | None]:
    from harness.engine import run as engine
    from harness.engine.courses import complete
    from harness.engine.distributed import ranks
    from harness.progress import say
    from harness.results.records import find_records

    records = find_records(where)

    def work(order: Order) -> None:
        done = {} if wishes.fresh else complete(order, records)
        kept = [seed for seed in wishes.numbers if seed in done]
        if kept and ranks().first:
            numbers = ", ".join(map(str, kept))
            say(f"{order.method.label}: complete, not run again: seed {numbers}")
        left = [seed for seed in wishes.numbers if seed not in done]
        if left:
            engine.run(order, left, where)

    return work


def _conclude(
    page: Page, done: list[Course | None], troubles: Troubles, wishes: Wishes, where: Path
) -> None:
    """Print the plan or the table, then what could not be done; the exit code is 1 if anything."""
    from harness.cli.plans import as_plain, print_courses, total_of
    from harness.cli.table import table

    courses = [course for course in done if course is not None]
    if not wishes.plan:
        table(page.name, json=wishes.as_json, format="terminal", results=where)
    elif wishes.as_json:
        runs = [as_plain(course) for course in courses]
        about: dict[str, Any] = {"table": page.name, **total_of(courses), "runs": runs}
        print(json.dumps({**about, "not_possible": troubles.told}, indent=1))
    else:
        print_courses(courses)
    for row, why in troubles.told.items():
        sys.stderr.write(f"error: not {'planned' if wishes.plan else 'run'}: {row}: {why}\n")
    if troubles.told:
        raise typer.Exit(1)
