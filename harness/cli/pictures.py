"""``harness pictures RUN``: what a trained model saw, and its ROC curves, as PNG files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.data.store import Rows


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("pictures")(pictures)


def pictures(
    run: Annotated[str, typer.Argument(help="A run id, label, method or record folder.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where they go; by default HARNESS_HOME.")
    ] = None,
    images: Annotated[int, typer.Option(min=0, max=64, help="How many test images.")] = 8,
    names: Annotated[str, typer.Option(help="These test images instead: A,B.")] = "",
    root: Annotated[Path | None, typer.Option(help="Where the run's dataset lies.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--data", help="An option of the dataset, by default those of the run."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Draw the figures of a paper from a finished run: ROC curves, and test images as it saw them.

    The images are those with boxes, spread over the classes and chosen by their names alone.
    Imported rows have ROC curves only.
    """
    from harness.cli.again import test_rows
    from harness.data.opening import dataset_of
    from harness.home import results as default_results
    from harness.pictures.choice import choose, named
    from harness.pictures.figure import write_figure
    from harness.pictures.roc import roc_figure
    from harness.results.rescore import find_runs, stored

    where = results or default_results()
    folders = find_runs(where, [run])
    for folder in folders:
        record, evaluated = stored(folder)
        target = _target(record, where, out)
        target = target / folder.name if out and len(folders) > 1 else target
        title = f"{record['label']} on {record['dataset']['name']}, seed {record['seed']}"
        write_figure(target / "roc.png", roc_figure(evaluated, title))
        written = 1
        if record["kind"] != "imported" and (images or names):
            dataset = dataset_of(record, root, options or [])
            rows = test_rows(record, dataset, evaluated.names.tolist())
            test = dataset.samples.take(rows)
            picked = named(test, names.split(",")) if names else choose(test, images)
            written += _draw(folder, dataset, rows, picked, target, device)
        secret = record["dataset"]["credentialed"]
        note = " (of credentialed data: they have to stay in this private folder)" if secret else ""
        print(f"{written} pictures in {target}{note}")


def _target(record: Mapping[str, Any], results: Path, out: Path | None) -> Path:
    """Return the folder of a run's pictures; those of credentialed data have one place only.

    Raises:
        RecordError: credentialed pictures would come to lie elsewhere.
    """
    from harness.errors import RecordError
    from harness.home import home
    from harness.results.records import folder_of

    if not record["dataset"]["credentialed"]:
        return out or home() / "pictures" / folder_of(record)
    private = home() / "private" / folder_of(record) / "pictures"
    if out is not None and not out.resolve().is_relative_to((home() / "private").resolve()):
        raise RecordError(
            f"pictures of credentialed data are written to {private} only: leave out -o"
        )
    if private.resolve().is_relative_to(results.resolve()):
        raise RecordError(f"{private} lies inside {results}: credentialed pictures must not")
    return out or private


def _draw(
    folder: Path,
    dataset: Dataset,
    rows: Rows,
    picked: Rows,
    target: Path,
    device: str,
) -> int:
    """Let the trained model draw some of its test rows; return how many pictures it made.

    Batches know the place of an image in the whole test split, as they do when it is scored.
    """
    from harness.data.store import prepare
    from harness.engine.evaluate import evaluating
    from harness.engine.predicting import open_trained
    from harness.pictures.figure import write_figure

    trained = open_trained(folder, device)
    model, compute = trained.model, trained.compute
    test = prepare(dataset, model.view, rows[picked]).attach(dataset.samples, rows)
    batch = test.batch(picked, inputs_only=True).to(compute.device).floats()
    written = 0
    with evaluating(model), compute.autocast():
        for name, figure in model.pictures(batch, test.take(picked)):
            plain = re.sub(r"[^\w.+-]+", "-", name)
            write_figure(target / f"{plain}.png", figure)
            written += 1
    return written
