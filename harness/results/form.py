"""The one form from which every output of a table is made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.results.measured import Interval

MEAN = "mean"
"""Stands for the mean over classes where a column is named."""

Kind = Literal["published", "measured", "imported"]


@dataclass(frozen=True)
class Row:
    """One row. Rows of one ``block`` may be read beside each other, rows of two may not.

    ``mean`` is recomputed from the cells, ``mean_printed`` is what the paper says. Intervals are
    95 %, over patients; ``deviation`` is over seeds; ``difference`` is the mean less the printed
    row's. ``paper`` is who prints the row, or the row that it regenerates. ``digits`` is the number
    of decimals to show, ``bold`` names the columns (``mean`` among them) in which the row is among
    the block's best.
    """

    method: str
    source: str
    kind: Kind
    cells: Mapping[str, float | None]
    mean_printed: float | None
    mean: float | None
    verdict: str | None
    notes: tuple[str, ...]
    block: str
    chain: str
    paper: str = ""
    interval: Interval | None = None
    cell_intervals: Mapping[str, Interval] | None = None
    seeds: int | None = None
    deviation: float | None = None
    difference: float | None = None
    train_images_per_s: float | None = None
    inference_images_per_s: float | None = None
    device: str | None = None
    signature: float | None = None
    digits: int = 4
    bold: tuple[str, ...] = ()
    records: tuple[str, ...] = ()

    @property
    def mean_digits(self) -> int:
        """Decimals of the recomputed mean: one more than coarse cells have."""
        return min(4, self.digits + 1) if self.kind == "published" else self.digits


@dataclass(frozen=True)
class Table:
    """What every output form is made from; ``heads`` are short names of the columns."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    heads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def blocks(self) -> dict[str, list[Row]]:
        """Return the rows of each block, in order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.block, []).append(row)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the table as what ``--json`` prints."""
        return asdict(self)
