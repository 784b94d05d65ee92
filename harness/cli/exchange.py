"""``harness import`` and ``harness export``: rows from elsewhere, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.data.dataset import Dataset
    from harness.metrics.evaluated import Evaluated


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("import")(import_)
    app.command("export")(export)


def import_(
    predictions: Annotated[Path, typer.Argument(help="A csv: image names and a column a class.")],
    dataset: Annotated[str, typer.Option(help="The dataset they were made on.")],
    name: Annotated[str, typer.Option("--as", help="What the row is called.")],
    root: Annotated[Path | None, typer.Option(help="Where the dataset lies.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Another split than the official one, e.g. chexnet-random.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--data", help="An option of the dataset: key=value.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed they were trained with.")] = 0,
    results: Annotated[Path | None, typer.Option(help="Where records go.")] = None,
) -> None:
    """Make a row of predictions of the test split that were made elsewhere, scored the same way."""
    import sys

    from harness import provenance, settings
    from harness.cli.show import print_records
    from harness.data.opening import open_dataset
    from harness.errors import SettingError
    from harness.home import home
    from harness.home import results as default_results
    from harness.results import exchange
    from harness.results.records import folder_of, write_record
    from harness.results.rescore import metrics_of

    if not name.strip():
        raise SettingError("--as is empty: say what the row is called")
    chosen = {**settings.pairs(options or []), **({"split": split} if split else {})}
    opened = open_dataset(dataset, root, chosen)
    evaluated, were_logits = _evaluated(opened, predictions)
    about = _about(opened)
    record = exchange.imported_record(name, seed, about, metrics_of(evaluated))
    record |= {
        "resamples": evaluated.resamples,
        "versions": provenance.versions("cxr-harness"),
        "git": {},
        "command": provenance.command(),
        "notes": ["scores were logits"] if were_logits else [],
    }
    where, secret = results or default_results(), about["credentialed"]
    private = home() / "private" / folder_of(record) if secret else None
    arrays = evaluated.arrays(heavy=False)
    exchange.refuse_other_scores(private or where / folder_of(record), evaluated)
    folder = write_record(where, record, arrays, credentialed=secret, private=private)
    if were_logits:
        print("some scores lie outside [0, 1]: all were taken as logits", file=sys.stderr)
    for column in exchange.swapped(evaluated):
        print(
            f"warning: {column} has an AUROC below one half; is its column swapped?",
            file=sys.stderr,
        )
    print_records([{**record, "folder": str(folder)}])


def _evaluated(dataset: Dataset, predictions: Path) -> tuple[Evaluated, bool]:
    import numpy as np

    from harness.metrics.evaluated import Evaluated
    from harness.results.exchange import probabilities, read_predictions

    test = dataset.part("test")
    read = read_predictions(predictions, test.names.tolist(), dataset.space.classes)
    scores, were_logits = probabilities(read)
    columns = ("metadata", "follow_up", "sizes", "boxes", "box_classes")
    known: dict[str, Any] = {name: test.column(name) for name in columns}
    evaluated = Evaluated(
        names=test.names,
        patients=test.patients,
        classes=np.array(dataset.space.classes),
        targets=test.labels,
        scores=scores,
        **known,
    )
    return evaluated, were_logits


def _about(dataset: Dataset) -> dict[str, Any]:
    from harness.data.splits import fingerprint

    test = dataset.part("test")
    return {
        "name": dataset.name,
        "protocol": dataset.protocol,
        "fingerprints": {"train": "declared", "test": fingerprint(test.names.tolist())},
        "counts": {"test": len(test)},
        "policy": dict(dataset.policy),
        "phantom": None if dataset.phantom is None else dict(dataset.phantom),
        "credentialed": dataset.credentialed and dataset.phantom is None,
        "classes": list(dataset.space.classes),
    }


def export(
    run: Annotated[str, typer.Argument(help="A record's folder, run id or label.")],
    csv: Annotated[Path, typer.Option("--csv", help="The file to write.")],
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
) -> None:
    """Write the stored test predictions of a run as csv: what ``harness import`` reads."""
    from harness.errors import RecordError
    from harness.home import results as default_results
    from harness.metrics.evaluated import read_evaluated
    from harness.results.exchange import write_predictions
    from harness.results.records import read_record
    from harness.results.rescore import find_runs

    found = find_runs(results or default_results(), [run])
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        raise RecordError(f"{run!r} names several records; choose one folder of {names}")
    if read_record(found[0])["dataset"]["credentialed"]:
        raise RecordError(
            "the per-image scores of credentialed data are not exported: their licence forbids it"
        )
    write_predictions(csv, read_evaluated(found[0]))
    print(csv)
