"""A table on a terminal: one grid per block, split by columns where the terminal is narrow."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from harness.results.audit import Finding
from harness.results.best import MEAN
from harness.results.form import Row, Table
from harness.results.render import MARKS, footnotes, has_means, mean_text, rate, references, show

METHOD_WIDTH: Final = 25
WIDE: Final = 110
SIGNS: Final[Mapping[str, str]] = {
    "match": "=",
    "higher": "↑",
    "lower": "↓",
    "inconclusive": "?",
    "not comparable": "≠",
    "not run": "·",
    "differs": "!",
}
"""One sign per verdict; the reasons stand in the notes and below the grid."""

LEVELS: Final[Mapping[str, tuple[str, str]]] = {
    "error": ("x", "bold red"),
    "warning": ("!", "yellow"),
    "info": ("-", "dim"),
}


def text(table: Table, width: int | None = None) -> str:
    """Return the table as coloured or plain text, as standard output allows."""
    console = Console(width=width)
    with console.capture() as capture:
        console.print(draw(table, console.width))
    return capture.get()


def draw(table: Table, width: int) -> RenderableType:
    """Return what rich prints for a table on ``width`` columns."""
    numbers = footnotes(table)
    parts: list[RenderableType] = [Text(table.title, "bold")]
    for block, rows in table.blocks().items():
        parts += [
            "",
            Text(f"── {block} ".ljust(width, "─"), "dim" if len(table.blocks()) == 1 else ""),
        ]
        parts += _grids(table, rows, numbers, width)
        parts += _costs(rows) if width >= WIDE else _costs_below(rows)
    return Group(*parts, "", *_legend(table, numbers))


def _grids(
    table: Table, rows: Sequence[Row], numbers: Mapping[str, int], width: int
) -> Iterator[Grid]:
    """Yield the block's grid, or several that share its columns evenly where it is too wide."""
    digits = max((row.digits for row in rows), default=4)
    heads = dict(zip(table.columns, table.heads, strict=True))
    for places in (digits, min(digits, 3)):
        wide = {
            c: max(len(heads[c]), *(len(show(r.cells[c], places)) for r in rows)) for c in heads
        }
        pieces = _pieces(wide, width - _fixed(rows))
        if len(pieces) == 1:
            break
    for index, columns in enumerate(pieces):
        yield _grid(rows, {c: heads[c] for c in columns}, numbers, places, means=index == 0)


def _fixed(rows: Sequence[Row]) -> int:
    """Width of everything but the classes."""
    method = min(METHOD_WIDTH, max(len(row.method) + 3 for row in rows))
    return method + 4 + 6 * sum(has_means(rows)) + 2


def _pieces(wide: Mapping[str, int], room: int) -> list[list[str]]:
    """Split columns into as few runs of about equal length as fit the room."""
    columns = list(wide)
    if not columns:
        return [[]]
    for count in range(1, len(columns) + 1):
        size = ceil(len(columns) / count)
        found = [columns[i : i + size] for i in range(0, len(columns), size)]
        if all(sum(wide[c] + 1 for c in piece) <= room for piece in found):
            return found
    return [[column] for column in columns]


def _grid(
    rows: Sequence[Row],
    heads: Mapping[str, str],
    numbers: Mapping[str, int],
    digits: int,
    *,
    means: bool,
) -> Grid:
    grid = Grid(box=None, padding=(0, 1, 0, 0), collapse_padding=True, header_style="bold")
    grid.add_column("")
    grid.add_column("Method", max_width=METHOD_WIDTH)
    grid.add_column("")
    mean, printed = has_means(rows) if means else (False, False)
    for head, shown in (("Mean", mean), ("Prtd", printed)):
        if shown:
            grid.add_column(head, justify="right", no_wrap=True)
    for head in heads.values():
        grid.add_column(head, justify="right", no_wrap=True)
    several = len({row.paper for row in rows}) > 1
    for before, row in zip([None, *rows], rows, strict=False):
        if several and (before is None or before.paper != row.paper):
            grid.add_row("", Text(row.paper or "without a printed row", "italic dim"))
        cells = [
            _number(row, column, row.cells[column], min(row.digits, digits)) for column in heads
        ]
        own = [_number(row, MEAN, row.mean, row.mean_digits)] if mean else []
        own += [Text(show(row.mean_printed, row.digits), "dim")] if printed else []
        refs = references(row, numbers)
        method = Text.assemble(row.method, (f" {refs}" if refs else "", "dim"))
        sign = SIGNS.get((row.verdict or "").split(" (")[0], "")
        grid.add_row(MARKS[row.chain][0], method, sign, *own, *cells, style=_style(row))
    return grid


