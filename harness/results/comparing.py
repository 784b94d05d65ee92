"""Whether one of two measured rows is really better, from their stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import RecordError
from harness.metrics.compare import Row, Run, measure, measure_regions, row
from harness.metrics.evaluated import Evaluated
from harness.metrics.families import Comparison, compare
from harness.results.rescore import find_runs, stored

Seeds = dict[int, Evaluated]


@dataclass(frozen=True)
class Compared:
    """Two rows, what sets them apart, and the classes behind the columns."""

    first: Row
    second: Row
    comparison: Comparison
    classes: list[str]
    paired: bool


def compared(root: Path, first: str, second: str, resamples: int = 1000) -> Compared:
    """Compare two rows named by run id, label or record folder; all their seeds are read.

    Seeds that both rows have are taken as pairs.

    Raises:
        RecordError: a name fits no record, or the rows were not scored on the same images.
    """
    runs = [_seeds(root, name) for name in (first, second)]
    one, two = (next(iter(seeds.values())) for seeds in runs)
    if one.names.tolist() != two.names.tolist() or not _same(_truth(one), _truth(two)):
        raise RecordError(
            f"{first} and {second} were not scored on the same images and labels: nothing follows "
            "from their difference"
        )
    rows = [_row(name, seeds, resamples) for name, seeds in zip((first, second), runs, strict=True)]
    paired = set(runs[0]) == set(runs[1]) and len(runs[0]) > 1
    found = compare(rows[0], rows[1], paired)
    classes = one.need("region_classes") if _by_region(one) else one.classes
    return Compared(rows[0], rows[1], found, classes.tolist(), paired)


def _seeds(root: Path, name: str) -> Seeds:
    """Return the stored predictions of each seed of one row."""
    seeds: Seeds = {}
    identity = ""
    for folder in find_runs(root, [name]):
        record, evaluated = stored(folder)
        identity = identity or record["id"]
        if record["id"] != identity or record["seed"] in seeds:
            raise RecordError(f"{name!r} names several rows in {root}; give a run id")
        seeds[record["seed"]] = evaluated
    return dict(sorted(seeds.items()))


def _row(name: str, seeds: Seeds, resamples: int) -> Row:
    return row(name, [_run(one, resamples) for one in seeds.values()])


def _run(one: Evaluated, resamples: int) -> Run:
    if _by_region(one):
        return measure_regions(
            one.need("region_scores"), one.need("region_targets"), one.patients, resamples
        )
    return measure(one.need("scores"), one.need("targets"), one.patients, resamples)


def _by_region(one: Evaluated) -> bool:
    """Say whether a row is scored region by region: it says nothing of the whole image."""
    return one.scores is None and one.region_scores is not None


def _truth(one: Evaluated) -> Any:  # noqa: ANN401
    return one.region_targets if _by_region(one) else one.targets


def _same(first: Any, second: Any) -> bool:  # noqa: ANN401
    return (
        first is not None and second is not None and np.array_equal(first, second, equal_nan=True)
    )


def lines(found: Compared) -> Sequence[tuple[str, ...]]:
    """Return the comparison as rows of text: the mean first, then each class."""
    head = found.comparison.mean
    rows: list[tuple[str, ...]] = [
        ("mean", _signed(head.value), _span(head.low, head.high), _p(head.p), "", head.note)
    ]
    for one in found.comparison.classes:
        d = one.difference
        rows.append(
            (
                found.classes[one.column],
                _signed(d.value),
                _span(d.low, d.high),
                _p(one.holm),
                _p(one.max_t),
                d.note,
            )
        )
    return rows


def _signed(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:+.4f}"


def _span(low: float, high: float) -> str:
    return "" if not np.isfinite(low + high) else f"{low:+.4f} to {high:+.4f}"


def _p(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.4f}" if value >= 1e-4 else "< .0001"
