"""``harness report [ROWS...]``: everything about some runs as one html page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    rows: Annotated[
        list[str] | None, typer.Argument(help="Run ids, labels or record folders; all by default.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="A published table to show with its measured rows.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The page.")] = Path("report.html"),
    gallery: Annotated[int, typer.Option(min=0, help="Findings shown with heat maps.")] = 12,
    root: Annotated[
        list[str] | None, typer.Option(help="Where a dataset lies, for its images: name:ROOT.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Write one self-contained html page: tables, curves, training, costs, heat maps, origins."""
    import sys

    from harness.home import results as default_results
    from harness.report.page import Wanted, write_page

    wanted = Wanted(results or default_results(), rows or (), table or (), gallery, root or ())
    written = write_page(out, wanted)
    for cause in written.missing:
        print(f"heat maps are left out: {cause}", file=sys.stderr)
    rows_written = f"{written.rows} row{'s' if written.rows != 1 else ''}"
    print(f"{written.path}: {rows_written}, {out.stat().st_size / 1e6:.1f} MB")
