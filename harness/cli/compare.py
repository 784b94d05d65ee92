"""``harness compare A B``: difference, interval, p, and what these data could have shown."""

from __future__ import annotations

import json as json_module
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compare")(compare)


def compare(
    first: Annotated[str, typer.Argument(help="A row: run id, label, method or record folder.")],
    second: Annotated[str, typer.Argument(help="Another row on the same test images.")],
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Resamples of patients.")] = 1000,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare two rows on the mean over classes (the test) and per class (Holm, max-T)."""
    from dataclasses import asdict

    from tabulate import tabulate

    from harness.home import results as default_results
    from harness.results.comparing import compared, lines
    from harness.results.records import json_safe

    found = compared(results or default_results(), first, second, resamples)
    if json:
        print(json_module.dumps(json_safe(asdict(found.comparison)), indent=1))
        return
    mean = found.comparison.mean
    seeds = f"{len(found.first.seeds)} and {len(found.second.seeds)} seeds"
    print(f"{first} minus {second}: AUROC, {seeds}")
    heads = ("", "difference", "95 % interval", "p (Holm)", "p (max-T)", "")
    print(tabulate(lines(found), heads, disable_numparse=True))
    if mean.note:
        print(f"mean: {mean.note}")
        if isfinite(mean.patient_error):
            low, high = (mean.value + z * mean.patient_error for z in (-1.96, 1.96))
            print(
                f"95 % interval from the patients alone, without seeds: {low:+.4f} to {high:+.4f}"
            )
        return
    more = {None: "no number of seeds would do: the patients are too few", 0: "none is needed"}
    wanted = more.get(mean.more_seeds, f"{mean.more_seeds} more seeds of each row")
    print(f"smallest difference of means found with 80 % power: {mean.detectable:.4f}")
    print(f"to find the present difference with 80 % power: {wanted}")
