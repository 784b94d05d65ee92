"""Runs put into grids: what stands in one grid may be read beside each other, as in tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.results import blocks
from harness.results.best import mark_best
from harness.results.facts import TEST_LISTS
from harness.results.form import Row
from harness.results.measured import Runs, Scores, group
from harness.results.pages import Section
from harness.results.schema import Record

METRICS = {"auroc": "AUROC", "region_auroc": "localized AUROC"}
"""The metrics that a grid can be made of, the first that a record has counts."""


NAMES = {
    "nih": "NIH ChestX-ray14",
    "chexpert": "CheXpert",
    "imagenome": "Chest ImaGenome",
    "jsrt": "JSRT",
    "phantom": "Phantom",
}
"""Data sets as they are written in a heading."""


@dataclass(frozen=True)
class Line:
    """One configuration: its seeds, their metric (None where they have none), its row in a grid."""

    key: str
    runs: Runs
    scores: Scores | None
    row: Row


@dataclass(frozen=True)
class Grid:
    """Lines on the same test images under the same protocol, best mean first."""

    key: str
    name: str
    reasons: tuple[str, ...]
    metric: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    about: tuple[tuple[str, str], ...]

    @property
    def evidence(self) -> bool:
        """Whether its numbers say anything of radiographs: no phantom, no smaller budget."""
        return not any("phantom" in reason or "budget" in reason for reason in self.reasons)

    @property
    def title(self) -> str:
        """Data set and split, and what sets the grid apart."""
        return ", ".join((self.name, *self.reasons))

    @property
    def rows(self) -> list[Row]:
        """The rows of its lines."""
        return [line.row for line in self.lines]


def grids(records: Sequence[Record]) -> list[Grid]:
    """Return the grids of records, each with its ``folder``; evidence first, largest first."""
    usual = _usual_lists(records)
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(_same(record, usual), []).append(record)
    found = [_grid(f"g{i}", part, usual) for i, part in enumerate(parts.values())]
    return sorted(found, key=lambda grid: (not grid.evidence, -len(grid.lines)))


def metric_of(record: Record) -> str:
    """Return the name of the metric that a record is ranked by, an empty string without one."""
    return next((name for name in METRICS if record["metrics"].get(name)), "")


def _test(record: Record) -> list[Any]:
    dataset = record["dataset"]
    facts = [dataset[key] for key in ("name", "protocol", "policy", "phantom", "classes")]
    return [*facts, dataset["fingerprints"].get("test"), record["budget"], metric_of(record)]


def _lists(record: Record) -> tuple[str, str] | None:
    """Return the training and validation lists, None where they are only declared."""
    prints = record["dataset"]["fingerprints"]
    both = str(prints.get("train", "")), str(prints.get("validation", ""))
    return both if all(both) else None


def _usual_lists(records: Sequence[Record]) -> Mapping[str, tuple[str, str]]:
    """Return the lists that most records of each test set were trained on."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for record in records:
        lists = _lists(record)
        if lists:
            counts.setdefault(_key(_test(record)), Counter())[lists] += 1
    return {test: count.most_common(1)[0][0] for test, count in counts.items()}


def _same(record: Record, usual: Mapping[str, tuple[str, str]]) -> str:
    """Return what records share that may stand in one grid."""
    test = _test(record)
    lists = _lists(record)
    return _key([test, lists if lists not in (None, usual.get(_key(test))) else None])


