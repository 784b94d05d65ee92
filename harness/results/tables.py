"""Tables as they are shown: printed rows and measured rows in one form for every output.

``harness.results.pages`` documents the toml files that declare them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.metrics.verdict import Pooled, Verdict
from harness.results import blocks, comparison
from harness.results.best import mark_best
from harness.results.counts import count_rows
from harness.results.facts import SIGNATURE_NOTE
from harness.results.form import Row, Table
from harness.results.measured import Runs, Scores, group, matches
from harness.results.pages import Page, Printed, decimals, number
from harness.results.paired import Predictions
from harness.results.schema import Record

__all__ = ["Row", "Table", "build"]

TESTED = (
    "Bold is, of measured rows, what no paired test over patients and seeds tells from the best; "
    "rows of one seed, or without predictions here, are held against it by their intervals."
)
UNTESTED = "Bold is, of measured rows, the largest and what its interval cannot tell from it."
PRINTED = "Bold is, of printed rows, the largest number of those that can be compared."


def build(page: Page, records: Sequence[Record], root: Path | None = None) -> Table:
    """Join a page with the records that belong to it.

    With the ``root`` that they lie in, measured rows are compared with the best of their block on
    their stored predictions; without it, by their intervals.
    """
    runs = group(record for record in records if _belongs(page, record))
    usual = blocks.usual_lists(page, runs)
    rows = list(count_rows(page, records) if page.metric == "counts" else _rows(page, runs, usual))
    order = {name: i for i, name in enumerate(dict.fromkeys(row.block for row in rows))}
    rows.sort(key=lambda row: order[row.block])
    predictions = Predictions(root, records) if root and _testable(page) else None
    reasons = [note for words, note in blocks.NOTES.items() if any(words in b for b in order)]
    if page.metric not in {"counts", "quoted"}:
        rows = mark_best(rows, page.columns, predictions)
        marked = {row.kind == "published" for row in rows if row.bold}
        reasons += [PRINTED] if True in marked else []
        reasons += [TESTED if predictions else UNTESTED] if False in marked else []
    return Table(
        name=page.name,
        title=page.title,
        columns=page.columns,
        rows=tuple(rows),
        heads=page.heads,
        notes=(*page.notes, *reasons),
    )


def _testable(page: Page) -> bool:
    """Whether a page is of image-level AUROC, each mean that of its own columns."""
    metrics = {page.metric, *(row.metric for row in page.rows)}
    return metrics == {"auroc"} and not any(section.weights for section in page.sections)


def _belongs(page: Page, record: Record) -> bool:
    dataset = record["dataset"]
    drawn = dataset["phantom"] is not None and set(page.columns) <= set(dataset["classes"])
    if dataset["name"] != page.dataset and not drawn:
        return False
    return page.joint or any(row.model and matches(row.model, record) for row in page.rows)


def _rows(page: Page, runs: Sequence[Runs], usual: blocks.Lists | None) -> Iterator[Row]:
    """Yield the rows of each grid: a printed row, then what regenerates it; then all other runs."""
    grids: dict[tuple[str, str, str], list[Printed]] = {}
    for row in page.rows:
        grids.setdefault((row.section.title, row.metric, row.boxes), []).append(row)
    order = [section.title for section in page.sections]
    for _, printed in sorted(grids.items(), key=lambda grid: order.index(grid[0][0])):
        yield from _grid(page, printed, runs, usual)


def _grid(
    page: Page, printed: Sequence[Printed], runs: Sequence[Runs], usual: blocks.Lists | None
) -> Iterator[Row]:
    first = printed[0]
    found = [
        (each, each.scores(first.metric, first.boxes, first.section, page.columns)) for each in runs
    ]
    scored = [(each, scores) for each, scores in found if scores is not None]
    of: dict[int, Printed | None] = {
        id(each): next((r for r in printed if r.model and matches(r.model, each.first)), None)
        for each, _ in scored
    }
    for row in [*printed, None]:
        regenerated = [(each, scores) for each, scores in scored if of[id(each)] is row]
        full = [each for each, _ in regenerated if not blocks.apart(page, each, usual)]
        if row is not None and (row.chain != "added" or not full):
            yield _printed_row(page, row, bool(full))
        for each, scores in regenerated:
            measured = _measured_row(page, each, scores)
            block = blocks.measured_block(page, first, each, usual)
            if row is not None:
                spread = comparison.spread_of(each, scored)
                measured = _judged(measured, page, row, each, scores, spread)
            yield replace(measured, block=block, paper=row.paper if row else "")


def _printed_row(page: Page, row: Printed, measured: bool) -> Row:
    k = comparison.printed_signature(page, row)
    notes = list(row.notes)
    if row.lost:
        notes.append(f"Lost in the text at hand: {', '.join(row.lost)}.")
    verdict = None if measured or row.model is None else "not run"
    if comparison.flagged(page, row):
        notes.append(f"{SIGNATURE_NOTE.capitalize()}.")
        verdict = "not comparable (signature)"
    marks = [mark for mark in (*row.cells.values(), row.mean) if mark]
    return Row(
        method=row.method,
        source=row.source,
        kind="measured" if row.chain == "added" else "published",
        cells=comparison.values(row),
        mean_printed=number(row.mean) if row.mean else None,
        mean=comparison.recomputed_mean(row),
        verdict=verdict,
        notes=tuple(notes),
        block=blocks.printed_block(page, row),
        chain=row.chain,
        paper=row.paper,
        signature=k,
        digits=min(4, max((decimals(mark) for mark in marks), default=4)),
    )


def _measured_row(page: Page, runs: Runs, scores: Scores) -> Row:
    record = runs.first
    undefined = [column for column, value in scores.cells.items() if value is None]
    notes = [f"Undefined: {', '.join(undefined)}."] if undefined else []
    if len(runs.records) > len(runs.seeds):
        notes.append(
            f"{len(runs.records)} runs of {len(runs.seeds)} seeds; each seed's are averaged."
        )
    if record["kind"] == "imported":
        notes.append("Predictions made elsewhere; the training split is declared, not known.")
    nih = (page.dataset, page.metric) == ("nih", "auroc")
    return Row(
        method=record["label"],
        source="imported predictions" if record["kind"] == "imported" else "this harness",
        kind="imported" if record["kind"] == "imported" else "measured",
        cells=scores.cells,
        mean_printed=None,
        mean=scores.mean,
        verdict=None,
        notes=tuple(notes),
        block="",
        chain=record["kind"],
        interval=scores.interval,
        cell_intervals=scores.intervals,
        seeds=len(runs.seeds),
        deviation=scores.deviation,
        train_images_per_s=runs.throughput("train_images_per_s"),
        inference_images_per_s=runs.throughput("inference_images_per_s"),
        device=record["device"].get("name", record["device"].get("kind")),
        signature=comparison.signature_of(scores.cells) if nih else None,
        records=tuple(str(each.get("folder", each["id"])) for each in runs.records),
    )


def _judged(
    row: Row, page: Page, printed: Printed, runs: Runs, scores: Scores, spread: Pooled
) -> Row:
    """Return a measured row with its verdict against the printed row that it regenerates."""
    found = comparison.compare(page, printed, runs, scores, spread)
    if found is None:
        return row
    if found.kind == "not comparable":
        return replace(row, verdict=_words(found))
    near = comparison.inside_text(printed, scores.cells)
    notes = (*row.notes, *([near] if near else []))
    return replace(row, verdict=_words(found), difference=found.difference, notes=notes)


def _words(found: Verdict) -> str:
    return f"{found.kind} ({found.reason})" if found.reason else found.kind
