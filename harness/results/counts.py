"""Tables of a data set's counts: printed beside what the user's own copy holds."""

from collections.abc import Iterator, Mapping, Sequence

from harness.results.comparison import values
from harness.results.form import Row
from harness.results.pages import Page, Printed
from harness.results.schema import Record


def count_rows(page: Page, records: Sequence[Record]) -> Iterator[Row]:
    """Yield each printed row and, below it, the same counts of the user's copy.

    They come from the first record of the data set whose ``dataset.counts`` has an entry with
    the row's name: ``{"Hernia": {"train": 141, "test": 86, "box": 0}}``.
    """
    datasets = [each["dataset"] for each in records if each["dataset"]["name"] == page.dataset]
    for row in page.rows:
        printed = values(row)
        yield Row(
            method=row.method,
            source=row.source,
            kind="published",
            cells=printed,
            mean_printed=None,
            mean=None,
            verdict=None,
            notes=row.notes,
            block="printed beside counted",
            chain=row.chain,
            digits=0,
        )
        for dataset in datasets:
            counted = dataset["counts"].get(row.method)
            if isinstance(counted, dict) and set(page.columns) <= set(counted):
                yield _counted(page, row, printed, dataset["phantom"] is None, counted)
                break


def _counted(
    page: Page,
    row: Printed,
    printed: Mapping[str, float | None],
    real: bool,
    counted: Mapping[str, float],
) -> Row:
    cells: dict[str, float | None] = {column: counted[column] for column in page.columns}
    return Row(
        method=row.method,
        source="this copy of the data set",
        kind="measured",
        cells=cells,
        mean_printed=None,
        mean=None,
        verdict=("match" if cells == printed else "differs") if real else None,
        notes=(),
        block="printed beside counted" if real else "phantom data",
        chain="measured",
        digits=0,
    )
