"""The ROC curves of a grid as the page's script reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.report.grids import Grid
from harness.report.roc import RATES, curves_of
from harness.results.schema import Record

SHOWN = 5
"""Methods of which one curve is drawn before a reader chooses."""


@dataclass(frozen=True)
class Panel:
    """The curves of one grid, and the runs that have none with the reason."""

    key: str
    curves: list[dict[str, Any]]
    missing: list[tuple[str, str]]
    data: dict[str, Any]


def panel(grid: Grid, folders: Mapping[str, Path]) -> Panel:
    """Return the curves of every run of a grid; rates and sensitivities are per mille."""
    drawn, missing = [], []
    for i, line in enumerate(grid.lines):
        for record in line.runs.records:
            name = _name(record, len(line.runs.seeds) > 1)
            try:
                drawn.append(_run(record, name, i, folders[record["folder"]], grid.columns))
            except RecordError as error:
                missing.append((name, _reason(record, error)))
    first = {run["series"]: run["name"] for run in reversed(drawn)}
    shown = [first[series] for series in sorted(first)[:SHOWN]]
    for run in drawn:
        run["shown"] = run["name"] in shown
    data = {"classes": list(grid.columns), "rates": _mille(RATES), "runs": drawn}
    return Panel(grid.key, drawn, missing, data)


def _name(record: Record, several: bool) -> str:
    return f"{record['label']}, seed {record['seed']}" if several else str(record["label"])


def _reason(record: Record, error: RecordError) -> str:
    """Say why a run has no curve, without the paths of this machine."""
    if record["metrics"].get("region_auroc") and not record["metrics"].get("auroc"):
        return "its AUROC is a mean over regions: there is no one curve"
    if record["scores"] is None:
        return "no predictions are stored"
    told = str(error)
    return told if "/" not in told else "its stored predictions are not at hand or were changed"


def _run(
    record: Record, name: str, series: int, folder: Path, columns: tuple[str, ...]
) -> dict[str, Any]:
    found = curves_of(folder)
    cells = record["metrics"]["auroc"]["classes"]
    places = [found.classes.index(column) for column in columns]
    return {
        "name": name,
        "series": series,
        "mean": _text(record["metrics"]["auroc"]["mean"]),
        "auroc": [_text(cells[column]) for column in columns],
        "curve": [_line(found.curve[c]) for c in places],
        "low": [_line(found.low[c]) for c in places],
        "high": [_line(found.high[c]) for c in places],
    }


def _text(cell: Mapping[str, Any]) -> list[str]:
    """Return an AUROC with its limits as they are printed, nothing where undefined."""
    known = [cell.get(key) for key in ("value", "low", "high")]
    return [f"{value:.4f}" for value in known if value is not None]


def _line(values: NDArray[Any]) -> list[int] | None:
    return _mille(values) if np.isfinite(values).all() else None


def _mille(values: NDArray[Any]) -> list[int]:
    return [round(float(value) * 1000) for value in values]
