"""Every metric again, from stored predictions: no images, no GPU."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import RecordError
from harness.home import home
from harness.metrics.evaluated import RESAMPLES, Evaluated, read_evaluated
from harness.plugins import registry
from harness.results.records import find_records, folder_of, read_record, read_scores, write_record
from harness.results.schema import Record


def metrics_of(evaluated: Evaluated) -> dict[str, Any]:
    """Return every metric that stored predictions allow, by name."""
    metrics = registry().offered("metrics")
    reports = {name: registry().resolve("metrics", name)(evaluated) for name in metrics}
    return {name: report for name, report in reports.items() if report}


def find_runs(root: Path, wanted: Sequence[str] | None) -> list[Path]:
    """Return the folders of records named by folder, run id or label, else method; all for None.

    Raises:
        RecordError: a name fits no record.
    """
    records = find_records(root)
    if not wanted:
        return [root / record["folder"] for record in records]
    found: list[Path] = []
    for name in wanted:
        fits = [
            r for r in records if name in (r["id"], r["label"], r["folder"], Path(r["folder"]).name)
        ]
        fits = fits or [r for r in records if name == r["method"]]
        if fits:
            found.extend(root / record["folder"] for record in fits)
        elif (Path(name) / "record.json").exists():
            found.append(Path(name))
        else:
            raise RecordError(
                f"no record in {root} is, or has the id, label or method, {name!r}: "
                f"{_near(name, records)}"
            )
    return found


def _near(name: str, records: Sequence[Record]) -> str:
    known = {record[key] for record in records for key in ("id", "label", "method")}
    close = difflib.get_close_matches(name, sorted(known), 3)
    return f"did you mean {' or '.join(close)}?" if close else "`harness ls` lists what is there"


def stored(folder: Path) -> tuple[dict[str, Any], Evaluated]:
    """Return a record and its stored predictions, checked against their hash.

    Raises:
        RecordError: they are not there, or not those that the record was made from.
    """
    record = read_record(folder)
    secret = record["dataset"]["credentialed"]
    place = home() / "private" / folder_of(record) if secret else folder
    read_scores(folder, place if secret else None)
    return record, read_evaluated(place)


def rescore(root: Path, folder: Path, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Compute the metrics of one record again, write it, and return it.

    Its intervals take so many ``resamples`` of patients, and it says so.

    Raises:
        RecordError: its predictions are not there, or are not those it was made from.
    """
    record, evaluated = stored(folder)
    secret = record["dataset"]["credentialed"]
    record["metrics"] = metrics_of(replace(evaluated, resamples=resamples))
    record["resamples"] = resamples
    private = home() / "private" / folder_of(record) if secret else None
    arrays = evaluated.arrays(heavy=False)
    write_record(folder.parent.parent, record, arrays, credentialed=secret, private=private)
    return {**record, "folder": str(folder)}
