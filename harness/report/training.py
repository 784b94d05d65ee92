"""What each stage learnt, epoch by epoch, and what lines cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from harness.report.charts import Mark, curve, scatter
from harness.report.grids import METRICS, Grid, Line

_NOT_LOSSES = ("epoch", "steps", "rate", "score")


@dataclass
class Trained:
    """One trained stage, which several runs may share, with its charts."""

    name: str
    about: str
    charts: list[Markup]
    labels: list[str] = field(default_factory=list)


def trained(grid: Grid) -> list[Trained]:
    """Return the stages of a grid's runs that have a history, each digest once."""
    found: dict[str, Trained] = {}
    for line in grid.lines:
        for record in line.runs.records:
            label = record["label"]
            if len(line.runs.seeds) > 1:
                label = f"{label}, seed {record['seed']}"
            for stage in record["stages"]:
                if stage["kind"] == "stage" and stage.get("history"):
                    one = found.setdefault(stage["digest"], _trained(stage))
                    one.labels += [label] if label not in one.labels else []
    return list(found.values())


def _trained(stage: Mapping[str, Any]) -> Trained:
    history, best = stage["history"], stage["best_epoch"]
    names = [key for key in history[0] if key not in _NOT_LOSSES]
    loss = [(entry["epoch"], sum(entry[name] for name in names)) for entry in history]
    scores = [(entry["epoch"], entry["score"]) for entry in history if _is(entry.get("score"))]
    what = "loss" if names == ["loss"] else f"loss ({' + '.join(names)})"
    charts = [_curve(loss, stage["name"], what, best)]
    if scores:
        charts.append(_curve(scores, stage["name"], "validation score", best))
    kept = f", epoch {best} kept" if best else ""
    return Trained(stage["name"], f"{stage['epochs']} epochs{kept}", charts)


def _is(value: float | None) -> bool:
    return value is not None and value == value


def _curve(points: list[tuple[float, float]], stage: str, what: str, best: int | None) -> Markup:
    last = points[-1][1]
    said = f"{stage}: {what} over {len(points)} epochs, at last {last:.4g}"
    return curve(points, f"{what}, by epoch", said, best)


COSTS = {
    "inference_images_per_s": "test images per second",
    "training_device_seconds": "device-hours of training, all stages",
}


def costs(grid: Grid) -> list[Markup]:
    """Return a chart of AUROC against each cost that at least one line has."""
    charts = []
    for key, name in COSTS.items():
        marks = [mark for i, line in enumerate(grid.lines) if (mark := _mark(line, i, key))]
        if marks:
            charts.append(scatter(marks, name, f"mean {METRICS[grid.metric]}"))
    return charts


def _mark(line: Line, series: int, key: str) -> Mark | None:
    value, row = line.runs.throughput(key), line.row
    if not value or row.mean is None:
        return None
    hours = value / 3600 if key == "training_device_seconds" else value
    text = f"{row.method}: {row.mean:.4f} at {hours:,.3g} {COSTS[key]}, {row.device or 'unknown'}"
    return Mark(row.method, hours, row.mean, row.interval, series, text)


def devices(grid: Grid) -> Sequence[str]:
    """Return the devices behind a grid's speeds, each once."""
    return list(dict.fromkeys(line.row.device for line in grid.lines if line.row.device))
