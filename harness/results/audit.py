"""What printed tables say about themselves: no images, no predictions, only arithmetic."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from harness.metrics.verdict import OFFICIAL_BAND, RANDOM_BAND
from harness.results.comparison import flagged, printed_signature, recomputed_mean
from harness.results.facts import BOXES, COUNTS, SIGNATURE_NOTE
from harness.results.pages import Page, Printed, decimals, number

Level = Literal["error", "warning", "info"]
_EXACT = 1e-9


@dataclass(frozen=True)
class Finding:
    """One finding: ``kind`` names the check, ``numbers`` what it compared."""

    kind: str
    level: Level
    table: str
    row: str
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def audit_table(page: Page, others: Sequence[Page] = ()) -> list[Finding]:
    """Return all findings on a page, conflicts with rows of ``others`` included.

    Means against their cells, counts against the data set, accuracies against the number of
    boxes, numbers of the same work elsewhere, the split signature of NIH rows, lost cells.
    """
    found = [*_stated(page), *_granularity(page)]
    for row in page.rows:
        found += [
            *_mean(page, row),
            *_restated(page, row),
            *_signature(page, row),
            *_lost(page, row),
        ]
    rows = [(page, row) for row in page.rows]
    elsewhere = [(each, row) for each in others if each.name != page.name for row in each.rows]
    return found + conflicts(rows, elsewhere)


def audit_all(pages: Sequence[Page]) -> list[Finding]:
    """Return the findings on all pages, each conflict between two of them once."""
    alone = [finding for page in pages for finding in audit_table(page)]
    rows = [(page, row) for page in pages for row in page.rows if not page.joint]
    return alone + conflicts(rows, ())


def half_unit(mark: str) -> float:
    """Return the largest rounding error of a printed number."""
    return 0.5 * 10.0 ** -decimals(mark)


def cell_unit(row: Printed) -> float:
    """Return the largest rounding error of a row's cells.

    Zeros that end every cell are padding: a row quoted from three digits stays one of three.
    """
    return 0.5 * 10.0 ** -max(len(m.partition(".")[2].rstrip("0")) for m in _marks(row))


def rounding_limit(row: Printed) -> float:
    """Return how far a printed mean and the mean of its printed cells can lie apart."""
    mean = row.mean or "0"
    padded = all(decimals(mark) == decimals(mean) for mark in _marks(row)) and mean.endswith("0")
    return cell_unit(row) + (cell_unit(row) if padded else half_unit(mean))


def _marks(row: Printed) -> list[str]:
    return [mark for mark in row.cells.values() if mark is not None]


def _mean(page: Page, row: Printed) -> Iterator[Finding]:
    mean = recomputed_mean(row)
    if mean is None or row.mean is None:
        return
    printed, limit = number(row.mean), rounding_limit(row)
    difference = abs(mean - printed)
    if difference <= half_unit(row.mean) + _EXACT:
        return
    numbers = {"printed": printed, "recomputed": mean, "limit": limit}
    text = f"prints the mean {row.mean}, its cells give {mean:.4f}"
    if difference > limit + _EXACT:
        where = "".join(f"; {place}: {value}" for place, value in row.restated.items())
        message = f"{text}; rounding explains at most {limit:.4f}{where}"
        yield Finding("mean", "error", page.name, row.method, message, numbers)
    else:
        cut = number(row.mean) == int(mean * 10 ** decimals(row.mean)) / 10 ** decimals(row.mean)
        why = f"rounding of the cells can explain up to {limit:.4f}" + (
            ", so can truncation" if cut else ""
        )
        yield Finding("rounding", "info", page.name, row.method, f"{text}; {why}", numbers)


def _restated(page: Page, row: Printed) -> Iterator[Finding]:
    for where, mark in row.restated.items():
        if row.mean is None or abs(number(mark) - number(row.mean)) <= _EXACT:
            continue
        numbers = {"printed": number(row.mean), "restated": number(mark)}
        message = f"prints the mean {row.mean} in the table and {mark} elsewhere ({where})"
        yield Finding("restated", "error", page.name, row.method, message, numbers)


def _stated(page: Page) -> Iterator[Finding]:
    known = COUNTS.get(page.dataset, {})
    for entry in page.stated:
        what, printed, where = entry["what"], number(entry["printed"]), entry["where"]
        if what in known and abs(printed - known[what]) > _EXACT:
            words = what.replace("_", " ")
            message = (
                f"states {entry['printed']} {words} ({where}); the data set has {known[what]:,}"
            )
            numbers = {"printed": printed, "known": known[what]}
            yield Finding("stated", "error", page.name, "", message, numbers)


def _granularity(page: Page) -> Iterator[Finding]:
    """Find rows whose accuracies are no whole number of boxes out of all boxes of the class."""
    boxes = BOXES.get(page.dataset, {})
    marks: dict[str, list[tuple[str, str]]] = {}
    for row in page.rows:
        if row.metric == "localization" and ">" in row.section.measure:
            cells = [
                (column, mark) for column, mark in row.cells.items() if mark and column in boxes
            ]
            marks.setdefault(row.method, []).extend(cells)
    for method, cells in marks.items():
        misfits = [pair for pair in cells if not _possible(pair[1], boxes[pair[0]])]
        if misfits:
            message = (
                f"{len(misfits)} of {len(cells)} accuracies are no whole number of the class's "
                f"annotated boxes ({', '.join(str(boxes[c]) for c in page.columns if c in boxes)})"
            )
            numbers = {"misfits": float(len(misfits)), "cells": float(len(cells))}
            yield Finding("granularity", "error", page.name, method, message, numbers)


def _possible(mark: str, count: int) -> bool:
    """Whether rounding or cutting k / count to the printed digits can give this number."""
    value = number(mark)
    nearest = (round(value * count + step) / count for step in (-1, 0, 1))
    return any(abs(fraction - value) < 2 * half_unit(mark) - _EXACT for fraction in nearest)


def _signature(page: Page, row: Printed) -> Iterator[Finding]:
    k = printed_signature(page, row)
    if k is None:
        return
    suspect = flagged(page, row)
    message = f"k = {k:+.3f} (official list {_band(OFFICIAL_BAND)}, random {_band(RANDOM_BAND)})"
    mean = recomputed_mean(row) or 0.0
    numbers = {"k": k, "mean": mean}
    note = (
        f": {SIGNATURE_NOTE}"
        if suspect
        else ": a mean below .80 does not separate"
        if mean < 0.8
        else ""
    )
    level: Level = "warning" if suspect else "info"
    yield Finding("signature", level, page.name, row.method, message + note, numbers)


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:+.3f} to {band[1]:+.3f}"


def _lost(page: Page, row: Printed) -> Iterator[Finding]:
    if row.lost:
        message = f"lost in the text at hand: {', '.join(row.lost)}"
        yield Finding("lost", "info", page.name, row.method, message)


Placed = tuple[Page, Printed]


def conflicts(rows: Sequence[Placed], elsewhere: Sequence[Placed]) -> list[Finding]:
    """Find works with other numbers on another page: between ``rows``, and to ``elsewhere``."""
    found: list[Finding] = []
    for (page, row), (other, twin) in combinations(rows, 2):
        if _same_work(page, row, other, twin):
            found += [*_conflict(page, row, twin), *_finer(row, twin), *_finer(twin, row)]
    for page, row in rows:
        for other, twin in elsewhere:
            if _same_work(page, row, other, twin):
                found += [*_conflict(page, row, twin), *_finer(row, twin)]
    return found


def _same_work(page: Page, row: Printed, other: Page, twin: Printed) -> bool:
    a = (row.work, page.dataset, row.metric, row.section.measure, row.protocol.get("split"))
    b = (twin.work, other.dataset, twin.metric, twin.section.measure, twin.protocol.get("split"))
    return row.work is not None and row.page != twin.page and a == b


def _apart(row: Printed, twin: Printed) -> dict[str, float]:
    """Return the difference of each cell that rounding cannot explain."""
    found = {}
    for column, mark in row.cells.items():
        other = twin.cells.get(column)
        if mark is not None and other is not None:
            difference = number(other) - number(mark)
            if abs(difference) > half_unit(mark) + half_unit(other) + _EXACT:
                found[column] = difference
    return found


def _conflict(page: Page, row: Printed, twin: Printed) -> Iterator[Finding]:
    apart = _apart(row, twin)
    if not apart:
        return
    means = {"here": recomputed_mean(row), "there": recomputed_mean(twin)}
    worst = max(apart, key=lambda column: abs(apart[column]))
    split = row.protocol.get("split")
    means_text = " and ".join(f"{mean:.4f}" for mean in means.values() if mean is not None)
    message = (
        f"{row.work} has other numbers in {twin.paper} ({twin.method}, {twin.chain}) than here "
        f"({row.chain}), both on the {split} split: means {means_text}; {len(apart)} of "
        f"{len(row.cells)} cells differ by more than rounding, most {worst} ({apart[worst]:+.4f})"
    )
    numbers = {name: mean for name, mean in means.items() if mean is not None}
    yield Finding("conflict", "error", page.name, row.method, message, numbers)


def _finer(row: Printed, twin: Printed) -> Iterator[Finding]:
    """Hold a printed mean against the same cells printed elsewhere with more digits."""
    mean = recomputed_mean(twin)
    digits = [
        max(decimals(m) for m in each.cells.values() if m) for each in (row, twin) if each.cells
    ]
    if row.mean is None or mean is None or len(digits) < 2 or digits[0] >= digits[1]:
        return
    error = half_unit(row.mean) + half_unit("0." + "0" * digits[1])
    if not _apart(row, twin) and abs(mean - number(row.mean)) > error + _EXACT:
        message = (
            f"prints the mean {row.mean}; the same cells with more digits "
            f"({twin.paper}) give {mean:.4f}"
        )
        numbers = {"printed": number(row.mean), "finer": mean}
        yield Finding("finer", "error", row.page, row.method, message, numbers)
