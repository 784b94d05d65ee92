"""Which rows of a block are among its best."""

from collections.abc import Sequence
from dataclasses import replace

from harness.results.form import MEAN, Row
from harness.results.measured import Interval
from harness.results.paired import Predictions, Tested

__all__ = ["MEAN", "mark_best", "value"]


def mark_best(
    rows: Sequence[Row], columns: Sequence[str] = (), predictions: Predictions | None = None
) -> list[Row]:
    """Return the rows with ``bold`` filled in, in their order.

    Printed rows compete among themselves and have no interval: the largest is marked. Measured
    rows compete among themselves. Those whose ``predictions`` can be tested are marked where they
    are not distinguishable from the best of them (paired, over patients and seeds). For others,
    and for a largest one that is not tested, the two intervals decide: unpaired, so a tie may be
    declared where a test finds a difference. A row that is not comparable does not compete.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, row in enumerate(rows):
        if not (row.kind == "published" and (row.verdict or "").startswith("not comparable")):
            groups.setdefault((row.block, row.kind == "published"), []).append(index)
    bold: dict[int, list[str]] = {}
    for (_, published), members in groups.items():
        group = [rows[i] for i in members]
        tested = Tested()
        if predictions is not None and not published:
            tested = predictions.test(group, columns)
        for column in (*group[0].cells, MEAN):
            for place in _best(group, column, tested):
                bold.setdefault(members[place], []).append(column)
    return [replace(row, bold=tuple(bold.get(i, ()))) for i, row in enumerate(rows)]


def _best(rows: Sequence[Row], column: str, tested: Tested) -> list[int]:
    known = [(i, row, v) for i, row in enumerate(rows) if (v := value(row, column)) is not None]
    if len(known) < 2:
        return []
    leader, first, top = max(known, key=lambda entry: entry[2])

    def among(place: int, row: Row, v: float) -> bool:
        kept = place not in tested.rows or tested.kept(place, column)
        if place in tested.rows and leader in tested.rows:
            return kept
        return kept and top - v <= _margin(first, row, column)

    return [i for i, row, v in known if among(i, row, v)]


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
