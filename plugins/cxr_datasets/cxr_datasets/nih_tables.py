"""What the files of NIH ChestX-ray14 say: label tables of both years, boxes, adjudicated labels."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_datasets.tables import Table, find_file, read_table
from harness import DataError

Array = npt.NDArray[Any]

CLASSES = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening",
    "Hernia",
)  # fmt: skip
INFILTRATION = CLASSES.index("Infiltration")
ADJUDICATED = ("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass")
"""Classes of the column ``adjudicated``: what radiologists agreed on for 4,376 films."""

TABLES = {"v2020": "Data_Entry_2017_v2020.csv", "2017": "Data_Entry_2017.csv"}
BOX_TABLE = "BBox_List_2017.csv"
ADJUDICATED_TABLE = "google2019_nih-chest-xray-labels.csv"
DIGESTS = {
    "dc1d2df67fdc1c5a7601d48699cda2b13dc2c4841488b4183dcf04884dbaca11": "v2020",
    "3c3e24f0b580e4e976499473fa29d7bbee1f6be93aa0b8bc764e1688ca101d37": "2017",
}
"""sha256 of the released label tables, unpacked."""

FRAME = 1024  # width and height of every released image: the frame of the boxes
OLDEST = 120  # years; the table of 2017 has sixteen ages between 148 and 414
NAME = re.compile(r"([0-9]{8})_[0-9]{3}\.png")
AGE = re.compile(r"([0-9]{1,3})([YMD]?)")
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "D": 1 / 365.25}

# Columns of a label table as read.
IMAGE, LABELS, FOLLOW_UP, PATIENT, AGES, SEX, VIEW = range(7)
_HEADER = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
    "View Position",
)  # fmt: skip


def read_entries(root: Path, version: str) -> Table:
    """Return the label table of a root; the revised one where there are both.

    Raises:
        DataError: there is none, or it is empty, cut short or has an image twice.
    """
    names = list(TABLES.values()) if version == "auto" else [TABLES[version]]
    path = find_file(root, *names)
    if path is None:
        raise DataError(f"{root} has no label table; expected {' or '.join(names)} (or .gz) there")
    table = read_table(path, _HEADER)
    if not len(table):
        raise DataError(f"{path} has a header but no rows; it is cut short")
    images = table.columns[IMAGE]
    if len(set(images)) != len(images):
        count = Counter(images)
        twice = next(row for row, name in enumerate(images) if count[name] > 1)
        raise table.error(twice, "this image has more than one row")
    return table


def label_version(table: Table) -> str:
    """Return "2017" or "v2020": the ages of 2017 have a unit."""
    return "2017" if any(age[-1:] in ("Y", "M", "D") for age in table.columns[AGES]) else "v2020"


def patient_ids(table: Table) -> Array:
    """Return the patients (N,) as eight digits, the same in both versions.

    Raises:
        DataError: an image's name is not ``<patient>_<number>.png`` or contradicts its row.
    """
    patients = table.values(PATIENT, lambda text: f"{whole_number(text):08d}")
    for row, (name, patient) in enumerate(zip(table.columns[IMAGE], patients, strict=True)):
        found = NAME.fullmatch(name)
        if found is None or found[1] != patient:
            raise table.error(row, f"the name does not fit patient {patient}")
    return np.asarray(patients, dtype=np.str_)


def labels(table: Table) -> Array:
    """Return the labels (N, 14) float32 of 1 and 0; all 0 is "No Finding"."""
    place = {name: index for index, name in enumerate(CLASSES)}

    def parse(text: str) -> Array:
        row = np.zeros(len(CLASSES), dtype=np.float32)
        for finding in [] if text == "No Finding" else text.split("|"):
            if finding not in place:
                raise ValueError(f"unknown label {finding!r} in {text!r}")
            row[place[finding]] = 1
        return row

    return np.stack(table.values(LABELS, parse))


def metadata(table: Table) -> tuple[Array, int]:
    """Return age in years, male and AP (N, 3) float32, and the number of implausible ages.

    Those are unknown (NaN), as are blank fields.
    """
    ages = np.array(table.values(AGES, _age), dtype=np.float32)
    implausible = ages > OLDEST
    ages[implausible] = np.nan
    male = table.values(SEX, lambda text: _either(text, "M", "F"))
    frontal = table.values(VIEW, lambda text: _either(text, "AP", "PA"))
    return np.stack([ages, male, frontal], axis=1).astype(np.float32), int(implausible.sum())


def whole_number(text: str) -> int:
    """Return a number without sign; leading zeros are fine."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def _age(text: str) -> float:
    found = AGE.fullmatch(text)
    if found is None and text:
        raise ValueError(f"{text!r} is no age")
    return int(found[1]) * YEARS[found[2]] if found else math.nan


