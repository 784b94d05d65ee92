"""``harness predict RUN IMAGE...``: what a trained model says of one's own images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.engine.predicting import Trained
    from harness.engine.reading import Reading

    Found = tuple[NDArray[np.uint8], Reading]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("predict")(predict)


def predict(
    run: Annotated[str, typer.Argument(help="A measured row: run id, label, method or folder.")],
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or DICOM files.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where pictures go; ./predictions/RUN.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which seed, where there are several.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many findings are shown.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    results: Annotated[Path | None, typer.Option(help="Where records lie.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what a trained model finds in images of your own, and where; for research only.

    An image that cannot be read is named and left out; the others are done, the exit code is 1.
    """
    from harness.engine.predicting import find_trained, open_trained
    from harness.home import results as default_results
    from harness.pictures.prediction import NOTICE

    folder = find_trained(results or default_results(), run, seed)
    trained = open_trained(folder, device)
    places = _places(images, out or Path("predictions", folder.resolve().name))
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    if not as_json:
        print(f"{NOTICE}.\n{_about(trained)}")
    for path, place, found in _predicted(trained, images, places, top):
        if isinstance(found, str):
            failed.append({"file": str(path), "error": found})
            print(f"error: {found}", file=sys.stderr, flush=True)
            continue
        entry = _entry(path, found, _draw(place, found, trained))
        done.append(entry)
        if not as_json:
            _print(entry)
    if as_json:
        report = {"notice": NOTICE, "run": _run(trained), "images": done, "failed": failed}
        print(json.dumps(report, indent=1, allow_nan=False))
    if failed:
        raise typer.Exit(1)


def _predicted(
    trained: Trained, images: Sequence[Path], places: Sequence[Path], top: int
) -> Iterator[tuple[Path, Path, Found | str]]:
    """Yield each file with what is found in it, or why it cannot be read, a batch at a time."""
    from harness.data.dicom import read_radiograph
    from harness.engine.predicting import predict_images
    from harness.engine.reading import read
    from harness.errors import DataError

    batch = trained.compute.eval_batch
    for start in range(0, len(images), batch):
        read_here = []
        for path, place in zip(images[start : start + batch], places[start:], strict=False):
            try:
                read_here.append((path, place, read_radiograph(path)))
            except DataError as error:
                yield path, place, str(error)
        if read_here:
            said = predict_images(
                trained, [str(p) for p, _, _ in read_here], [x for *_, x in read_here]
            )
            for row, (path, place, pixels) in enumerate(read_here):
                yield path, place, (pixels, read(said, row, pixels.shape, trained.space, top))


def _places(images: Sequence[Path], folder: Path) -> list[Path]:
    """Return where the picture of each image goes: never over another, nor over an image."""
    taken = {path.resolve() for path in images}
    places = []
    for path in images:
        names = (f"{path.stem}{f'-{k}' if k else ''}.png" for k in range(len(taken) + len(images)))
        place = next(folder / name for name in names if (folder / name).resolve() not in taken)
        taken.add(place.resolve())
        places.append(place)
    return places


def _draw(place: Path, found: Found, trained: Trained) -> Path | None:
    """Write the picture of what is found; None where the model says nothing of places."""
    from harness.pictures.overlay import write_png
    from harness.pictures.prediction import prediction_picture

    pixels, reading = found
    boxes, lines = _captions(reading)
    if reading.heat is None and not boxes:
        return None
    write_png(place, prediction_picture(pixels, reading.heat, boxes, [*lines, _about(trained)]))
    return place


def _captions(reading: Reading) -> tuple[list[tuple[list[float], str]], list[str]]:
    """Return the boxes of a picture with their texts, and the lines that explain them."""
    from harness.engine.reading import PROTOCOL

    if reading.heat is not None:
        first = reading.findings[0]
        text = f"{first.finding} {first.score:.2f}"
        line = f"heat map of {first.finding}, score {first.score:.3f}; boxes: {PROTOCOL}"
        return [(box, text) for box in first.boxes], [line]
    boxes: dict[str, list[float]] = {}
    said: dict[str, list[str]] = {}
    for f in reading.findings:
        if f.region is not None:
            boxes[f.region] = f.boxes[0]
            said.setdefault(f.region, []).append(f"{f.finding} {f.score:.3f}")
    numbered = enumerate(said.items(), start=1)
    return (
        [(box, str(number)) for number, box in enumerate(boxes.values(), start=1)],
        [f"{number}: {region}: {', '.join(texts)}" for number, (region, texts) in numbered],
    )


def _entry(path: Path, found: Found, picture: Path | None) -> dict[str, Any]:
    """Return one image as JSON has it."""
    from dataclasses import asdict

    pixels, reading = found
    height, width = pixels.shape
    return {
        "file": str(path),
        "height": height,
        "width": width,
        "scores": reading.scores,
        "findings": [asdict(finding) for finding in reading.findings],
        "regions": [asdict(region) for region in reading.regions],
        "picture": str(picture) if picture else None,
    }


def _run(trained: Trained) -> dict[str, Any]:
    """Return the run as JSON has it."""
    from harness.engine.reading import PROTOCOL

    record = trained.record
    return {
        **{key: record[key] for key in ("id", "seed", "label", "method", "budget", "tta")},
        "dataset": record["dataset"]["name"],
        "phantom": record["dataset"]["phantom"] is not None,
        "weights": dict(trained.weights),
        "device": trained.compute.device.type,
        "precision": trained.compute.precision,
        "boxes": PROTOCOL,
    }


def _about(trained: Trained) -> str:
    from harness.cli.show import describe_data

    record = trained.record
    return (
        f"{record['label']}, run {record['id']}, seed {record['seed']}, "
        f"trained on {describe_data(record)}"
    )


def _print(entry: dict[str, Any]) -> None:
    """Print the findings of one image as a table."""
    from tabulate import tabulate

    print(f"\n{entry['file']} ({entry['width']} x {entry['height']})")
    regions = bool(entry["regions"])
    heads = ("finding", *["region"] * regions, "score", "boxes")
    rows = [
        (
            f["finding"],
            *[f["region"]] * regions,
            f"{f['score']:.3f}",
            "; ".join(map(_box, f["boxes"])),
        )
        for f in entry["findings"]
    ]
    print(tabulate(rows, heads, disable_numparse=True))
    if entry["picture"]:
        print(f"picture: {entry['picture']}")


def _box(box: Sequence[float]) -> str:
    return " ".join(f"{side:.0f}" for side in box)
