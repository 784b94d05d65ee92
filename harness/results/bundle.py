"""Rows in one file: what one person measured, for the tables of another.

A bundle is a zip of stored members: ``bundle.json`` with the sha256 of all others and, for each
row, its ``record.json`` and ``scores.npz`` in the folder that it has among all results. The same
rows give the same bytes. Nothing else is ever in it: no heat maps, no weights, and no per-image
array of credentialed data.
"""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from harness.errors import RecordError
from harness.files import write_atomically
from harness.metrics.evaluated import HEAVY, Evaluated
from harness.results.records import (
    folder_of,
    read_record,
    refuse_identifiers,
    sha256_of,
    write_record,
)
from harness.results.schema import Record, check_record

VERSION = 1
INDEX, RECORD, SCORES = "bundle.json", "record.json", "scores.npz"
LARGEST: Final[Mapping[str, int]] = {INDEX: 1 << 26, RECORD: 1 << 26, SCORES: 1 << 30}
"""Bytes that a member may have; for the scores also unpacked."""
_PLACE = re.compile(r"(?!\.)[\w.+-]+/(?!\.)[\w.+-]+")
_ARRAYS = {entry.name for entry in fields(Evaluated)} - set(HEAVY)

Files = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One row of a bundle, checked; ``scores`` are the bytes of its ``scores.npz``."""

    place: str
    record: Record
    scores: bytes | None


@dataclass(frozen=True)
class Merged:
    """The folders that a merge added, found equal, and found to hold something else."""

    added: tuple[str, ...]
    present: tuple[str, ...]
    different: tuple[str, ...]


def write_bundle(path: Path, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Write the rows in ``folders`` to one file and return the files of each row in it.

    Raises:
        RecordError: the scores of a row are missing or not those of its record.
    """
    rows = dict(sorted(_sources(folder) for folder in folders))
    hashes = {
        place: {name: sha256_of(source) for name, source in files.items()}
        for place, files in rows.items()
    }
    index = json.dumps({"bundle": VERSION, "rows": hashes}, indent=1).encode() + b"\n"

    def write(temporary: Path) -> None:
        with ZipFile(temporary, "w", ZIP_STORED) as file:
            file.writestr(_member(INDEX), index)
            for place, files in rows.items():
                for name, source in files.items():
                    with (
                        source.open("rb") as read,
                        file.open(_member(f"{place}/{name}"), "w") as into,
                    ):
                        shutil.copyfileobj(read, into)

    write_atomically(path, write)
    return {place: list(files) for place, files in hashes.items()}


def _sources(folder: Path) -> tuple[str, dict[str, Path]]:
    """Return where a row lies among all results and which of its files may leave the machine."""
    record = read_record(folder)
    place = folder_of(record).as_posix()
    if not _PLACE.fullmatch(place):
        raise RecordError(f"{folder}: its data set or id cannot be the name of a folder: {place}")
    files = {RECORD: folder / RECORD}
    if record["dataset"]["credentialed"]:
        refuse_identifiers(record)
    elif record["scores"] is not None:
        files[SCORES] = folder / SCORES
        if not files[SCORES].exists() or sha256_of(files[SCORES]) != record["scores"]["sha256"]:
            raise RecordError(
                f"{files[SCORES]} is missing or not the file that the record was made from: "
                "run again, or leave this row out"
            )
    return place, files


def _member(name: str) -> ZipInfo:
    """Return a member without time, owner or system, so that equal rows are equal bytes."""
    info = ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def merge(root: Path, path: Path) -> Merged:
    """Put the rows of a bundle among the results in ``root``; what is there is never replaced.

    The whole bundle is checked before the first row is written. An added record says under
    ``merged_from`` which bundle, by sha256, it came in.

    Raises:
        RecordError: it is no bundle, was changed, or has in it what a bundle never has.
    """
    with _opened(path) as file:
        index = _index(file, path)
        for place, files in index.items():
            _checked(file, path, place, files)
        found: dict[str, list[str]] = {"added": [], "present": [], "different": []}
        digest = sha256_of(path)
        for place, files in index.items():
            found[_place(root, _checked(file, path, place, files), digest)].append(place)
    return Merged(**{kind: tuple(places) for kind, places in found.items()})


