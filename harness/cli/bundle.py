"""``harness bundle`` and ``harness merge``: rows from one person's results to another's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path | None, typer.Option(help="Where records lie.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("bundle")(bundle)
    app.command("merge")(merge)


def bundle(
    rows: Annotated[list[str], typer.Argument(help="Rows: run ids, labels or record folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    results: Results = None,
) -> None:
    """Write rows into one file: records, and predictions where the data's licence allows."""
    from harness.home import results as default_results
    from harness.results.bundle import SCORES, write_bundle
    from harness.results.rescore import find_runs

    written = write_bundle(out, find_runs(results or default_results(), rows))
    for place, files in written.items():
        print(place if SCORES in files else f"{place} (without per-image scores)")
    print(f"{len(written)} rows, {out.stat().st_size:,} bytes: {out}")


def merge(
    file: Annotated[Path, typer.Argument(help="A file that `harness bundle` wrote.")],
    results: Results = None,
) -> None:
    """Add the rows of a bundle to the results; a row that is there is never replaced."""
    from harness.errors import RecordError
    from harness.home import results as default_results
    from harness.results.bundle import merge as merge_into

    where = results or default_results()
    found = merge_into(where, file)
    for place in found.added:
        print(f"added {place}")
    print(f"{len(found.added)} rows added, {len(found.present)} were already in {where}")
    if found.different:
        raise RecordError(
            f"{len(found.different)} rows in {where} have other contents than the bundle's and "
            f"were kept: {', '.join(found.different)}; merge into another --results to see both"
        )
