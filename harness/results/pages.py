"""Published tables as toml: one file, one table of one paper.

A page has the keys

``name``, ``title``   how the command line calls it and what stands above it
``paper``, ``citation``   who prints it and where: ``"AnaXNet"``, ``"Table 3"``
``dataset``   the data set of its measured rows
``metric``   ``auroc``, ``region_auroc``, ``localization``, ``counts``, ``quoted`` (never measured)
``columns``, ``heads``   names of the classes (as the data set spells them) and short heads for them
``[protocol]``   claimed for every row: ``split``, ``tta``, ``resolution``, ``policy`` (a table),
    ``boxes`` (the rule from heat map to box); ``"not stated"`` where the paper is silent
``[[sections]]``   of a table with several grids: ``title``, ``measure`` (``iou>0.3``),
    ``citation``, ``weights``: one number per column where the printed mean is a weighted one
``[[stated]]``   counts that the paper states of its data: ``what``, ``printed``, ``where``
``notes``   footnotes of the whole table
``[[rows]]``   ``method``, ``cells``, ``notes``; ``protocol``, ``metric`` where the page's differ;
    ``model``: the model that regenerates the row, ``anatomy-xnet[level=1]``;
    ``work``: the publication a number comes from first; ``quotes``: the paper's reference to it;
    ``rerun = true`` where the paper ran that work again; ``restated``: where -> mean printed there

``cells`` is the printed row, ``"0.84 0.89 - ? | 0.80"``: one word for each column with all its
digits, ``-`` where the paper prints nothing, ``?`` where the text at hand has lost the cell, and
after the bar the printed mean. A table with sections has one such string for each section's title.
A row without cells is one that the harness adds: a control, or a baseline that only the text has.

A joint table has ``from = [names]`` instead of rows: the rows of those pages, in its own columns.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from harness.errors import RecordError

Mark = str | None
"""A printed number with all its digits, or None where there is none."""


@dataclass(frozen=True)
class Section:
    """One grid of a table: its title, the measure that fills it, where it is printed."""

    title: str = ""
    measure: str = ""
    citation: str = ""
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Printed:
    """One row of one section, as printed."""

    method: str
    page: str
    paper: str
    section: Section
    metric: str
    protocol: Mapping[str, Any]
    cells: Mapping[str, Mark]
    mean: Mark = None
    lost: tuple[str, ...] = ()
    work: str | None = None
    quotes: str | None = None
    rerun: bool = False
    model: str | None = None
    restated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    also: str = ""

    @property
    def chain(self) -> str:
        """Whose number it is: ``own``, ``re-run``, ``quoted``, or ``added`` if none is printed."""
        if self.mean is None and not any(self.cells.values()):
            return "added"
        if self.quotes is None:
            return "own"
        return "re-run" if self.rerun else "quoted"

    @property
    def source(self) -> str:
        """The citation chain: who prints the row and whom it quotes."""
        match self.chain:
            case "quoted":
                return f"{self.paper} {self.quotes}{self.also}, quoting {self.work}"
            case "re-run":
                return f"{self.paper} {self.quotes}, its re-run of {self.work}"
            case "added":
                return "not printed"
        return self.paper

    @property
    def boxes(self) -> str:
        """The rule from heat map to box, or an empty string."""
        return str(self.protocol.get("boxes", ""))


@dataclass(frozen=True)
class Page:
    """One table of a paper, or a joint table of several, as declared."""

    name: str
    title: str
    dataset: str
    metric: str
    columns: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[Printed, ...]
    paper: str = ""
    sections: tuple[Section, ...] = (Section(),)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    stated: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    joint: bool = False


def load_page(name: str, tables: Mapping[str, str]) -> Page:
    """Load the table called ``name``, with the rows of every page that it gathers.

    ``tables`` maps names to ``package:path``. A page that a joint table names and nobody offers
    becomes a note of it.
    """
    if name not in tables:
        known = ", ".join(sorted(tables)) or "none"
        raise RecordError(f"No table is called '{name}'. Tables: {known}.")
    raw = read_toml(tables[name])
    where = tables[name]
    if raw.get("name") != name:
        raise RecordError(f"{where}: its name is '{raw.get('name')}', offered as '{name}'.")
    page = _page(raw, where)
    return _gather(page, raw["from"], tables) if "from" in raw else page


def read_toml(reference: str) -> dict[str, Any]:
    """Read the toml file that ``package:path`` refers to."""
    package, _, path = reference.partition(":")
    try:
        text = files(package).joinpath(path).read_text(encoding="utf-8")
        return tomllib.loads(text)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise RecordError(f"The table file {reference} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecordError(f"{reference} is not valid toml: {error}.") from error


def _page(raw: Mapping[str, Any], where: str) -> Page:
    missing = [key for key in ("name", "title", "dataset", "metric", "columns") if key not in raw]
    if missing:
        raise RecordError(f"{where}: the key '{missing[0]}' is missing.")
    columns = tuple(raw["columns"])
    heads = tuple(raw.get("heads", columns))
    sections = tuple(_section(entry) for entry in raw.get("sections", [{}]))
    if any(len(columns) != len(of) for of in (heads, *(s.weights or heads for s in sections))):
        raise RecordError(f"{where}: heads and weights need one entry for each of its columns.")
    return Page(
        name=raw["name"],
        title=raw["title"],
        dataset=raw["dataset"],
        metric=raw["metric"],
        columns=columns,
        heads=heads,
        rows=tuple(_rows(raw, columns, sections, where)),
        paper=raw.get("paper", ""),
        sections=sections,
        protocol=raw.get("protocol", {}),
        stated=tuple(raw.get("stated", ())),
        notes=tuple(raw.get("notes", ())),
        joint="from" in raw,
    )


def _section(entry: Mapping[str, Any]) -> Section:
    return Section(**{**entry, "weights": tuple(entry.get("weights", ()))})


def _rows(
    raw: Mapping[str, Any], columns: tuple[str, ...], sections: tuple[Section, ...], where: str
) -> Iterator[Printed]:
    for section in sections:
        for entry in raw.get("rows", ()):
            cells = entry.get("cells", "")
            if isinstance(cells, Mapping):
                cells = cells.get(section.title, "")
            yield _row(raw, entry, cells, section, columns, where)


def _row(
    raw: Mapping[str, Any],
    entry: Mapping[str, Any],
    cells: str,
    section: Section,
    columns: tuple[str, ...],
    where: str,
) -> Printed:
    words, _, mean = (part.strip() for part in cells.partition("|"))
    marks = words.split() or ["-"] * len(columns)
    if len(marks) != len(columns):
        raise RecordError(
            f"{where}: row '{entry['method']}' {section.title} has {len(marks)} cells "
            f"for {len(columns)} columns; write '-' where nothing is printed, '?' where it is lost."
        )
    lost = [column for column, mark in zip(columns, marks, strict=True) if mark == "?"]
    return Printed(
        method=entry["method"],
        page=raw["name"],
        paper=f"{raw['paper']} {section.citation or raw['citation']}",
        section=section,
        metric=entry.get("metric", raw["metric"]),
        protocol={**raw.get("protocol", {}), **entry.get("protocol", {})},
        cells={c: _mark(m, where) for c, m in zip(columns, marks, strict=True)},
        mean=_mark(mean or "-", where),
        lost=(*lost, *(["mean"] if mean == "?" else [])),
        work=entry.get("work"),
        quotes=entry.get("quotes"),
        rerun=entry.get("rerun", False),
        model=entry.get("model"),
        restated=entry.get("restated", {}),
        notes=tuple(entry.get("notes", ())),
    )


def _mark(word: str, where: str) -> Mark:
    if word in {"-", "?"}:
        return None
    try:
        number(word)
    except ValueError:
        raise RecordError(f"{where}: '{word}' is not a number, '-' or '?'.") from None
    return word


def number(mark: str) -> float:
    """Return the value of a printed number, thousands separators allowed."""
    return float(mark.replace(",", ""))


def decimals(mark: str) -> int:
    """Return how many digits a printed number has after its point."""
    return len(mark.partition(".")[2])


def _gather(page: Page, names: list[str], tables: Mapping[str, str]) -> Page:
    absent = [name for name in names if name not in tables]
    parts = [load_page(name, tables) for name in names if name in tables]
    sections: dict[str, Section] = {}
    for part in parts:
        for section in part.sections:
            sections.setdefault(section.title, replace(section, citation=""))
    rows = [_in_columns(row, page.columns) for part in parts for row in part.rows]
    notes = [
        f"The plugin that offers {name} is not installed: its rows are absent." for name in absent
    ]
    footnotes = [f"{part.paper}: {note}" for part in parts for note in part.notes]
    return replace(
        page,
        rows=tuple(_once(rows)),
        sections=tuple(sections.values()) or page.sections,
        notes=(*page.notes, *footnotes, *notes),
    )


def _in_columns(row: Printed, columns: tuple[str, ...]) -> Printed:
    return replace(row, cells={column: row.cells.get(column) for column in columns})


def _once(rows: list[Printed]) -> Iterator[Printed]:
    """Yield each row once where two papers quote the same numbers of the same work."""
    first: dict[object, Printed] = {}
    for row in rows:
        printed = tuple(row.cells.values()), row.mean
        key = (row.section.title, row.work, printed) if row.quotes else id(row)
        if key not in first:
            first[key] = row
        else:
            first[key] = replace(first[key], also=f" and {row.paper} {row.quotes}")
    yield from first.values()
