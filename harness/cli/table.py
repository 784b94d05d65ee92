"""``harness table NAME``: published rows beside measured ones."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb ``table``."""
    app.command("table")(table)


def table(
    name: Annotated[str, typer.Argument(help="A table of `harness list`, such as nih-auc.")],
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    format: Annotated[
        str, typer.Option(help="terminal, md, latex, csv, html or json.")
    ] = "terminal",
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Print a table of published and measured rows with their verdicts."""
    from harness.home import results as default_results
    from harness.plugins import tables
    from harness.results.pages import load_page
    from harness.results.records import find_records
    from harness.results.render import render
    from harness.results.tables import build

    page = load_page(name, tables())
    metrics = {page.metric, *(row.metric for row in page.rows)}
    where = results or default_results()
    found = build(page, find_records(where, metrics), where)
    if json or format != "terminal":
        typer.echo(render(found, "json" if json else format), nl=False)
        return
    from rich.console import Console

    from harness.results.terminal import draw

    console = Console()
    console.print(draw(found, console.width))
