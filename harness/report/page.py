"""A page of everything that is known of some runs: one file, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from harness import provenance
from harness.errors import RecordError, SettingError
from harness.files import write_atomically
from harness.plugins import tables as offered
from harness.report import charts, details
from harness.report.gallery import Gallery, gallery
from harness.report.grids import METRICS, NAMES, Grid, grids
from harness.report.panels import panel
from harness.report.training import costs, devices, trained
from harness.report.verdicts import built, verdicts
from harness.results import telling
from harness.results.blocks import NOTES
from harness.results.form import Row, Table
from harness.results.records import find_records, read_record
from harness.results.render import MARKS, footnotes, rate, references, show
from harness.results.rescore import find_runs
from harness.results.schema import Record
from harness.results.terminal import SIGNS


@dataclass(frozen=True)
class Wanted:
    """What a page is made of."""

    results: Path
    rows: Sequence[str] = ()
    tables: Sequence[str] = ()
    pictures: int = 12
    roots: Sequence[str] = ()


@dataclass(frozen=True)
class Written:
    """What was written, and what is missing in it for a reason that its maker may remove."""

    path: Path
    rows: int
    missing: tuple[str, ...]


def write_page(path: Path, wanted: Wanted) -> Written:
    """Write the page of the wanted runs as one html file.

    Raises:
        HarnessError: a row or a table is unknown, a root is malformed, or there is no run.
    """
    for root in wanted.roots:
        if not all(root.partition(":")):
            raise SettingError(f"--root {root}: write it as NAME:DIR, such as nih:/data/nih")
    folders, records = _records(wanted)
    every = built(records, offered())
    unknown = sorted(set(wanted.tables) - {table.name for table in every})
    if unknown:
        known = ", ".join(sorted(table.name for table in every))
        raise RecordError(f"No table is called '{unknown[0]}'. Tables: {known}.")
    chosen = [table for name in wanted.tables for table in every if table.name == name]
    if chosen:
        records = _of_tables(records, chosen)
    if not records and not chosen:
        raise RecordError(f"no records in {wanted.results}; `harness run` makes them")
    found = grids(records)
    galleries = _galleries(found, folders, wanted)
    text = (
        _environment()
        .get_template("report.html")
        .render(
            title=_title(found, chosen),
            lede=_lede(found, _made()),
            heads=_heads(found, every),
            grids=found,
            tables=chosen,
            verdicts=verdicts(every),
            galleries=galleries,
            panels={grid.key: panel(grid, folders) for grid in found},
            folders=folders,
            keys={
                folder: line.key
                for grid in found
                for line in grid.lines
                for folder in line.row.records
            },
            made=_made(),
            pictures=wanted.pictures,
        )
    )
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    causes = tuple(dict.fromkeys(each.cause for each in galleries.values() if each.cause))
    return Written(path, sum(len(grid.lines) for grid in found), causes)


def _records(wanted: Wanted) -> tuple[dict[str, Path], list[Record]]:
    """Return the wanted records and where each lies, by its folder as the page names it."""
    if not wanted.rows:
        records = find_records(wanted.results)
        return {each["folder"]: wanted.results / each["folder"] for each in records}, records
    folders: dict[str, Path] = {}
    records = []
    for folder in find_runs(wanted.results, wanted.rows):
        name = f"{folder.parent.name}/{folder.name}"
        if name not in folders:
            folders[name] = folder
            records.append({**read_record(folder), "folder": name})
    return folders, records


def _of_tables(records: Sequence[Record], tables: Sequence[Table]) -> list[Record]:
    inside = {folder for table in tables for row in table.rows for folder in row.records}
    return [record for record in records if record["folder"] in inside]


def _galleries(
    found: Sequence[Grid], folders: Mapping[str, Path], wanted: Wanted
) -> dict[str, Gallery]:
    """Return a gallery for each grid; together they show at most the wanted number of findings."""
    left, shown = wanted.pictures, {}
    for place, grid in enumerate(found):
        share = -(-left // (len(found) - place))
        shown[grid.key] = gallery(grid, folders, wanted.roots, share) if share else Gallery()
        left -= len(shown[grid.key].findings)
    return shown


def _title(found: Sequence[Grid], tables: Sequence[Table]) -> str:
    if tables:
        return "; ".join(table.title for table in tables)
    count = sum(len(grid.lines) for grid in found)
    names = [grid.lines[0].runs.first["dataset"]["name"] for grid in found]
    data = list(dict.fromkeys(NAMES.get(name, name) for name in names))
    return f"{count} method{'s' if count != 1 else ''} on {' and '.join(data)}"


def _lede(found: Sequence[Grid], made: Mapping[str, str]) -> str:
    runs = sum(len(line.runs.records) for grid in found for line in grid.lines)
    apart = f", in {len(found)} grids that do not compare with each other" if len(found) > 1 else ""
    return f"{runs} run{'s' if runs != 1 else ''}{apart}. Made {made['date']}."


def _heads(found: Sequence[Grid], tables: Sequence[Table]) -> dict[str, Sequence[str]]:
    """Return short heads for the classes of each grid: those of a table with the same classes."""
    short = {table.columns: table.heads for table in tables}
    return {grid.key: short.get(grid.columns, grid.columns) for grid in found}


def _made() -> dict[str, str]:
    commit = provenance.commit(Path(__file__).parent)
    changed = " with changes" if commit.get("changed") else ""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "harness": provenance.versions("cxr-harness").get("cxr-harness", ""),
        "commit": f"{commit['commit']}{changed}" if commit else "",
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named: dict[str, Any] = {"show": show, "rate": rate, "references": references}
    named |= {"details": details, "telling": telling, "charts": charts, "footnotes": footnotes}
    named |= {"scale": _scale, "bar": _bar, "trained": trained, "costs": costs, "devices": devices}
    named |= {"MARKS": MARKS, "SIGNS": SIGNS, "NOTES": NOTES, "METRICS": METRICS}
    environment.globals.update(named)
    environment.filters["method"] = _method
    return environment


def _method(name: str) -> str:
    """Return a method's name as markup that may be broken after a bracket and a comma."""
    return re.sub(r"([\[,])", r"\1<wbr>", escape(name))


def _scale(rows: Sequence[Row]) -> charts.Limits | None:
    """Return the scale of the interval bars of rows that stand in one grid."""
    means = [row.mean for row in rows if row.mean is not None]
    ends = [end for row in rows for end in (row.interval or ())]
    return charts.shared_scale([*means, *ends])


def _bar(
    mean: float | None, interval: charts.Limits | None, scale: charts.Limits | None
) -> charts.Svg:
    """Draw a mean with its interval, nothing where there is none."""
    if mean is None or scale is None:
        return ""
    span = f", {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
    return charts.interval_bar(mean, interval, scale, f"{mean:.4f}{span}")
