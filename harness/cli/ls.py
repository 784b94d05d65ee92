"""``harness ls``: the runs there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ls")(ls)


def ls(
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the records: method, dataset, seed, mean score, throughput, folder."""
    from tabulate import tabulate

    from harness.cli.show import describe_data, number
    from harness.home import results as default_results
    from harness.results.records import find_records

    where = results or default_results()
    rows = []
    for record in find_records(where):
        found = record["metrics"].get("auroc") or record["metrics"].get("region_auroc") or {}
        rows.append(
            {
                "method": record["label"],
                "dataset": describe_data(record),
                "seed": record["seed"],
                "mean": found.get("mean", {}).get("value"),
                "train images/s": record["throughput"].get("train_images_per_s"),
                "device": record["device"].get("name") or "-",
                "folder": record["folder"],
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
    elif not rows:
        print(f"no records in {where}; `harness run` makes them")
    else:
        shown = [
            {
                **row,
                "mean": number(row["mean"]),
                "train images/s": f"{row['train images/s']:,.1f}" if row["train images/s"] else "-",
            }
            for row in rows
        ]
        print(tabulate(shown, headers="keys", disable_numparse=True))
