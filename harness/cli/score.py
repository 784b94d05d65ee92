"""``harness score``: every metric again, from stored predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("score")(score)


def score(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Record folders or run ids; all where none is given.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
    resamples: Annotated[
        int, typer.Option(min=100, help="Resamples of patients; 10000 for a publication.")
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Compute every metric again from the stored predictions and write it into the records.

    Needs neither images nor a GPU.
    """
    from harness.cli.show import print_records
    from harness.home import results as default_results
    from harness.progress import Bar
    from harness.results.rescore import find_runs, rescore

    where = results or default_results()
    found = find_runs(where, runs)
    again = []
    with Bar("scoring", len(found), "records") as bar:
        for folder in found:
            again.append(rescore(where, folder, resamples))
            bar.advance()
    print_records(again, as_json=as_json)
