"""A dataset of one's own, without code: one csv file with a row for each image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cxr_datasets.tables import Table, read_header, read_table
from harness import (
    DataError,
    Dataset,
    LabelSpace,
    Samples,
    check_disjoint,
    protocol_of,
)
from harness.data.images import image_size, read_image, stamp_file

Array = npt.NDArray[Any]

REQUIRED = ("image", "patient", "split")
OPTIONAL = ("age", "sex", "view", "boxes")
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation",
          "test": "test"}  # fmt: skip


class CSV(Dataset):
    """The images that a csv file lists; the root is that file, its folder holds the images.

    Columns: ``image`` (a path from the file's folder), ``patient``, ``split`` (train, validation or
    test); optionally ``age`` in years, ``sex`` (M or F), ``view`` (AP or PA), and ``boxes``:
    ``Mass 10 20 110 140; Nodule 5 5 25 25``, each a class and x1 y1 x2 y2 in pixels of the image.
    Every other column is a label: 1, 0, or blank for unknown; ``labels`` takes only some of them,
    separated by commas.
    """

    name: ClassVar[str] = "csv"
    root_is: ClassVar[str] = "FILE"
    obtain: ClassVar[str] = (
        "This is a dataset of your own: --dataset csv:FILE, a csv file with the columns image, "
        "patient, split (train, validation, test), one column for each label (1, 0, blank for "
        "unknown) and, if you like, age, sex (M, F), view (AP, PA) and boxes "
        '("Mass 10 20 110 140; Nodule 5 5 25 25": class, x1, y1, x2, y2 in pixels).'
    )

    def __init__(self, root: Path, *, labels: str = "") -> None:
        self.root = Path(root)
        header = read_header(self.root)
        classes = [name.strip() for name in labels.split(",") if name.strip()] or [
            name for name in header if name not in (*REQUIRED, *OPTIONAL)
        ]
        if not classes or len(set(classes)) != len(classes):
            raise DataError(f"{self.root} has no label columns, or one twice: {', '.join(header)}")
        self.space = LabelSpace(tuple(classes))
        extra = [name for name in OPTIONAL if name in header]
        table = read_table(self.root, (*REQUIRED, *classes, *extra))
        if not len(table):
            raise DataError(f"{self.root} lists no images")
        self._paths = [self.root.parent / name for name in table.columns[0]]
        first = len(REQUIRED) + len(classes)
        optional = {name: first + place for place, name in enumerate(extra)}
        columns = [table.values(k, _label) for k in range(len(REQUIRED), first)]
        self.samples = Samples.of(
            self.space,
            names=table.columns[0],
            patients=table.values(1, _text),
            labels=np.array(columns, dtype=np.float32).T,
            metadata=_metadata(table, optional),
            **self._framed(table, optional.get("boxes")),
        )
        self._divide(table)
        self.policy = {"csv": table.digest, "labels": ",".join(classes)}

    def _framed(self, table: Table, boxes: int | None) -> dict[str, Array]:
        """Return sizes from the image files' headers, and boxes, which lie inside them."""
        sizes = np.array([image_size(path) for path in self._paths], dtype=np.int64)
        if boxes is None:
            return {"sizes": sizes}
        parsed = table.values(boxes, lambda text: _boxes(text, self.space.classes))
        most = max(1, *map(len, parsed))
        corners = np.zeros((len(parsed), most, 4), dtype=np.float32)
        kinds = np.full((len(parsed), most), -1, dtype=np.int64)
        for row, found in enumerate(parsed):
            for slot, (kind, box) in enumerate(found):
                kinds[row, slot], corners[row, slot] = kind, box
                height, width = sizes[row].tolist()
                if box[2] > width or box[3] > height:
                    raise table.error(row, f"box {box} is outside the {width} x {height} image")
        return {"sizes": sizes, "boxes": corners, "box_classes": kinds}

    def _divide(self, table: Table) -> None:
        parts = np.array(table.values(2, _split), dtype=np.str_)
        names = self.samples.names
        if len(set(names.tolist())) != len(names):
            unique, count = np.unique(names, return_counts=True)
            raise DataError(f"{self.root}: {unique[count > 1][0]} has more than one row")
        self.splits = {
            part: np.flatnonzero(parts == part) for part in dict.fromkeys(SPLITS.values())
        }
        self.protocol = protocol_of({part: names[rows] for part, rows in self.splits.items()})
        for part, rows in self.splits.items():
            if not len(rows):
                raise DataError(f"{self.root} has no image in the split {part!r}")
        check_disjoint(self.splits, self.samples.patients)

    def read(self, row: int) -> Array:
        """Return one radiograph (H, W) uint8."""
        return read_image(self._paths[row])

    def stamp(self, row: int) -> str:
        """Return name, size and time of the file behind a radiograph."""
        return stamp_file(self._paths[row])


def _metadata(table: Table, optional: Mapping[str, int]) -> Array:
    """Return age, male and AP (N, 3) float32, NaN where not told."""
    readers = {
        "age": _age,
        "sex": lambda text: _of(text, {"M": 1.0, "F": 0.0, "": math.nan}),
        "view": lambda text: _of(text, {"AP": 1.0, "PA": 0.0, "": math.nan}),
    }
    columns = [
        table.values(optional[name], reader) if name in optional else [math.nan] * len(table)
        for name, reader in readers.items()
    ]
    return np.array(columns, dtype=np.float32).T


def _boxes(text: str, classes: Sequence[str]) -> list[tuple[int, list[float]]]:
    """Return class and corners of ``Mass 10 20 110 140; ...``; a class may have spaces."""
    found = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, *corners = entry.rsplit(maxsplit=4)
        if name not in classes or len(corners) != 4:
            raise ValueError(f"{entry!r} is not a class and x1 y1 x2 y2; {', '.join(classes)}")
        box = [float(corner) for corner in corners]
        if not (0 <= box[0] < box[2] < math.inf and 0 <= box[1] < box[3] < math.inf):
            raise ValueError(f"the box {entry!r} is empty or outside")
        found.append((classes.index(name), box))
    return found


def _label(text: str) -> float:
    return _of(text.removesuffix(".0"), {"1": 1.0, "0": 0.0, "": math.nan})


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"unknown split {text!r}; train, validation or test")
    return SPLITS[text]


def _text(text: str) -> str:
    if not text:
        raise ValueError("the patient is blank")
    return text


def _age(text: str) -> float:
    age = float(text) if text else math.nan
    if not (0 <= age <= 120 or math.isnan(age)):
        raise ValueError(f"{text!r} is no age in years")
    return age


def _of(text: str, meaning: Mapping[str, float]) -> float:
    if text not in meaning:
        raise ValueError(f"unknown value {text!r}; known are {', '.join(map(repr, meaning))}")
    return meaning[text]
