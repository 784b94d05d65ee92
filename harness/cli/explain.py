"""``harness explain ROW``.

The command, versions, fingerprints and files behind a measured number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

_ELSEWHERE = "put your own folders for {}: records hold no paths of the machine of the run"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("explain")(explain)


def explain(
    row: Annotated[str, typer.Argument(help="A run id, label, method or record folder.")],
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Say how a measured row was made: what to type to make it again, and with what it was made."""
    from tabulate import tabulate

    from harness.home import results as default_results
    from harness.results.records import read_record
    from harness.results.rescore import find_runs
    from harness.results.telling import stage_sentence

    for folder in find_runs(results or default_results(), [row]):
        record = read_record(folder)
        print(f"\n{record['label']}, seed {record['seed']}: run {record['id']}")
        print(tabulate(list(_facts(record, folder)), tablefmt="plain", disable_numparse=True))
        for stage in record["stages"]:
            print(stage_sentence(stage))


def _facts(record: Mapping[str, Any], folder: Path) -> list[tuple[str, str]]:
    from harness.home import home
    from harness.provenance import ELSEWHERE, spelled
    from harness.results.telling import lists, made_with

    command = spelled(record["command"])
    facts = [
        ("command", command),
        ("", _ELSEWHERE.format(ELSEWHERE) if ELSEWHERE in command else ""),
        *made_with(record),
        *lists(record),
        ("record", str(folder / "record.json")),
        ("scores", _scores(record)),
        ("trained model", _model(home() / "models" / folder.name)),
    ]
    return [(name, value) for name, value in facts if value]


def _model(folder: Path) -> str:
    return str(folder) if folder.exists() else "not on this machine"


def _scores(record: Mapping[str, Any]) -> str:
    entry = record["scores"]
    return f"{entry['file']}, sha256 {entry['sha256'][:16]}" if entry else "none stored"
