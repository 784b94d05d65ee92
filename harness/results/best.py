"""Which rows of a block are among its best."""

from collections.abc import Sequence
from dataclasses import replace

from harness.results.form import Row
from harness.results.measured import Interval

MEAN = "mean"


def mark_best(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with ``bold`` filled in, in their order.

    Printed rows compete among themselves and have no interval: the largest is marked. Measured
    rows compete among themselves; marked are the largest and those that it does not exceed by
    more than their two intervals allow (unpaired, so a tie may be declared where a paired test
    on the predictions finds a difference). A row that is not comparable does not compete.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, row in enumerate(rows):
        if not (row.kind == "published" and (row.verdict or "").startswith("not comparable")):
            groups.setdefault((row.block, row.kind == "published"), []).append(index)
    bold: dict[int, list[str]] = {}
    for members in groups.values():
        for column in (*rows[members[0]].cells, MEAN):
            for index in _best([(i, rows[i]) for i in members], column):
                bold.setdefault(index, []).append(column)
    return [replace(row, bold=tuple(bold.get(i, ()))) for i, row in enumerate(rows)]


def _best(rows: Sequence[tuple[int, Row]], column: str) -> list[int]:
    known = [(i, row, v) for i, row in rows if (v := value(row, column)) is not None]
    if len(known) < 2:
        return []
    _, first, top = max(known, key=lambda entry: entry[2])
    return [i for i, row, v in known if top - v <= _margin(first, row, column)]


def value(row: Row, column: str) -> float | None:
    """Return a cell, or for ``mean`` the recomputed mean, else the printed one."""
    if column != MEAN:
        return row.cells.get(column)
    return row.mean if row.mean is not None else row.mean_printed


def _margin(first: Row, row: Row, column: str) -> float:
    pair = [_interval(each, column) for each in (first, row)]
    halves = [(high - low) / 2 for low, high in (found for found in pair if found is not None)]
    return sum(half**2 for half in halves) ** 0.5 if len(halves) == 2 and row is not first else 0.0


def _interval(row: Row, column: str) -> Interval | None:
    return row.interval if column == MEAN else (row.cell_intervals or {}).get(column)
