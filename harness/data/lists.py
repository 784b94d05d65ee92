"""Lists of image names as they come, held against the splits of one's own copy of a dataset."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.splits import KNOWN, fingerprint, protocol_of
from harness.errors import DataError

Rows = npt.NDArray[np.int64]
Lists = Mapping[str, Sequence[str]]

_NAMES = ("image index", "image", "name", "path", "filename", "file")
_SPLITS = ("split", "fold", "part", "partition")
_PARTS = {"val": "validation", "valid": "validation", "validate": "validation"}
_ENDING = re.compile(r"\.(png|jpe?g)$", re.IGNORECASE)
TEST, BOXED, LEARNT = "test", "boxed", "train_val"
SOME = 5  # names that are shown of many


def read_list(path: Path) -> list[str]:
    """Return the names that a text or csv file lists, one a line, as they are written.

    They are its column Image Index (or image, name, path, filename), else its first column.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    head, rows = _table(path)
    column = _column(head, _NAMES)
    chosen = rows if column is not None else [head, *rows]
    return [row[column or 0] for row in chosen]


def read_parts(path: Path) -> dict[str, list[str]]:
    """Return the names of each part in a csv with a column of names and a column ``split``.

    Raises:
        DataError: it cannot be read or has no such columns.
    """
    head, rows = _table(path)
    name, part = _column(head, _NAMES), _column(head, _SPLITS)
    if name is None or part is None:
        raise DataError(
            f"{path} has the columns {', '.join(head[:12])}; a split needs one of image names "
            "(Image Index) and one called split"
        )
    parts: dict[str, list[str]] = {}
    for row in rows:
        text = row[part].strip().lower()
        parts.setdefault(_PARTS.get(text, text), []).append(row[name])
    return parts


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(field.strip() for field in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a list of names: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty: one image name a line is needed")
    short = next((row for row in rows if len(row) < len(rows[0])), None)
    if short:
        raise DataError(f"{path} has {len(rows[0])} columns, but a row {','.join(short)!r}")
    return rows[0], rows[1:]


def _column(head: Sequence[str], wanted: Sequence[str]) -> int | None:
    lowered = [name.strip().lower() for name in head]
    return next((lowered.index(name) for name in wanted if name in lowered), None)


@dataclass(frozen=True)
class Overlap:
    """How much of a part of the copy a list contains; ``first`` are some of those images."""

    images: int
    of_images: int
    patients: int
    of_patients: int
    first: tuple[str, ...]

    @property
    def share(self) -> float:
        """The images as a share of all, 0 to 1."""
        return self.images / self.of_images if self.of_images else 0.0


@dataclass(frozen=True)
class Part:
    """One list, its names found in the copy: ``overlaps`` hold it against the copy's own parts."""

    name: str
    images: int
    patients: int
    repeated: int  # lines that name an image again
    unknown: int  # names that are no image of the copy
    first_unknown: tuple[str, ...]
    fingerprint: str
    known: str  # the known list that this is, or ""
    note: str
    overlaps: Mapping[str, Overlap]


@dataclass(frozen=True)
class Shared:
    """What two parts have in common."""

    first: str
    second: str
    images: int
    patients: int
    example: str  # one of these patients


class Copy:
    """The images of a copy, found by names with or without folder, ending and later columns."""

    def __init__(self, dataset: Dataset) -> None:
        names = dataset.samples.names
        self.name, self.protocol = dataset.name, dataset.protocol
        self.names, self.patients = names, dataset.samples.patients
        self._row = {_stem(name): row for row, name in enumerate(names.tolist())}
        splits = {split: np.asarray(rows) for split, rows in dataset.splits.items()}
        self.parts = {
            LEARNT: np.concatenate([splits["train"], splits["validation"]]),
            TEST: splits["test"],
        }
        classes = dataset.samples.column("box_classes")
        if classes is not None:
            self.parts[BOXED] = np.flatnonzero((classes >= 0).any(axis=1))

    def part(self, name: str, written: Sequence[str]) -> Part:
        """Return what there is to say of one list.

        Raises:
            DataError: none of its names is an image of the copy.
        """
        rows, unknown = self.find(written)
        if not len(rows):
            raise DataError(
                f"no name of the {name} list is an image of {self.name} (the first is "
                f"{written[0]!r}): is it the right file?"
            )
        digest = fingerprint(self.names[rows].tolist())
        known = KNOWN.get(digest)
        return Part(
            name=name,
            images=len(rows),
            patients=len(np.unique(self.patients[rows])),
            repeated=len(written) - len(rows) - len(unknown),
            unknown=len(unknown),
            first_unknown=tuple(unknown[:SOME]),
            fingerprint=digest,
            known=f"{known.protocol} {known.part}" if known else "",
            note=known.note if known else "",
            overlaps={part: self._overlap(rows, own) for part, own in self.parts.items()},
        )

    def find(self, written: Iterable[str]) -> tuple[Rows, list[str]]:
        """Return the rows of the images that are named, each once, and the names of none."""
        found, unknown = set(), []
        for text in dict.fromkeys(written):
            row = self._row.get(_stem(text), self._row.get(_stem((text.split() or [""])[0])))
            if row is None:
                unknown.append(text)
            else:
                found.add(row)
        return np.array(sorted(found), dtype=np.int64), unknown

    def _overlap(self, rows: Rows, own: Rows) -> Overlap:
        both = np.intersect1d(rows, own)
        return Overlap(
            images=len(both),
            of_images=len(own),
            patients=len(np.unique(self.patients[both])),
            of_patients=len(np.unique(self.patients[own])),
            first=tuple(self.names[both[:SOME]].tolist()),
        )

    def shared(self, lists: Lists) -> list[Shared]:
        """Return the pairs of lists that have images or patients in common."""
        rows = {part: self.find(names)[0] for part, names in lists.items()}
        found = []
        for first, second in combinations(rows, 2):
            patients = np.intersect1d(self.patients[rows[first]], self.patients[rows[second]])
            if len(patients):
                images = len(np.intersect1d(rows[first], rows[second]))
                found.append(Shared(first, second, images, len(patients), str(patients[0])))
        return found

    def protocol_of(self, lists: Lists) -> str:
        """Return the name of the protocol that these lists are."""
        return protocol_of(
            {part: self.names[self.find(names)[0]].tolist() for part, names in lists.items()}
        )


def _stem(text: str) -> str:
    return _ENDING.sub("", re.split(r"[/\\]", text.strip())[-1])
