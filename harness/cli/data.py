"""``harness data``.

Phantoms in a dataset's layout, the packed store, and whether a copy is right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.data.dataset import Dataset

Root = Annotated[Path | None, typer.Option(help="Where the dataset lies.")]
Options = Annotated[
    list[str] | None, typer.Option("--data", help="An option of the dataset: key=value.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Datasets: write phantoms, prepare, verify.", no_args_is_help=True)
    group.command("phantom")(phantom)
    group.command("prepare")(prepare)
    group.command("verify")(verify)
    app.add_typer(group, name="data")


def phantom(
    dataset: Annotated[str, typer.Argument(help="The layout: nih, imagenome, chexpert, jsrt.")],
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist or be empty.")],
    images: Annotated[
        int | None, typer.Option(min=20, help="How many radiographs; as a rule 1000.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A switch of the phantom: key=value, e.g. pose_spread=2."),
    ] = None,
) -> None:
    """Draw phantoms and write them in a dataset's own on-disk layout."""
    from harness import settings as words
    from harness.data.phantom import PhantomSettings
    from harness.plugins import registry

    given = words.pairs(settings or [])
    made, _ = words.build(PhantomSettings, "the phantom", given, {})
    switches = {name: getattr(made, name) for name in given}
    kind = registry().resolve("datasets", dataset)
    kind.write_phantoms(out, kind.phantom_images if images is None else images, switches)
    print(out)


def prepare(
    dataset: Annotated[str, typer.Argument(help="A dataset, e.g. nih.")],
    root: Root = None,
    size: Annotated[list[int] | None, typer.Option(help="Sizes of the images; 256.")] = None,
    aspect: Annotated[str, typer.Option(help="stretch or letterbox.")] = "stretch",
    options: Options = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Leave out unreadable images.")
    ] = False,
) -> None:
    """Decode every image once into the packed store; can be interrupted and goes on."""
    import numpy as np

    from harness.data.opening import open_dataset
    from harness.data.store import prepare as fill
    from harness.data.view import View
    from harness.settings import pairs

    opened = open_dataset(dataset, root, pairs(options or []))
    rows = np.unique(np.concatenate([np.asarray(r) for r in opened.splits.values()]))
    for pixels in size or [256]:
        view = View(pixels, aspect)  # type: ignore[arg-type]
        store = fill(opened, view, rows, skip_corrupt=skip_corrupt)
        left_out = len(store.corrupt(rows))
        print(f"{len(rows) - left_out:,} images at {pixels}, {left_out} left out: {store.folder}")


def verify(
    dataset: Annotated[str, typer.Argument(help="A dataset, e.g. nih.")],
    root: Root = None,
    options: Options = None,
    images: Annotated[
        bool, typer.Option("--images", help="Decode every image, too; takes minutes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Check a copy of a dataset: layout, counts, splits, labels, patients; exit code 1 if wrong."""
    from harness.data.facts import Fact, about, unreadable
    from harness.data.opening import open_dataset
    from harness.settings import pairs

    opened = open_dataset(dataset, root, pairs(options or []))
    unread: Fact = ("unreadable images", "not looked for: --images decodes every one", None)
    facts = about(opened) + (unreadable(opened) if images else [unread])
    if as_json:
        rows = [{"what": what, "found": found, "fine": fine} for what, found, fine in facts]
        print(json.dumps({"dataset": opened.name, "facts": rows}, indent=1))
    else:
        _show(opened, facts)
    if any(fine is False for _, _, fine in facts):
        raise typer.Exit(1)


def _show(dataset: Dataset, facts: list[tuple[str, str, bool | None]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{dataset.name} in {dataset.root}", title_justify="left")
    for head in ("", "what", "found"):
        table.add_column(head, overflow="fold")
    marks = {True: "[green]ok[/]", False: "[red]wrong[/]", None: ""}
    for what, found, fine in facts:
        table.add_row(marks[fine], what, found.replace("[", r"\["))
    Console().print(table)
