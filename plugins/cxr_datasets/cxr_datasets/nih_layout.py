"""Phantoms as NIH ChestX-ray14 lies on a disk: numbered folders, v2020 table, lists and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_datasets import nih_tables as tables
from cxr_datasets.phantoms import csv_text, write_image
from harness import Description, Drawing, PhantomSettings, by_patient

TEST_SHARE = 0.228  # of the images of NIH are in the official test list
BOXED = 8  # classes have boxes in NIH's file, the first eight
FIRST_FOLDER, FOLDER = 4_999, 10_000  # images of images_001 and of each that follows


def name_of(film: Description) -> str:
    """Return ``<patient>_<number>.png``; NIH's patients count from 1."""
    return f"{film.patient + 1:08d}_{film.follow_up:03d}.png"


def store(folder: Path, index: int, drawing: Drawing) -> None:
    """Write one image into its numbered folder."""
    number = 1 + (index + FOLDER - FIRST_FOLDER) // FOLDER
    write_image(folder / f"images_{number:03d}" / "images" / name_of(drawing), drawing.image)


def finish(folder: Path, films: Sequence[Description], settings: PhantomSettings) -> None:
    """Write label table, lists and boxes."""
    (folder / tables.TABLES["v2020"]).write_text(
        csv_text(
            ("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
             "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]",),
            [_entry(film, settings.size) for film in films],
        )
    )  # fmt: skip
    test = by_patient([str(film.patient) for film in films], "nih-phantom-test", TEST_SHARE)
    for stem, inside in (("train_val", ~test), ("test", test)):
        names = [name_of(film) for film, here in zip(films, inside, strict=True) if here]
        (folder / f"{stem}_list.txt").write_text("\n".join(names))
    scale = tables.FRAME / settings.size
    boxes = [
        row for film, here in zip(films, test, strict=True) if here for row in _boxes(film, scale)
    ]
    (folder / tables.BOX_TABLE).write_text(
        csv_text(("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""), boxes)
    )


def _entry(film: Description, size: int) -> tuple[object, ...]:
    found = "|".join(tables.CLASSES[k] for k in np.flatnonzero(film.labels)) or "No Finding"
    return (
        name_of(film), found, film.follow_up, film.patient + 1, film.age, film.sex, film.view,
        size, size, 0.143, 0.143,
    )  # fmt: skip


def _boxes(film: Description, scale: float) -> list[tuple[object, ...]]:
    """Return the boxes of a test image: of labelled findings, in classes that NIH has boxes of."""
    rows: list[tuple[object, ...]] = []
    for box, kind in zip(film.boxes.astype(float) * scale, film.box_classes, strict=True):
        if kind < BOXED and film.labels[kind]:
            name = "Infiltrate" if kind == tables.INFILTRATION else tables.CLASSES[kind]
            x, y, right, bottom = box.tolist()
            rows.append((name_of(film), name, x, y, right - x, bottom - y))
    return rows
