"""What stands behind one line of a grid: classes, seeds, stages, the command, and its files.

Folders are given relative to the results: a page that is sent holds no path of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.provenance import spelled
from harness.report.grids import Grid, Line
from harness.results.records import sha256_of
from harness.results.schema import Record
from harness.results.telling import Fact


@dataclass(frozen=True)
class Cell:
    """One class: its value over seeds, its interval, and the counts of the first seed."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    counts: tuple[str, ...]


COUNTS: Mapping[str, Mapping[str, str]] = {
    "auroc": {"positives": "Positive images", "positive_patients": "Positive patients"},
    "region_auroc": {"valid_regions": "Valid regions"},
}
"""What stands behind a class, by metric, with its head."""


def cells(grid: Grid, line: Line) -> list[Cell]:
    """Return every class of a line in the order of the grid."""
    if line.scores is None:
        return []
    entries = line.runs.first["metrics"][grid.metric]["classes"]
    keys = COUNTS[grid.metric]
    return [
        Cell(
            name,
            line.scores.cells[name],
            line.scores.intervals.get(name),
            tuple(f"{entries[name][key]:,}" if key in entries[name] else "" for key in keys),
        )
        for name in grid.columns
    ]


def command(record: Record) -> str:
    """Return what to type to make a run again."""
    return spelled(record["command"])


def files(record: Record, folder: Path) -> list[Fact]:
    """Return the files of a run with their sha256; scores of credentialed data are named only."""
    found = []
    for name in ("record.json", "scores.npz", "maps.npz"):
        if (folder / name).exists():
            found.append((f"{record['folder']}/{name}", sha256_of(folder / name)))
    scores = record["scores"] or {}
    if scores.get("private"):
        found.append(("scores kept on the machine of the run", scores["sha256"]))
    return found
