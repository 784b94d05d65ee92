"""One folder for one run: ``<root>/<dataset>/<method>-<id>-<seed>/{record.json, scores.npz}``.

Both files are written beside their place and moved into it, the record last: a folder with a
``record.json`` is complete.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.files import write_atomically, write_npz
from harness.results.schema import Record, check_record

Arrays = Mapping[str, NDArray[Any]]

_IDENTIFIERS = {
    "a DICOM identifier": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}"),
    "a MIMIC-CXR subject or study": re.compile(r"(?<![0-9a-z])[ps][15]\d{7}(?!\d)"),
    "a CheXpert patient": re.compile(r"patient\d{5}"),
}


def write_record(
    root: Path,
    record: Mapping[str, Any],
    scores: Arrays | None = None,
    *,
    credentialed: bool = False,
    private: Path | None = None,
) -> Path:
    """Write a record, and its per-image arrays, and return the record's folder.

    Arrays of credentialed data go to the folder ``private``, outside ``root``; without one they
    are refused, and so is a record that names an image or a patient of such data.
    """
    stored: Record = json_safe(record)
    check_record(stored, stored.get("label", "a new record"))
    if stored["dataset"]["credentialed"] != credentialed:
        raise RecordError(
            f"{stored['label']}: dataset.credentialed is {stored['dataset']['credentialed']}, "
            f"but the record is written with credentialed={credentialed}."
        )
    folder = root / folder_of(stored)
    if credentialed:
        refuse_identifiers(stored)
        _refuse_shared(root, scores, private)
    if scores is not None:
        target = private if credentialed and private else folder
        stored["scores"] = _write_scores(target, scores) | (
            {"private": True} if credentialed else {}
        )
    write_atomically(
        folder / "record.json", lambda temporary: temporary.write_bytes(_encode(stored))
    )
    return folder


def folder_of(record: Mapping[str, Any]) -> Path:
    """Return the folder of a record under the root of all results."""
    method = re.sub(r"[^\w.+-]+", "-", record["method"])
    return Path(record["dataset"]["name"], f"{method}-{record['id']}-{record['seed']}")


def read_record(folder: Path, metrics: Collection[str] | None = None) -> Record:
    """Read and check the record in ``folder``, of its metrics only these, all by default."""
    path = folder / "record.json"
    try:
        record = json.loads(_without(path.read_bytes(), metrics))
    except FileNotFoundError:
        raise RecordError(f"{folder} has no record.json: the run did not finish.") from None
    except ValueError as error:
        raise RecordError(f"{path} is not valid JSON ({error}): delete it or run again.") from error
    if metrics is not None and isinstance(record, dict) and record.get("metrics"):
        record["metrics"] = {k: v for k, v in record["metrics"].items() if k in metrics}
    check_record(record, path)
    return dict(record)


def _without(text: bytes, metrics: Collection[str] | None) -> bytes:
    """Empty what a record says of localization where it is not wanted.

    It is nine tenths of a file, and parsing it most of the time that a table of many records takes.
    Records are written with one blank a level, and no text in JSON spans lines: the entry ends
    with the first brace that stands as deep as its name.
    """
    head = b'\n  "localization": {'
    start = -1 if metrics is None or "localization" in metrics else text.find(head)
    end = text.find(b"\n  }", start) if start >= 0 else -1
    return text if end < 0 else text[: start + len(head)] + text[end:]


def find_records(root: Path, metrics: Collection[str] | None = None) -> list[Record]:
    """Read every record under ``root``, in the order of its folders.

    Each has its folder, relative to ``root``, under the key ``folder``. Folders without a
    ``record.json`` are runs that did not finish: they are no records. Of a record only these
    ``metrics`` are kept, all by default: what localization says fills most of its file.
    """
    found = []
    for path in sorted(_record_files(root)):
        record = read_record(Path(path).parent, metrics)
        record["folder"] = str(Path(path).parent.relative_to(root))
        found.append(record)
    return found


def read_scores(folder: Path, private: Path | None = None) -> dict[str, NDArray[Any]]:
    """Read the per-image arrays of the record in ``folder``, checked against its hash."""
    entry = read_record(folder)["scores"]
    if entry is None:
        raise RecordError(f"{folder} has no stored scores.")
    if entry.get("private") and private is None:
        raise RecordError(f"{folder}: the scores of credentialed data are kept elsewhere.")
    path = (private if entry.get("private") and private else folder) / entry["file"]
    if not path.exists():
        raise RecordError(f"{path} is missing, though {folder}/record.json names it.")
    if sha256_of(path) != entry["sha256"]:
        raise RecordError(f"{path} is not the file that {folder}/record.json was made from.")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _record_files(root: Path) -> Iterator[str]:
    if not root.is_dir():
        return
    for dataset in (entry for entry in os.scandir(root) if entry.is_dir()):
        for run in (entry for entry in os.scandir(dataset) if entry.is_dir()):
            path = os.path.join(run.path, "record.json")
            if os.path.exists(path):
                yield path


def json_safe(value: object) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return a value with what JSON cannot hold made plain: arrays as lists, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _encode(record: Record) -> bytes:
    try:
        return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"
    except TypeError as error:
        raise RecordError(f"{record['label']}: the record cannot be stored: {error}.") from error


def _refuse_shared(root: Path, scores: Arrays | None, private: Path | None) -> None:
    if scores is None:
        return
    if private is None:
        raise RecordError("Per-image scores of credentialed data need a private folder.")
    if private.resolve().is_relative_to(root.resolve()):
        raise RecordError(f"{private} lies inside {root}: credentialed scores must lie outside.")


def refuse_identifiers(value: object, key: str = "") -> None:
    """Raise a RecordError where text holds an identifier of credentialed data; names the key."""
    if isinstance(value, dict):
        for name, item in value.items():
            refuse_identifiers(name, f"{key} (a key)")
            refuse_identifiers(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            refuse_identifiers(item, key)
    elif isinstance(value, str):
        for what, pattern in _IDENTIFIERS.items():
            if pattern.search(value):
                raise RecordError(
                    f"The record's '{key}' holds {what}: credentialed data must not leave the "
                    "machine. Leave it out of the record."
                )


def _write_scores(folder: Path, scores: Arrays) -> dict[str, Any]:
    for name, array in scores.items():
        if array.dtype.hasobject:
            raise RecordError(f"scores['{name}'] holds Python objects; numbers or text are needed.")
    path = folder / "scores.npz"
    write_npz(path, scores)
    return {"file": path.name, "sha256": sha256_of(path)}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
