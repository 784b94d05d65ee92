"""``harness weights``: weights to begin with, torchvision's or those of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(help="Pretrained weights.", no_args_is_help=True)
    group.command("fetch")(fetch)
    group.command("take")(take)
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


def take(
    run: Annotated[str, typer.Argument(help="A measured row: run id, label, method or folder.")],
    name: Annotated[str, typer.Argument(help="What to call them: --set weights=NAME.")],
    stage: Annotated[str | None, typer.Option(help="Whose weights; the last stage's.")] = None,
    under: Annotated[str, typer.Option(help="Prefix of the tensors to take, e.g. resnet.")] = "",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which seed, where there are several.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Let other runs begin with what a stage of this run has learnt.

    Mind what it was trained on: a run that is tested on images which these weights have seen is
    no test.
    """
    from harness.engine.predicting import find_trained, open_trained
    from harness.engine.taking import take_weights
    from harness.home import results as default_results

    folder = find_trained(results or default_results(), run, seed)
    print(take_weights(open_trained(folder, "cpu"), name, stage, under))