def _either(text: str, one: str, zero: str) -> float:
    meaning = {one: 1.0, zero: 0.0, "": math.nan}
    if text not in meaning:
        raise ValueError(f"{text!r} is neither {one} nor {zero}")
    return meaning[text]


def read_boxes(root: Path, row_of: Mapping[str, int]) -> tuple[Array, Array, int] | None:
    """Return boxes (N, K, 4) float32, their classes (N, K), and how many lie on unlisted images.

    None where there is no file. Its header is broken (the brackets hold commas): the fields are
    image, finding ("Infiltrate" is Infiltration), x, y, width, height in a frame of 1024 pixels.

    Raises:
        DataError: a row has an unknown finding, no number, or a box outside the frame.
    """
    path = find_file(root, BOX_TABLE)
    if path is None:
        return None
    table = read_table(path, range(6))
    place = {name: index for index, name in enumerate(CLASSES)} | {"Infiltrate": INFILTRATION}
    classes = table.values(1, lambda text: _index(place, text))
    x, y, width, height = (np.array(table.values(k, _number)) for k in range(2, 6))
    corners = np.stack([x, y, x + width, y + height], axis=1)
    inside = (corners[:, :2] >= 0).all(1) & (corners[:, 2:] <= FRAME).all(1)
    for row in np.flatnonzero(~(inside & (width > 0) & (height > 0))):
        raise table.error(int(row), f"the box {corners[row].tolist()} is empty or outside 1024")
    rows = [row_of.get(name, -1) for name in table.columns[0]]
    return (*_by_image(rows, corners, classes, len(row_of)), rows.count(-1))


def _by_image(
    rows: Sequence[int], boxes: Array, classes: Sequence[int], images: int
) -> tuple[Array, Array]:
    """Return boxes (N, K, 4) and classes (N, K), padded with -1, of boxes given one by one."""
    count = np.zeros(images, dtype=np.int64)
    slots = []
    for row in rows:
        slots.append(int(count[row]) if row >= 0 else -1)
        count[row] += row >= 0
    padded = np.zeros((images, max(int(count.max(initial=0)), 1), 4), dtype=np.float32)
    padded_classes = np.full(padded.shape[:2], -1, dtype=np.int64)
    for row, slot, box, kind in zip(rows, slots, boxes, classes, strict=True):
        if row >= 0:
            padded[row, slot], padded_classes[row, slot] = box, kind
    return padded, padded_classes


def read_adjudicated(root: Path, row_of: Mapping[str, int]) -> Array | None:
    """Return the adjudicated labels (N, 4) float32, NaN for films without; None without file."""
    path = find_file(root, ADJUDICATED_TABLE)
    if path is None:
        return None
    table = read_table(path, ("Image Index", *ADJUDICATED))
    values = np.full((len(row_of), len(ADJUDICATED)), np.nan, dtype=np.float32)
    rows = np.array([row_of.get(name, -1) for name in table.columns[0]], dtype=np.int64)
    for column in range(len(ADJUDICATED)):
        agreed = np.array(table.values(column + 1, lambda text: _either(text, "YES", "NO")))
        values[rows[rows >= 0], column] = agreed[rows >= 0]
    return values


def _index(place: Mapping[str, int], text: str) -> int:
    if text not in place:
        raise ValueError(f"unknown finding {text!r}")
    return place[text]


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no number")
    return value
