"""Records as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def print_records(records: Sequence[Record], *, as_json: bool = False) -> None:
    """Print records of runs: as JSON, or each as a table of its classes and where it lies."""
    if as_json:
        from harness.results.records import json_safe

        print(json.dumps(json_safe(list(records)), indent=1))
        return
    for record in records:
        print(f"\n{record['label']} on {describe_data(record)}, seed {record['seed']}")
        for lines in (_classes(record), _summary(record)):
            print(lines)


def describe_data(record: Record) -> str:
    """Return the dataset with what sets it apart: phantom, budget, split."""
    data = record["dataset"]
    notes = [data["protocol"]] if data["protocol"] not in ("official", "phantom") else []
    notes += ["phantom"] if data["phantom"] and data["name"] != "phantom" else []
    notes += [f"{record['budget']} budget"] if record["budget"] != "full" else []
    return f"{data['name']} ({', '.join(notes)})" if notes else str(data["name"])


def _classes(record: Record) -> str:
    from tabulate import tabulate

    found = record["metrics"].get("auroc") or record["metrics"].get("region_auroc")
    if not found:
        return "no score: the model offers none for the labels there are"
    rows = [
        (name, number(cell["value"]), between(cell) or _why(cell), cell.get("positives", ""))
        for name, cell in found["classes"].items()
    ]
    rows.append(("mean", number(found["mean"]["value"]), between(found["mean"]), ""))
    return tabulate(rows, ("class", "AUROC", "95 % interval", "positives"), disable_numparse=True)


def _summary(record: Record) -> str:
    speed = record["throughput"]
    parts = [
        f"{speed[key]:,.1f} {what} images/s"
        for key, what in (("train_images_per_s", "training"), ("inference_images_per_s", "test"))
        if speed.get(key)
    ]
    return f"{', '.join(parts)}\nrecord: {record.get('folder', '')}"


def _why(cell: Mapping[str, Any]) -> str:
    """Return why a class has no AUROC."""
    positives = cell.get("positives")
    if (cell["value"] is not None and cell["value"] == cell["value"]) or positives is None:
        return ""
    return "undefined: no positives" if positives == 0 else "undefined: no negatives"


def number(value: float | None) -> str:
    """Return a value with four digits, a dash where it is undefined."""
    return "-" if value is None or value != value else f"{value:.4f}"


def between(cell: Mapping[str, Any]) -> str:
    """Return an interval, empty where there is none."""
    low, high = number(cell.get("low")), number(cell.get("high"))
    return "" if "-" in (low, high) else f"{low} to {high}"
