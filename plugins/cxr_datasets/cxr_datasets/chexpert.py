"""CheXpert, full or small: uncertain and blank labels, views, and which images are the test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from cxr_datasets import chexpert_layout
from cxr_datasets.phantoms import read_settings, settings_of, write_root
from cxr_datasets.tables import Table, find_file, read_table
from harness import DataError, Dataset, LabelSpace, Samples, by_patient, check_disjoint, protocol_of
from harness.data.images import read_image, stamp_file

Array = npt.NDArray[Any]
Fact = tuple[str, str, bool | None]

CLASSES = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")

SALT, SHARE = "chexpert", 0.05
"""Validation: the patients of train.csv that ``by_patient`` picks with this salt; the radiologists'
labels of valid.csv are for the test alone."""

OFFICIAL = {"train.csv": 223_414, "valid.csv": 234}
PUBLIC_TEST = ("test_labels.csv", "groundtruth.csv")
_PATH = re.compile(r"(.*/)?((train|valid|test)/(patient\d+)/(study\d+))(/(view\d+_\w+)\.jpg)?")
_VIEWS = {"AP": 1.0, "PA": 0.0, "LL": np.nan, "RL": np.nan, "": np.nan}
_DETAILS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")


class CheXpert(Dataset):
    """One copy of CheXpert-v1.0 or CheXpert-v1.0-small.

    ``uncertain``: what -1 becomes (U-Zeros, U-Ones, U-Ignore); ``blank``: what a finding becomes
    that the report does not mention; ``views``: frontal films or all; ``level``: whether a score
    counts for an image or for its study (the column ``study`` numbers them); ``classes``: all 14
    observations or the five of the competition; ``test``: the images of valid.csv, or the 500
    studies whose labels (test_labels.csv or groundtruth.csv) were published later.
    """

    name: ClassVar[str] = "chexpert"
    credentialed: ClassVar[bool] = True
    obtain: ClassVar[str] = (
        "CheXpert is distributed by the Stanford AIMI Center to registered users under the "
        "Stanford University Dataset Research Use Agreement; it may not be passed on.\n"
        "Expected in the root (or in a folder CheXpert-v1.0* of it): train.csv, valid.csv and "
        "train/patient00001/study1/view1_frontal.jpg ..., valid/...; for --data test=public also "
        "test/... and test_labels.csv or groundtruth.csv with the labels of the 500 studies."
    )

    def __init__(
        self,
        root: Path,
        *,
        uncertain: Literal["zeros", "ones", "ignore"] = "zeros",
        blank: Literal["zero", "unknown"] = "zero",
        views: Literal["frontal", "all"] = "frontal",
        level: Literal["image", "study"] = "image",
        classes: Literal["all", "competition"] = "all",
        test: Literal["valid", "public"] = "valid",
    ) -> None:
        self.root = Path(root)
        self.phantom = read_settings(self.root)
        self._folder = _folder(self.root)
        self.space = LabelSpace(CLASSES if classes == "all" else COMPETITION)
        self.policy = {
            "uncertain": uncertain, "blank": blank, "views": views, "level": level, "test": test,
            "validation": f"by_patient({SALT!r}, {SHARE})",
        }  # fmt: skip
        meaning = {
            "1": 1.0, "0": 0.0, "": 0.0 if blank == "zero" else np.nan,
            "-1": {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}[uncertain],
        }  # fmt: skip
        self._counts: dict[str, int] = {}
        train = self._films("train.csv", meaning, views)
        tested = (
            self._films("valid.csv", meaning, views)
            if test == "valid"
            else self._public(meaning, views)
        )
        columns = {key: np.concatenate([train[key], tested[key]]) for key in train}
        _, study = np.unique(columns.pop("study"), return_inverse=True)
        names = columns.pop("names").tolist()
        patients = columns.pop("patients")
        self.samples = Samples.of(
            self.space, names=names, patients=patients.tolist(), study=study.reshape(-1),
            sizes=np.ones((len(names), 2), dtype=np.int64), **columns,
        )  # fmt: skip
        self._divide(len(train["labels"]), patients)

    def _divide(self, training: int, patients: Array) -> None:
        """Set the splits: a patient hash of train.csv, and the test; and their name."""
        chosen = by_patient(patients[:training], SALT, SHARE)
        self.splits = {
            "train": np.flatnonzero(~chosen),
            "validation": np.flatnonzero(chosen),
            "test": np.arange(training, len(patients)),
        }
        check_disjoint(self.splits, patients)
        listed = {name: self._counts[f"rows of {name}"] for name in OFFICIAL if self._has(name)}
        public = self.policy["test"] == "public"
        if all(listed[name] == OFFICIAL[name] for name in listed):
            self.protocol = "official-public-test" if public else "official"
        else:
            names = self.samples.names
            self.protocol = protocol_of({p: names[rows] for p, rows in self.splits.items()})

    def _has(self, name: str) -> bool:
        return f"rows of {name}" in self._counts

    def _films(self, name: str, meaning: Mapping[str, float], views: str) -> dict[str, Array]:
        """Return the columns of one csv file with a row for each film."""
        path = find_file(self._folder, name)
        if path is None:
            raise DataError(f"{self._folder} has no {name}")
        table = read_table(path, (*_DETAILS, *self.space.classes))
        if not len(table):
            raise DataError(f"{path} has a header but no rows; it is cut short")
        places = table.values(0, _film)
        known = [
            table.values(2, _age),
            table.values(1, lambda text: _of(text, {"Male": 1, "Female": 0, "Unknown": np.nan})),
            table.values(4, lambda text: _of(text, _VIEWS)),
        ]
        frontal = np.array(
            table.values(3, lambda text: _of(text, {"Frontal": 1, "Lateral": 0})), dtype=bool
        )
        labels = _labels(table, len(_DETAILS), meaning)
        kept = frontal if views == "frontal" else np.ones(len(table), dtype=bool)
        _check_once(table)
        self.policy = {**self.policy, "release": table.columns[0][0].split("/")[0]}
        self._counts[f"rows of {name}"] = len(table)
        self._counts[f"lateral films left out of {name}"] = int((~kept).sum())
        self._counts[f"films without sex in {name}"] = int(np.isnan(known[1]).sum())
        texts = [np.array(column, dtype=np.str_)[kept] for column in zip(*places, strict=True)]
        return {
            **dict(zip(("names", "patients", "study"), texts, strict=True)),
            "metadata": np.array(known, dtype=np.float32).T[kept],
            "labels": labels[kept],
        }

    def _public(self, meaning: Mapping[str, float], views: str) -> dict[str, Array]:
        """Return the films of the studies whose labels were published: every film that is there."""
        path = find_file(self._folder, *PUBLIC_TEST)
        if path is None:
            raise DataError(f"{self._folder} has neither {' nor '.join(PUBLIC_TEST)}")
        table = read_table(path, ("Study", *self.space.classes))
        if not len(table):
            raise DataError(f"{path} has a header but no rows; it is cut short")
        _check_once(table)
        labels = _labels(table, 1, meaning)
        pattern = "view*_frontal.jpg" if views == "frontal" else "view*_*.jpg"
        films: list[tuple[str, str, str]] = []
        rows = []
        for row, (study, patient) in enumerate(table.values(0, _study)):
            found = sorted((self._folder / study).glob(pattern))
            if not found:
                raise table.error(row, f"no film {pattern} in {self._folder / study}")
            films += [(f"{study}/{film.name}", patient, study) for film in found]
            rows += [row] * len(found)
        names, patients, studies = (np.array(c, dtype=np.str_) for c in zip(*films, strict=True))
        metadata = np.full((len(rows), 3), np.nan, dtype=np.float32)
        self._counts[f"studies of {path.name}"] = len(table)
        return {
            "names": names, "patients": patients, "study": studies, "metadata": metadata,
            "labels": labels[rows],
        }  # fmt: skip

    def read(self, row: int) -> Array:
        """Return one radiograph (H, W) uint8."""
        return read_image(self._folder / self.samples.columns["names"].values[row])

    def stamp(self, row: int) -> str:
        """Return name, size and time of the file behind a radiograph."""
        return stamp_file(self._folder / self.samples.columns["names"].values[row])

    @classmethod
    def write_phantoms(cls, root: Path, images: int, switches: Mapping[str, object]) -> None:
        """Write phantoms as CheXpert-v1.0-small, with uncertain and blank labels."""
        store, finish = chexpert_layout.store, chexpert_layout.finish
        write_root(cls, root, images, settings_of(switches), store, finish)

    def facts(self) -> list[Fact]:
        """Return counts against the release, and what was left out."""
        facts: list[Fact] = []
        for what, count in self._counts.items():
            official = OFFICIAL.get(what.removeprefix("rows of "))
            said = f"{count:,} of {official:,}" if official else f"{count:,}"
            facts.append((what, said, True if count == official else None))
        return facts


def _folder(root: Path) -> Path:
    """Return the folder of train.csv: the root or a folder CheXpert-v1.0* in it."""
    for folder in [root, *sorted(root.glob("CheXpert-v1.0*"))]:
        if find_file(folder, "train.csv"):
            return folder
    raise DataError(f"{root} has no train.csv, nor has a folder CheXpert-v1.0* in it")


def _film(text: str) -> tuple[str, str, str]:
    """Return name (the path without its first folder), patient and study of a film's path."""
    found = _PATH.fullmatch(text)
    if found is None or not found[6]:
        raise ValueError(f"{text!r} is not .../train/patient00001/study1/view1_frontal.jpg")
    return found[2] + found[6], found[4], found[2]


def _study(text: str) -> tuple[str, str]:
    found = _PATH.fullmatch(text)
    if found is None or found[6]:
        raise ValueError(f"{text!r} is not .../test/patient00001/study1")
    return found[2], found[4]


def _check_once(table: Table) -> None:
    count = Counter(table.columns[0])
    for row, text in enumerate(table.columns[0]):
        if count[text] > 1:
            raise table.error(row, "there is more than one row of it")


def _labels(table: Table, first: int, meaning: Mapping[str, float]) -> Array:
    """Return labels (N, C) float32 from the columns behind ``first``."""
    columns = [
        table.values(column, lambda text: _of(text.removesuffix(".0"), meaning))
        for column in range(first, len(table.columns))
    ]
    return np.array(columns, dtype=np.float32).T


def _of(text: str, meaning: Mapping[str, float]) -> float:
    if text not in meaning:
        raise ValueError(f"unknown value {text!r}; known are {', '.join(map(repr, meaning))}")
    return meaning[text]


def _age(text: str) -> float:
    if not (text.removesuffix(".0").isascii() and text.removesuffix(".0").isdigit()):
        raise ValueError(f"{text!r} is no age")
    return float(text)