def _key(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _grid(key: str, records: Sequence[Record], usual: Mapping[str, tuple[str, str]]) -> Grid:
    first = records[0]
    metric = metric_of(first)
    entry = first["metrics"].get(metric, {})
    columns = tuple(entry.get("classes", ()))
    reasons = _reasons(first, usual)
    title = ", ".join((_name(first), *reasons))
    lines = [
        _line(f"{key}-{i}", runs, metric, columns, title) for i, runs in enumerate(group(records))
    ]
    lines.sort(key=lambda line: -(line.row.mean if line.row.mean is not None else -1))
    marked = mark_best([line.row for line in lines])
    together = tuple(replace(line, row=row) for line, row in zip(lines, marked, strict=True))
    return Grid(key, _name(first), reasons, metric, columns, together, tuple(_about(records)))


def _name(record: Record) -> str:
    name, protocol = record["dataset"]["name"], record["dataset"]["protocol"]
    shown = NAMES.get(name, name)
    return shown if protocol == name else f"{shown}, {protocol} split"


def _reasons(record: Record, usual: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    dataset, found = record["dataset"], []
    if dataset["phantom"] is not None:
        found.append("phantom data")
    elif blocks.other_images(dataset):
        found.append("other test images")
    if _lists(record) not in (None, usual.get(_key(_test(record)))):
        found.append("other training lists")
    if record["budget"] != "full":
        found.append(f"{record['budget']} budget")
    return tuple(found)


def _about(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Say what the records of one grid share."""
    first = records[0]
    dataset, counts = first["dataset"], first["dataset"]["counts"]
    pinned = TEST_LISTS.get((dataset["name"], dataset["protocol"]))
    prints = {part: str(digest) for part, digest in dataset["fingerprints"].items()}
    known = prints.get("test", "").startswith(pinned) if pinned else False
    patients = dataset.get("patients", {}).get("test")
    facts = [
        ("protocol", f"{dataset['protocol']}{', the pinned test list' if known else ''}"),
        ("test images", f"{counts['test']:,}" if "test" in counts else ""),
        ("test patients", f"{patients:,}" if patients else ""),
        ("labels", ", ".join(f"{k} {short(v)}" for k, v in dataset["policy"].items())),
        ("budget", first["budget"]),
        *[(f"{part} list", short(digest)) for part, digest in prints.items()],
    ]
    if dataset["credentialed"]:
        facts.append(("licence", "credentialed: aggregated numbers only"))
    return [(name, value) for name, value in facts if value]


def short(value: object) -> str:
    """Return a value as text, of a whole digest its first sixteen digits."""
    text = str(value)
    return text[:16] if re.fullmatch("[0-9a-f]{32,}", text) else text


def _line(key: str, runs: Runs, metric: str, columns: Sequence[str], block: str) -> Line:
    scores = runs.scores(metric, "", Section(), columns) if metric else None
    return Line(key, runs, scores, _row(runs, scores, columns, block))


def _row(runs: Runs, scores: Scores | None, columns: Sequence[str], block: str) -> Row:
    record = runs.first
    imported = record["kind"] == "imported"
    return Row(
        method=record["label"],
        source="imported predictions" if imported else "this harness",
        kind="imported" if imported else "measured",
        cells=scores.cells if scores else dict.fromkeys(columns),
        mean_printed=None,
        mean=scores.mean if scores else None,
        verdict=None,
        notes=tuple(_notes(runs, scores)),
        block=block,
        chain=record["kind"],
        interval=scores.interval if scores else None,
        cell_intervals=scores.intervals if scores else {},
        seeds=len(runs.seeds),
        deviation=scores.deviation if scores else None,
        train_images_per_s=runs.throughput("train_images_per_s"),
        inference_images_per_s=runs.throughput("inference_images_per_s"),
        device=record["device"].get("name", record["device"].get("kind")),
        records=tuple(str(each["folder"]) for each in runs.records),
    )


def _notes(runs: Runs, scores: Scores | None) -> list[str]:
    record = runs.first
    notes = []
    if scores is None:
        notes.append("No score: the model offers none for the labels there are.")
    else:
        undefined = [name for name, value in scores.cells.items() if value is None]
        notes += [f"Undefined: {', '.join(undefined)}."] if undefined else []
    if record["kind"] == "imported":
        notes.append("Predictions made elsewhere; the training split is declared, not known.")
    if record["recipe"] not in ("paper", "declared"):
        notes.append(f"Trained with the {record['recipe']} recipe.")
    if record["tta"] not in ("none", "declared"):
        notes.append(f"Test-time augmentation: {record['tta']}.")
    return notes
