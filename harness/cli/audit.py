"""``harness audit``: what printed tables, training lists and splits say about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.data.leaks import Fact
    from harness.data.lists import Copy, Lists

LEAKS = 3
"""The exit code of ``audit checkpoint`` and ``audit split`` where test images were trained on or
parts share patients; 1 is an error, 2 a mistyped command."""

Root = Annotated[Path | None, typer.Option(help="Where your copy of NIH ChestX-ray14 lies.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

audit = typer.Typer(help="Check printed tables, training lists and splits.")


def register(app: typer.Typer) -> None:
    """Add the verb ``audit``; its other nouns register on ``audit.audit``."""
    app.add_typer(audit, name="audit")


@audit.callback()
def _nouns() -> None:
    """Check printed tables, training lists and splits."""


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


@audit.command("checkpoint")
def checkpoint(
    file: Annotated[Path, typer.Argument(help="The checkpoint; it is hashed, never unpickled.")],
    trained_on: Annotated[
        Path, typer.Option(help="The images it was trained on: a text or csv file of names.")
    ],
    root: Root = None,
    json: Json = False,
) -> None:
    """Count the NIH test images and boxed images that a checkpoint has seen.

    Exit code 0: none of the test images; 3: some; 1: an error.
    """
    from dataclasses import asdict

    from harness.data.leaks import audit_training
    from harness.data.lists import read_list
    from harness.results.checkpoints import described

    about = described(file)
    found = audit_training(_copy(root), read_list(trained_on))
    told: list[Fact] = [
        (name, f"{value:,}" if isinstance(value, int) else value, None)
        for name, value in about.items()
    ]
    _tell({"checkpoint": about, **asdict(found)}, [*told, *found.facts()], found.verdict, json)
    if not found.clean:
        raise typer.Exit(LEAKS)


@audit.command("split")
def split(
    what: Annotated[
        str | None, typer.Argument(help="A csv with a column split, or a stored row.")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="A list of image names.")] = None,
    validation: Annotated[Path | None, typer.Option(help="A list of image names.")] = None,
    test: Annotated[Path | None, typer.Option(help="A list of image names.")] = None,
    root: Root = None,
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
    json: Json = False,
) -> None:
    """Name a split of NIH images and look for leaks: shared patients, official test images.

    Exit code 0: nothing leaks; 3: something does; 1: an error.
    """
    from dataclasses import asdict

    from harness.data.leaks import audit_split
    from harness.data.lists import read_list, read_parts
    from harness.errors import SettingError

    given = {"train": train, "validation": validation, "test": test}
    files = {name: path for name, path in given.items() if path is not None}
    if bool(files) == bool(what):
        raise SettingError("give a csv or a row, or --train, --validation and --test, not both")
    if what and not Path(what).is_file():
        _row(results, what, json)
        return
    lists: Lists = (
        read_parts(Path(what)) if what else {name: read_list(path) for name, path in files.items()}
    )
    copy = _copy(root)
    found = audit_split(copy, lists)
    _tell(asdict(found), found.facts(copy.protocol), found.verdict, json)
    if not found.clean:
        raise typer.Exit(LEAKS)


def _copy(root: Path | None) -> Copy:
    from harness.data.lists import Copy
    from harness.data.opening import open_dataset

    return Copy(open_dataset("nih", root, {}))


def _row(results: Path | None, name: str, json: bool) -> None:
    """Say which known lists the fingerprints of stored rows are."""
    from harness.data.leaks import known_parts
    from harness.home import results as default_results
    from harness.results.records import read_record
    from harness.results.rescore import find_runs

    whole = []
    for folder in find_runs(results or default_results(), [name]):
        data = read_record(folder)["dataset"]
        facts = known_parts(data["fingerprints"])
        whole.append({"row": str(folder), "protocol": data["protocol"], "lists": facts})
        drawn = ", phantoms: no real list" if data["phantom"] is not None else ""
        text = f"{folder.name}: {data['name']}, the split called {data['protocol']}{drawn}"
        if not json:
            _tell({}, facts, text, json)
    if json:
        _tell(whole, [], "", json)


def _tell(whole: object, facts: list[Fact], verdict: str, json: bool) -> None:
    import json as encoder

    if json:
        typer.echo(encoder.dumps(whole, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(overflow="fold")
    for what, found, fine in facts:
        style = {True: "green", False: "bold red", None: ""}[fine]
        grid.add_row({True: "ok", False: "x", None: ""}[fine], Text(what), Text(found, style))
    console = Console()
    console.print(grid)
    console.print(Text(verdict, "bold"))
