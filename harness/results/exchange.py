"""Rows from elsewhere: predictions made by others become records, and records become csv files."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.files import write_atomically
from harness.metrics.auroc import auroc
from harness.metrics.evaluated import Evaluated

Array = NDArray[Any]
_NAME_COLUMNS = ("image", "image index", "name", "path", "id", "")


def read_predictions(path: Path, names: Sequence[str], classes: Sequence[str]) -> Array:
    """Return the scores (N, C) float64 that a csv gives to exactly these images and classes.

    One column has image names (the first of image, Image Index, name, path, id, or without a head);
    folders in front of a name do not count unless the split's own names have them. Columns are
    found by class name, whatever the case and blanks or underscores; other columns are not read.

    Raises:
        RecordError: images are missing, unknown or doubled, a class has no column, or a value is no
            number; the message says which.
    """
    head, rows = _read(path)
    key = _name_column(path, head)
    columns = [_class_column(path, head, name) for name in classes]
    wanted = set(names)
    found: dict[str, Array] = {}
    for line, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise RecordError(f"{path}, line {line}: {len(row)} fields, the head has {len(head)}")
        name = _image(row[key], wanted)
        if name in found:
            raise RecordError(f"{path}, line {line}: {name} comes twice")
        found[name] = _numbers(path, line, [row[c] for c in columns], classes)
    _same_images(path, set(found), names)
    return np.stack([found[name] for name in names])


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path} cannot be read as csv: {error}") from error
    if len(lines) < 2:
        raise RecordError(f"{path} has no predictions: a head and one row an image are needed")
    return lines[0], lines[1:]


def _name_column(path: Path, head: list[str]) -> int:
    lowered = [name.strip().lower() for name in head]
    for wanted in _NAME_COLUMNS:
        if wanted in lowered:
            return lowered.index(wanted)
    raise RecordError(f"{path} has no column of image names: call one of its columns 'image'")


def _image(text: str, wanted: set[str]) -> str:
    """Return the image's name, without folders unless the dataset's own names have them."""
    return text if text in wanted else text.rpartition("/")[2].rpartition("\\")[2]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^prob_", "", name.strip().lower()))


def _class_column(path: Path, head: list[str], name: str) -> int:
    fits = [c for c, column in enumerate(head) if _plain(column) == _plain(name)]
    if len(fits) != 1:
        how = "no column" if not fits else f"{len(fits)} columns"
        raise RecordError(f"{path} has {how} for the class {name!r}; it has {', '.join(head)}")
    return fits[0]


def _numbers(path: Path, line: int, texts: list[str], classes: Sequence[str]) -> Array:
    for text, name in zip(texts, classes, strict=True):
        if not text.strip():
            raise RecordError(
                f"{path}, line {line}: the cell of {name} is empty; every image needs a score of "
                "every class"
            )
    try:
        values = np.array([float(text) for text in texts])
    except ValueError as error:
        raise RecordError(f"{path}, line {line}: {error}") from error
    for value, name in zip(values, classes, strict=True):
        if not np.isfinite(value):
            raise RecordError(f"{path}, line {line}: the score of {name} is {value}")
    return values


def _same_images(path: Path, found: set[str], names: Sequence[str]) -> None:
    wanted = set(names)
    missing, unknown = sorted(wanted - found), sorted(found - wanted)
    if not missing and not unknown:
        return
    parts = []
    if missing:
        parts.append(f"{len(missing):,} images of the split are missing, e.g. {_some(missing)}")
    if unknown:
        parts.append(f"{len(unknown):,} are not in it, e.g. {_some(unknown)}")
    raise RecordError(
        f"{path}: {'; '.join(parts)} ({len(wanted):,} in the split, {len(found):,} in the file). "
        "Is it another split? Name it: --split, e.g. chexnet-random"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3])


def probabilities(scores: Array) -> tuple[Array, bool]:
    """Return scores as probabilities, and whether they were logits (some outside [0, 1])."""
    if (scores >= 0).all() and (scores <= 1).all():
        return scores, False
    return np.exp(-np.logaddexp(0, -scores)), True


def refuse_other_scores(folder: Path, evaluated: Evaluated) -> None:
    """Make sure that an import replaces no other predictions.

    Raises:
        RecordError: the row exists with other scores.
    """
    if not (folder / "scores.npz").exists():
        return
    with np.load(folder / "scores.npz", allow_pickle=False) as before:
        if not np.array_equal(before["scores"], evaluated.need("scores")):
            raise RecordError(
                f"{folder} has other predictions under this name and seed: give another --as or "
                "--seed, or delete the folder first"
            )


def swapped(evaluated: Evaluated) -> list[str]:
    """Return the classes whose AUROC is below one half: perhaps their columns are swapped."""
    values = auroc(evaluated.need("scores"), evaluated.need("targets"))
    return [str(name) for name, v in zip(evaluated.classes, values, strict=True) if v < 0.5]


def write_predictions(path: Path, evaluated: Evaluated) -> None:
    """Write image names and scores (N, C) as csv, every digit of the stored numbers."""
    scores = evaluated.need("scores")

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *evaluated.classes.tolist()])
            for name, row in zip(evaluated.names.tolist(), scores, strict=True):
                writer.writerow([name, *[repr(value) for value in row.tolist()]])

    write_atomically(path, write)


def imported_record(
    name: str, seed: int, dataset: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of predictions made elsewhere: declared training, no throughput.

    Its id is made of the name, the split and the label policy: the same name on another split is
    another row.
    """
    about = [name, dataset["name"], dataset["protocol"], dataset["fingerprints"], dataset["policy"]]
    text = json.dumps(about, sort_keys=True, default=str)
    return {
        "schema": 1,
        "id": hashlib.sha256(text.encode()).hexdigest()[:12],
        "seed": seed,
        "method": name,
        "label": name,
        "kind": "imported",
        "dataset": dict(dataset),
        "budget": "full",
        "recipe": "declared",
        "tta": "declared",
        "hyperparameters": {},
        "metrics": dict(metrics),
        "throughput": {"train_images_per_s": None, "inference_images_per_s": None},
        "device": {},
        "stages": [],
        "scores": None,
    }