def _place(root: Path, row: Row, digest: str) -> str:
    folder = root / row.place
    if (folder / RECORD).exists():
        return "present" if _own(read_record(folder)) == _own(row.record) else "different"
    if row.scores is not None:
        content = row.scores
        write_atomically(folder / SCORES, lambda temporary: temporary.write_bytes(content))
    chain = [*row.record.get("merged_from", []), digest]
    credentialed = row.record["dataset"]["credentialed"]
    write_record(root, row.record | {"merged_from": chain}, credentialed=credentialed)
    return "added"


def _own(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "merged_from"}


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with ZipFile(path) as file:
            yield file
    except (OSError, BadZipFile, EOFError) as error:
        raise RecordError(f"{path} cannot be read as a bundle: {error}") from error


def _index(file: ZipFile, path: Path) -> dict[str, Files]:
    """Return the rows and hashes of a bundle that has exactly the members of its index."""
    names = [info.filename for info in file.infolist()]
    for info in file.infolist():
        largest = LARGEST.get(info.filename.rpartition("/")[2], 0)
        if info.compress_type != ZIP_STORED or info.flag_bits & 1 or info.file_size > largest:
            raise RecordError(
                f"{path}: {info.filename!r} ({info.file_size:,} bytes) is compressed, encrypted, "
                "too large or nothing that a bundle has"
            )
    if INDEX not in names:
        raise RecordError(f"{path} has no {INDEX}: it is no bundle of rows")
    index = _json(file.read(INDEX), f"{path}, {INDEX}")
    if not isinstance(index, dict) or index.get("bundle") != VERSION:
        raise RecordError(f"{path}: this version reads bundles of version {VERSION}")
    rows = index.get("rows")
    if not isinstance(rows, dict) or not all(_row_of_index(*entry) for entry in rows.items()):
        raise RecordError(f"{path}: {INDEX} names a folder or a file that no row has")
    expected = [INDEX, *(f"{place}/{name}" for place, files in rows.items() for name in files)]
    if sorted(names) != sorted(expected):
        odd = sorted(set(names) ^ set(expected)) or sorted(names)
        raise RecordError(f"{path}: {odd[0]!r} is doubled, or not both in the file and its index")
    return rows


def _row_of_index(place: object, files: object) -> bool:
    named = isinstance(place, str) and bool(_PLACE.fullmatch(place))
    return named and isinstance(files, dict) and RECORD in files and {*files} <= {RECORD, SCORES}


def _checked(file: ZipFile, path: Path, place: str, files: Files) -> Row:
    """Return one row, every byte of it checked."""
    where = f"{path}, {place}"
    content = {name: file.read(f"{place}/{name}") for name in files}
    for name, read in content.items():
        if hashlib.sha256(read).hexdigest() != files[name]:
            raise RecordError(f"{where}/{name} is not the file that was bundled: get it again")
    record = _json(content[RECORD], where)
    check_record(record, where)
    if folder_of(record).as_posix() != place:
        raise RecordError(f"{where}: its record belongs into {folder_of(record).as_posix()}")
    _check_scores(record, content.get(SCORES), files, where)
    return Row(place, record, content.get(SCORES))


def _check_scores(record: Record, scores: bytes | None, files: Files, where: str) -> None:
    """Refuse scores that are not those that the record names, or that may not be here."""
    entry = record["scores"] or {"file": SCORES, "sha256": None}
    if entry.get("file") != SCORES:
        raise RecordError(f"{where}: its scores are in {entry.get('file')!r}, not in {SCORES}")
    if record["dataset"]["credentialed"]:
        refuse_identifiers(record)
        if scores is not None:
            raise RecordError(f"{where} has per-image scores of credentialed data: not merged")
    elif entry.get("sha256") != files.get(SCORES):
        raise RecordError(f"{where}: its scores are not those that the record names")
    if scores is not None:
        _check_arrays(scores, f"{where}/{SCORES}")


def _check_arrays(content: bytes, where: str) -> None:
    """Refuse what is no file of predictions: heat maps, objects, more than it may unpack to."""
    try:
        with ZipFile(io.BytesIO(content)) as file:
            if sum(info.file_size for info in file.infolist()) > LARGEST[SCORES]:
                raise RecordError(f"{where} unpacks to more than {LARGEST[SCORES]:,} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if foreign := sorted(set(arrays.files) - _ARRAYS):
                raise RecordError(f"{where} has {foreign[0]!r}, which is no array of predictions")
            for name in arrays.files:
                _ = arrays[name]
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise RecordError(f"{where} is no file of predictions: {error}") from error


def _json(content: bytes, where: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not valid JSON: {error}") from error
