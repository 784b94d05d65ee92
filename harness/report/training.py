"""What each stage learnt, epoch by epoch, and what lines cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.report.charts import Mark, Point, Svg, curves, scatter
from harness.report.grids import METRICS, Grid, Line

_NOT_LOSSES = ("epoch", "steps", "rate", "score")


@dataclass
class Trained:
    """A stage of one configuration, all its seeds, with its charts and who else shares it."""

    name: str
    about: str
    charts: list[Svg]
    labels: list[str] = field(default_factory=list)


def trained(grid: Grid) -> list[Trained]:
    """Return the stages of a grid that have a history; what several lines share comes once."""
    found: dict[tuple[str, ...], Trained] = {}
    for line in grid.lines:
        stages: dict[str, dict[str, Mapping[str, Any]]] = {}
        for record in line.runs.records:
            for stage in record["stages"]:
                if stage["kind"] == "stage" and stage.get("history"):
                    stages.setdefault(stage["name"], {})[stage["digest"]] = stage
        for name, seeds in stages.items():
            one = found.setdefault(tuple(seeds), _trained(name, list(seeds.values())))
            one.labels.append(line.row.method)
    return list(found.values())


def _trained(name: str, seeds: Sequence[Mapping[str, Any]]) -> Trained:
    kept = [stage["best_epoch"] for stage in seeds]
    losses = [_losses(stage["history"]) for stage in seeds]
    scores = [_scores(stage["history"]) for stage in seeds]
    names = " + ".join(_names(seeds[0]["history"]))
    charts = [curves(losses, f"loss ({names}), by epoch", name, kept)]
    if all(scores):
        charts.append(curves(scores, "validation score, by epoch", name, kept))
    epochs = ", ".join(dict.fromkeys(str(stage["epochs"]) for stage in seeds))
    seconds = sum(sum(stage["seconds"].values()) for stage in seeds) / len(seeds)
    of = f" of {seeds[0]['images']:,} images, {_duration(seconds)}"
    return Trained(name, f"{epochs} epochs{of}{' a seed' if len(seeds) > 1 else ''}", charts)


def _names(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the losses of a history; some begin in a later epoch."""
    every = dict.fromkeys(key for entry in history for key in entry)
    return [key for key in every if key not in _NOT_LOSSES]


def _losses(history: Sequence[Mapping[str, float]]) -> list[Point]:
    return [(entry["epoch"], sum(entry[name] for name in _names([entry]))) for entry in history]


def _scores(history: Sequence[Mapping[str, float]]) -> list[Point]:
    known = [entry for entry in history if entry.get("score") is not None]
    return [(entry["epoch"], entry["score"]) for entry in known]


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"


COSTS = {
    "inference_images_per_s": "test images per second",
    "training_device_seconds": "device-hours of training, all stages",
}


def costs(grid: Grid) -> list[Svg]:
    """Return a chart of AUROC against each cost that at least two lines have."""
    charts = []
    for key, name in COSTS.items():
        marks = [mark for i, line in enumerate(grid.lines) if (mark := _mark(line, i, key))]
        if len(marks) > 1:
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
