"""Write a table as markdown, LaTeX, csv, HTML or JSON text; ``terminal`` draws it with rich."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.errors import SettingError
from harness.results.best import MEAN
from harness.results.form import Row, Table

MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "quoted": ("q", "quoted by the paper"),
    "own": ("p", "the paper's own"),
    "re-run": ("r", "re-run by the paper"),
    "added": ("-", "not printed"),
    "measured": ("M", "measured here"),
    "imported": ("I", "imported predictions"),
}
"""A letter and its meaning for where a row comes from."""


def render(table: Table, format: str) -> str:
    """Return the table as text in one of ``FORMATS``."""
    if format not in FORMATS:
        raise SettingError(f"No table format is called '{format}'. Formats: {', '.join(FORMATS)}.")
    return FORMATS[format](table)


def show(number: float | None, digits: int) -> str:
    """Write a number as papers do: ``.815``, a dash where there is none, ``1,703`` for counts."""
    if number is None:
        return "-"
    text = f"{number:,.{digits}f}"
    return text.removeprefix("0") if 0 <= number < 1 and digits else text


def footnotes(table: Table) -> dict[str, int]:
    """Give each text among the notes of the rows its number, in the order they come."""
    texts = dict.fromkeys(note for row in table.rows for note in row.notes)
    return {text: number for number, text in enumerate(texts, 1)}


def references(row: Row, numbers: Mapping[str, int]) -> str:
    """Return the footnote numbers of a row, ``1,3``."""
    return ",".join(str(numbers[note]) for note in row.notes)


def mean_text(row: Row) -> str:
    """Return mean and interval of a row, ``.7938 [.7890, .7990]``."""
    found = show(row.mean, row.digits)
    if row.interval is None:
        return found
    return f"{found} [{show(row.interval[0], row.digits)}, {show(row.interval[1], row.digits)}]"


def has_means(rows: Sequence[Row]) -> tuple[bool, bool]:
    """Whether any row has a mean, and whether any has a printed mean."""
    return any(row.mean is not None for row in rows), any(row.mean_printed for row in rows)


def _markdown(table: Table) -> str:
    from tabulate import tabulate

    numbers = footnotes(table)
    lines = [f"# {table.title}", ""]
    for block, rows in table.blocks().items():
        ends = ["Verdict", "Train/s", "Infer/s", "Device", "Source"]
        heads = ["Method", *table.heads, "Mean", "Printed", *ends]
        body = [_markdown_row(table, row, numbers) for row in rows]
        align = [
            "left",
            *["right"] * (len(table.heads) + 2),
            "left",
            "right",
            "right",
            "left",
            "left",
        ]
        lines += [f"## {block}", ""]
        lines += [tabulate(body, heads, "pipe", disable_numparse=True, colalign=align), ""]
    lines += [f"- {note}" for note in table.notes]
    lines += [f"- <sup>{number}</sup> {note}" for note, number in numbers.items()]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_row(table: Table, row: Row, numbers: Mapping[str, int]) -> list[str]:
    def cell(column: str, number: float | None, digits: int = row.digits) -> str:
        text = show(number, digits)
        return f"**{text}**" if column in row.bold else text

    refs = references(row, numbers)
    method = row.method if row.kind == "published" else f"*{row.method}* ({row.chain})"
    return [
        method.replace("|", "\\|") + (f"<sup>{refs}</sup>" if refs else ""),
        *(cell(column, row.cells[column]) for column in table.columns),
        cell(MEAN, row.mean, row.mean_digits),
        show(row.mean_printed, row.digits),
        row.verdict or "",
        rate(row.train_images_per_s),
        rate(row.inference_images_per_s),
        row.device or "",
        row.source,
    ]


def rate(images: float | None) -> str:
    """Write images per second, an empty string where they are unknown."""
    return "" if images is None else f"{images:,.0f}" if images >= 10 else f"{images:.1f}"


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    means = ["mean", "mean_printed", "mean_low", "mean_high", "seeds", "deviation", "difference"]
    costs = ["train_images_per_s", "inference_images_per_s", "device", "signature"]
    ends = ["source", "notes"]
    writer.writerow(["block", "method", "kind", *table.columns, *means, "verdict", *costs, *ends])
    for row in table.rows:
        low, high = row.interval or (None, None)
        writer.writerow(
            [
                *(row.block, row.method, row.kind),
                *(row.cells[column] for column in table.columns),
                *(row.mean, row.mean_printed, low, high, row.seeds, row.deviation),
                *(row.difference, row.verdict),
                *(row.train_images_per_s, row.inference_images_per_s, row.device, row.signature),
                *(row.source, " ".join(row.notes)),
            ]
        )
    return out.getvalue()


def _json(table: Table) -> str:
    return json.dumps(table.as_json(), indent=2, allow_nan=False) + "\n"


def _html(table: Table) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("harness.results"), autoescape=True, trim_blocks=True
    )
    environment.globals.update(show=show, rate=rate, references=references)
    heads = list(zip(table.columns, table.heads, strict=True))
    template = environment.get_template("table.html")
    return template.render(table=table, heads=heads, numbers=footnotes(table), marks=MARKS)


def _latex(table: Table) -> str:
    from harness.results.latex import latex

    return latex(table)


def _terminal(table: Table) -> str:
    from harness.results.terminal import text

    return text(table)


FORMATS: Final[Mapping[str, Callable[[Table], str]]] = {
    "terminal": _terminal,
    "md": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
    "json": _json,
}
