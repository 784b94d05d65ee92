r"""A table as LaTeX: one ``table`` per block, for a document with booktabs and graphicx."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.results.best import MEAN
from harness.results.form import Row, Table
from harness.results.render import footnotes, has_means, rate, references, show

_ESCAPES: Final = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "→": r"$\to$",
}


def escape(text: str) -> str:
    """Return text with every character that LaTeX would read as a command written out."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def latex(table: Table) -> str:
    """Return the blocks of a table, each a float of its own; the table's notes below the first."""
    numbers = footnotes(table)
    blocks = [_float(table, block, rows, numbers) for block, rows in table.blocks().items()]
    return "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n" + "\n".join(blocks)


def _float(table: Table, block: str, rows: Sequence[Row], numbers: Mapping[str, int]) -> str:
    measured = any(row.seeds is not None for row in rows)
    mean, printed = has_means(rows)
    ends = [head for head, shown in (("Mean", mean), ("Printed", printed)) if shown]
    costs = ["Verdict", "Train/s", "Infer/s", "Device"] if measured else []
    aligns = "l" + "r" * (len(table.heads) + len(ends)) + ("lrrl" if measured else "")
    heads = " & ".join(escape(head) for head in ["Method", *table.heads, *ends, *costs])
    body = [_row(table, row, numbers, mean, printed, measured) for row in rows]
    used = {note: number for note, number in numbers.items() if any(note in r.notes for r in rows)}
    notes = [f"\\textsuperscript{{{number}}} {escape(note)}" for note, number in used.items()]
    notes += [escape(note) for note in table.notes if block == next(iter(table.blocks()))]
    return "\n".join(
        [
            r"\begin{table}[p]",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            f"\\caption{{{escape(table.title)}; {escape(block)}}}",
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            f"\\begin{{tabular}}{{{aligns}}}",
            r"\toprule",
            f"{heads} \\\\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *(f"\\par\\raggedright {note}" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def _row(
    table: Table, row: Row, numbers: Mapping[str, int], mean: bool, printed: bool, measured: bool
) -> str:
    def cell(column: str, number: float | None, digits: int = row.digits) -> str:
        text = "--" if number is None else show(number, digits)
        return f"\\textbf{{{text}}}" if column in row.bold else text

    refs = references(row, numbers)
    method = escape(row.method) if row.kind == "published" else f"\\emph{{{escape(row.method)}}}"
    fields = [method + (f"\\textsuperscript{{{refs}}}" if refs else "")]
    fields += [cell(column, row.cells[column]) for column in table.columns]
    fields += [cell(MEAN, row.mean, row.mean_digits)] if mean else []
    fields += [cell("", row.mean_printed)] if printed else []
    if measured:
        rates = rate(row.train_images_per_s), rate(row.inference_images_per_s)
        fields += [escape(text or "") for text in (row.verdict, *rates, row.device)]
    return " & ".join(fields) + r" \\"
