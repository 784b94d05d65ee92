"""``harness weights``: pretrained weights, for machines without network."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(help="Pretrained weights.", no_args_is_help=True)
    group.command("fetch")(fetch)
    app.add_typer(group, name="weights")


def fetch(
    names: Annotated[
        list[str], typer.Argument(help="torchvision's names, e.g. ResNet34_Weights.IMAGENET1K_V1.")
    ],
) -> None:
    """Download pretrained weights into HARNESS_HOME/weights; those that are there stay."""
    from harness.model.pretrained import fetch as fetch_one

    for name in names:
        print(fetch_one(name))
