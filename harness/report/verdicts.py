"""What the published tables say of measured runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.results.form import Table
from harness.results.pages import load_page
from harness.results.schema import Record
from harness.results.tables import build


@dataclass(frozen=True)
class Finding:
    """The verdict on a run against one printed row."""

    paper: str
    title: str
    verdict: str
    difference: float | None
    notes: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``match``, ``higher``, ``lower``, ``inconclusive`` or ``not comparable``."""
        return self.verdict.partition(" (")[0]

    @property
    def reason(self) -> str:
        """Why, as far as the verdict says it."""
        return self.verdict.partition(" (")[2].removesuffix(")")


def verdicts(tables: Sequence[Table]) -> dict[str, list[Finding]]:
    """Return the findings on each record folder, each printed row of a paper once."""
    found: dict[str, dict[tuple[str, str], Finding]] = {}
    for table in tables:
        for row in table.rows:
            if not row.paper or row.kind == "published" or row.verdict is None:
                continue
            said = Finding(row.paper, table.title, row.verdict, row.difference, row.notes)
            for folder in row.records:
                found.setdefault(folder, {}).setdefault((row.paper, row.verdict), said)
    return {folder: list(of.values()) for folder, of in found.items()}


def built(records: Sequence[Record], references: Mapping[str, str]) -> list[Table]:
    """Return every table that is offered, with these records in it."""
    return [build(load_page(name, references), records) for name in references]
