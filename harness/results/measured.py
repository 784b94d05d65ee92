"""Measured runs as a table sees them: seeds of one configuration together, cells looked up."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from harness.results.pages import Section
from harness.results.schema import Record
from harness.settings import parse

Interval = tuple[float, float]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """One metric of one configuration: cells and mean over seeds, intervals over patients.

    Intervals are each run's patient bootstrap, averaged over seeds; what seeds add is
    ``deviation``. ``by_seed`` holds the mean over classes of each seed.
    """

    cells: Mapping[str, float | None]
    intervals: Mapping[str, Interval]
    mean: float | None
    interval: Interval | None
    by_seed: tuple[float, ...]

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the mean over seeds, None for a single seed."""
        return stdev(self.by_seed) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Runs:
    """Runs that differ in nothing but their seed."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The run that stands for all in whatever they agree on."""
        return self.records[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, each once."""
        return tuple(sorted({record["seed"] for record in self.records}))

    def throughput(self, key: str) -> float | None:
        """Return the median over runs of one throughput figure, None if no run has it."""
        values = [record["throughput"].get(key) for record in self.records]
        known = [value for value in values if value is not None]
        return median(known) if known else None

    def scores(
        self, metric: str, boxes: str, section: Section, columns: Sequence[str]
    ) -> Scores | None:
        """Return one metric of these runs, None where one of them lacks it."""
        entries = [_entry(record, metric, boxes, section.measure) for record in self.records]
        known = [entry for entry in entries if entry is not None]
        if len(known) != len(entries):
            return None
        means: dict[int, list[float]] = {}
        for record, entry in zip(self.records, known, strict=True):
            mean = _mean(entry, columns, section.weights)
            if mean is not None:
                means.setdefault(record["seed"], []).append(mean)
        by_seed = tuple(fmean(means[seed]) for seed in sorted(means))
        own = not section.weights and all(_whole(entry, columns) for entry in known)
        return Scores(
            cells={column: _average(known, column, "value") for column in columns},
            intervals={c: found for c in columns if (found := _interval(known, c)) is not None},
            mean=fmean(by_seed) if by_seed else None,
            interval=_interval(known, "") if own else None,
            by_seed=by_seed,
        )


def group(records: Iterable[Record]) -> list[Runs]:
    """Put records together that differ in nothing but their seed, in the order they come."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_identity(record), []).append(record)
    return [Runs(tuple(members)) for members in groups.values()]


def matches(spec: str, record: Record) -> bool:
    """Whether a record is a run of the model that ``spec`` names.

    Every setting of the spec holds in the record, and the record's label sets nothing else.
    Test-time augmentation is left to the comparison of protocols.
    """
    name, wanted = parse(spec)
    if name != record["method"]:
        return False
    wanted.pop("tta", None)
    _, labelled = parse(record["label"]) if record["kind"] == "measured" else ("", {})
    typed = {key for key in labelled if key != "tta" and _was_typed(record, key)}
    values = {key: _text(entry["value"]) for key, entry in record["hyperparameters"].items()}
    same = all(values.get(key, labelled.get(key)) == value for key, value in wanted.items())
    return same and typed <= wanted.keys()


def _was_typed(record: Record, key: str) -> bool:
    """Whether a setting in the label was asked for, not what "auto" came to be."""
    return bool(record["hyperparameters"].get(key, {}).get("origin") != "default")


def _text(value: object) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _identity(record: Record) -> str:
    dataset = record["dataset"]
    parts = [record[key] for key in ("kind", "method", "label", "budget", "recipe", "tta")]
    parts += [dataset[key] for key in ("name", "protocol", "fingerprints", "policy", "phantom")]
    parts += [{key: entry["value"] for key, entry in record["hyperparameters"].items()}]
    parts += [record["device"].get("name", record["device"].get("kind"))]
    return json.dumps(parts, sort_keys=True)


def _entry(record: Record, metric: str, boxes: str, measure: str) -> Entry | None:
    found = record["metrics"].get(metric)
    if metric == "localization" and found is not None:
        found = found.get(boxes, {}).get(measure)
    return dict(found) if found else None


def _cell(entry: Entry, column: str) -> Mapping[str, Any]:
    """Return the entry of one class, of the mean over classes for an empty name."""
    return dict(entry["classes"].get(column, {}) if column else entry["mean"])


def _average(entries: Sequence[Entry], column: str, part: str) -> float | None:
    values = [_cell(entry, column).get(part) for entry in entries]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(entries) else None


def _interval(entries: Sequence[Entry], column: str) -> Interval | None:
    low, high = (_average(entries, column, part) for part in ("low", "high"))
    return (low, high) if low is not None and high is not None else None


def _whole(entry: Entry, columns: Sequence[str]) -> bool:
    """Whether the record's own mean is over exactly these columns."""
    return not columns or set(entry["classes"]) == set(columns)


def _mean(entry: Entry, columns: Sequence[str], weights: Sequence[float]) -> float | None:
    if _whole(entry, columns) and not weights:
        return _average([entry], "", "value")
    return weighted_mean([_average([entry], column, "value") for column in columns], weights)


def weighted_mean(values: Sequence[float | None], weights: Sequence[float] = ()) -> float | None:
    """Return the mean of the values that are defined, None where none is."""
    pairs = list(zip(values, weights or [1.0] * len(values), strict=True))
    known = [(value, weight) for value, weight in pairs if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
