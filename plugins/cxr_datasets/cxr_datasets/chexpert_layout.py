"""Phantoms as CheXpert-v1.0-small: frontal films, labels of a report with its uncertain ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_datasets.phantoms import csv_text, write_image
from harness import Description, Drawing, PhantomSettings, by_patient
from harness.data.phantom import FINDINGS
from harness.seeds import generator

FOLDER = "CheXpert-v1.0-small"
QUALITY = 95
TEST_SHARE = 0.1  # of patients go to valid.csv
UNCERTAIN, MENTIONED = 0.1, 0.3  # of positive labels are -1; of negative ones 0.0, the rest blank

FROM = {
    "Enlarged Cardiomediastinum": ("Cardiomegaly", "Hernia"),
    "Cardiomegaly": ("Cardiomegaly",),
    "Lung Opacity": (
        "Atelectasis", "Infiltration", "Mass", "Nodule", "Pneumonia", "Consolidation", "Edema",
        "Fibrosis",
    ),
    "Lung Lesion": ("Mass", "Nodule"),
    "Edema": ("Edema",),
    "Consolidation": ("Consolidation",),
    "Pneumonia": ("Pneumonia",),
    "Atelectasis": ("Atelectasis",),
    "Pneumothorax": ("Pneumothorax",),
    "Pleural Effusion": ("Effusion",),
    "Pleural Other": ("Pleural_Thickening",),
    "Fracture": (),
    "Support Devices": (),
}  # fmt: skip
"""The drawn findings behind each observation; "No Finding" is the absence of all."""


def path_of(film: Description, part: str) -> str:
    """Return the path of a film, as it stands in the csv files behind the first folder."""
    return f"{part}/patient{film.patient + 1:05d}/study{film.follow_up + 1}/view1_frontal.jpg"


def parts_of(films: Sequence[Description]) -> list[str]:
    """Return "train" or "valid" for each film, by a hash of its patient."""
    chosen = by_patient([str(film.patient) for film in films], "chexpert-phantom-test", TEST_SHARE)
    return ["valid" if valid else "train" for valid in chosen]


def observations(film: Description, settings: PhantomSettings, part: str) -> list[str]:
    """Return the 14 fields of a row: "1.0", "0.0", "-1.0" or blank; valid.csv is certain."""
    present = {FINDINGS[k] for k in np.flatnonzero(film.labels)}
    chance = generator(settings.seed, "chexpert", film.patient, film.follow_up).random(len(FROM))
    fields = ["" if present else "1.0"]
    for drawn, at in zip(FROM.values(), chance, strict=True):
        positive = not present.isdisjoint(drawn)
        if part == "valid":
            fields.append("1.0" if positive else "0.0")
        elif positive:
            fields.append("-1.0" if at < UNCERTAIN else "1.0")
        else:
            fields.append("0.0" if at < MENTIONED else "")
    if part == "valid":
        fields[0] = fields[0] or "0.0"
    return fields


def store(folder: Path, index: int, drawing: Drawing) -> None:
    """Write the image of one phantom, in train/ before the parts are known."""
    write_image(folder / FOLDER / path_of(drawing, "train"), drawing.image, QUALITY)


def finish(folder: Path, films: Sequence[Description], settings: PhantomSettings) -> None:
    """Write train.csv and valid.csv, and move the films of the latter to valid/."""
    header = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", *FROM)
    parts = parts_of(films)
    for film, part in zip(films, parts, strict=True):
        before, after = (folder / FOLDER / path_of(film, name) for name in ("train", part))
        if before != after:
            after.parent.mkdir(parents=True, exist_ok=True)
            before.rename(after)
            shutil.rmtree(before.parent)
    for part in ("train", "valid"):
        rows = [
            (
                f"{FOLDER}/{path_of(film, part)}",
                {"M": "Male", "F": "Female"}[film.sex],
                film.age,
                "Frontal",
                film.view,
                *observations(film, settings, part),
            )
            for film, its in zip(films, parts, strict=True)
            if its == part
        ]
        (folder / FOLDER / f"{part}.csv").write_text(csv_text(header, rows))
