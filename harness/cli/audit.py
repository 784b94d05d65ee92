"""``harness audit table``: what printed tables say about themselves."""

from typing import Annotated

import typer

audit = typer.Typer(help="Check printed tables for contradictions.")


def register(app: typer.Typer) -> None:
    """Add the verb ``audit``; its other nouns register on ``audit.audit``."""
    app.add_typer(audit, name="audit")


@audit.callback()
def _nouns() -> None:
    """Check printed tables for contradictions."""


@audit.command("table")
def table(
    name: Annotated[str | None, typer.Argument(help="One table; all tables without it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Recompute printed means, look for contradictions, conflicts and split signatures."""
    import json as encoder
    from dataclasses import asdict

    from harness.plugins import tables
    from harness.results.audit import audit_all, audit_table
    from harness.results.pages import load_page

    offered = tables()
    pages = [load_page(each, offered) for each in offered if each != name]
    pages = [page for page in pages if not page.joint]
    found = audit_table(load_page(name, offered), pages) if name else audit_all(pages)
    if json:
        typer.echo(encoder.dumps([asdict(finding) for finding in found], indent=2))
        return
    from rich.console import Console

    from harness.results.terminal import draw_findings

    Console().print(draw_findings(found))