def _number(row: Row, column: str, number: float | None, digits: int) -> Text:
    return Text(show(number, digits), "bold underline" if column in row.bold else "")


def _style(row: Row) -> str:
    if row.kind == "published":
        return ""
    return "dim" if row.chain == "added" else "cyan"


def _costs(rows: Sequence[Row]) -> list[RenderableType]:
    """Return what a measured row has beside its cells: seeds, interval, throughput, verdict."""
    runs = [row for row in rows if row.seeds is not None]
    if not runs:
        return []
    grid = Grid(box=None, padding=(0, 1, 0, 0), header_style="bold", style="cyan")
    for head in (
        "measured",
        "seeds",
        "mean [95 %]",
        "sd",
        "train/s",
        "infer/s",
        "device",
        "verdict",
    ):
        right = head in {"seeds", "sd", "train/s", "infer/s"}
        grid.add_column(head, justify="right" if right else "left", no_wrap=head == "mean [95 %]")
    for row in runs:
        rates = rate(row.train_images_per_s) or "-", rate(row.inference_images_per_s) or "-"
        ends = row.device or "-", _verdict(row)
        cells = row.method, str(row.seeds), mean_text(row), show(row.deviation, 4), *rates, *ends
        grid.add_row(*map(Text, cells))  # as text: brackets in a label are no markup
    return ["", grid]


def _costs_below(rows: Sequence[Row]) -> list[RenderableType]:
    """Return the same as two or three short lines a row, for a narrow terminal."""
    lines: list[RenderableType] = []
    for row in (row for row in rows if row.seeds is not None):
        seeds = f"{row.seeds} seed{'s' if row.seeds != 1 else ''}, sd {show(row.deviation, 4)}"
        rates = rate(row.train_images_per_s) or "-", rate(row.inference_images_per_s) or "-"
        lines += [
            "",
            Text(f"{MARKS[row.chain][0]} {row.method}: {mean_text(row)}, {seeds}", "cyan"),
            Text(f"  train {rates[0]}/s, infer {rates[1]}/s, {row.device or '-'}", "cyan"),
            Text(f"  {_verdict(row)}", "cyan"),
        ]
    return lines


def _verdict(row: Row) -> str:
    if row.difference is None:
        return row.verdict or "no printed row"
    return f"{row.verdict}, {row.difference:+.4f}"


def _legend(table: Table, numbers: Mapping[str, int]) -> Iterator[Text]:
    chains = dict.fromkeys(row.chain for row in table.rows)
    verdicts = {(row.verdict or "").split(" (")[0] for row in table.rows}
    signs = [f"{sign} {word}" for word, sign in SIGNS.items() if word in verdicts]
    yield Text("  ".join([f"{MARKS[c][0]} {MARKS[c][1]}" for c in chains] + signs), "dim")
    if any(row.mean_printed for row in table.rows):
        yield Text("Mean is recomputed from the cells, Prtd is the paper's own.", "dim")
    for note, number in numbers.items():
        yield Text(f"{number} {note}", "dim")
    for note in table.notes:
        yield Text(f"* {note}", "dim")


def draw_findings(findings: Sequence[Finding]) -> RenderableType:
    """Return what rich prints for the findings of an audit, table by table, worst first."""
    lines: list[RenderableType] = []
    for table in dict.fromkeys(finding.table for finding in findings):
        lines += [*([""] if lines else []), Text(table, "bold")]
        found = [finding for finding in findings if finding.table == table]
        for finding in sorted(found, key=lambda each: tuple(LEVELS).index(each.level)):
            sign, style = LEVELS[finding.level]
            row = f"{finding.row}: " if finding.row else ""
            lines.append(
                Padding(Text.assemble((f"{sign} ", style), row, finding.message), (0, 0, 0, 2))
            )
    counts = {level: sum(finding.level == level for finding in findings) for level in LEVELS}
    words = ", ".join(f"{count} {LEVELS[level][0]} {level}" for level, count in counts.items())
    return Group(*lines, "", Text(words, "dim"))
