"""The options that all verbs share that start runs, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Option


@dataclass(frozen=True)
class Wishes:
    """How runs are to be done, as typed."""

    root: Annotated[Path | None, Option(help="Where the dataset lies.")] = None
    extra: Annotated[
        list[str] | None, Option("--with", help="An auxiliary dataset: NAME or NAME:ROOT.")
    ] = None
    options: Annotated[
        list[str] | None, Option("--data", help="An option of the dataset: key=value.")
    ] = None
    seeds: Annotated[int, Option(min=1, help="How many seeds: 0, 1, ...")] = 1
    seed: Annotated[int | None, Option(min=0, help="One seed instead.")] = None
    budget: Annotated[str, Option(help="smoke (minutes, never a result) or full.")] = "full"
    recipe: Annotated[
        str, Option(help="paper, or common: all classifiers trained alike, to rank methods.")
    ] = "paper"
    device: Annotated[str, Option(help="auto, cuda or cpu.")] = "auto"
    devices: Annotated[
        str | None, Option(help="Several devices: a number, or their places 0,2.")
    ] = None
    precision: Annotated[str, Option(help="auto, fp32 or bf16.")] = "auto"
    micro_batch: Annotated[
        str | None, Option(help="Images of one forward: a number, or auto to fit memory.")
    ] = None
    sync_bn: Annotated[bool, Option("--sync-bn", help="BatchNorm over all devices.")] = False
    stage_to: Annotated[Path | None, Option(help="Copy the images to this disk first.")] = None
    skip_corrupt: Annotated[
        bool, Option("--skip-corrupt", help="Leave out unreadable images and record it.")
    ] = False
    results: Annotated[
        Path | None, Option(help="Where records go (HARNESS_RESULTS, ./results).")
    ] = None
    plan: Annotated[bool, Option("--plan", help="Rehearse and say what would run.")] = False
    fresh: Annotated[
        bool, Option("--fresh", help="Train every stage again, from its beginning.")
    ] = False
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False

    @property
    def numbers(self) -> list[int]:
        """The seeds themselves."""
        return [self.seed] if self.seed is not None else list(range(self.seeds))


def with_wishes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``wishes`` each of them as an option of its own."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "wishes"]
    hints = get_type_hints(command, include_extras=True)
    wished = get_type_hints(Wishes, include_extras=True)
    names = [field.name for field in fields(Wishes)]

    @wraps(command)
    def expanded(**given: Any) -> None:  # noqa: ANN401
        wishes = Wishes(**{name: given.pop(name) for name in names})
        command(**given, wishes=wishes)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword, annotation=hints[p.name]) for p in own] + [
        inspect.Parameter(f.name, keyword, default=f.default, annotation=wished[f.name])
        for f in fields(Wishes)
    ]
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    return expanded
