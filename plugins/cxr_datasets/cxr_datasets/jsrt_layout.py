"""Phantoms as JSRT and SCR: raw .IMG films, clinical tables, organ masks as .gif by fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cxr_datasets.gif import write_gif
from harness import Description, Drawing, PhantomSettings
from harness.data.phantom import FINDINGS, ORGANS

Array = npt.NDArray[Any]

SIDE, MASK_SIDE = 2048, 1024
SPACING = 0.175  # mm a pixel
NODULE = FINDINGS.index("Nodule")


def name_of(film: Description, index: int) -> str:
    """Return JPCLN... for a film on which a nodule was drawn, JPCNN... for others."""
    return f"JPC{'L' if NODULE in film.box_classes else 'N'}N{index + 1:03d}"


def store(folder: Path, index: int, drawing: Drawing) -> None:
    """Write film and masks of one phantom."""
    name = name_of(drawing, index)
    image = cv2.resize(drawing.image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    film = 4095 - np.rint(np.arange(256) * (4095 / 255)).astype(">u2")[image]
    path = folder / "All247images" / f"{name}.IMG"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film.astype(">u2").tobytes())
    for organ, mask in zip(ORGANS, drawing.masks, strict=True):
        path = folder / "scratch" / f"fold{1 + index % 2}" / "masks" / organ.replace("_", " ")
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.gif").write_bytes(write_gif(mask_of(mask)))


def mask_of(mask: Array) -> Array:
    """Return a mask at SCR's size, uint8."""
    side = (MASK_SIDE, MASK_SIDE)
    return np.asarray(cv2.resize(mask.astype(np.uint8), side, interpolation=cv2.INTER_NEAREST))


def nodule_of(film: Description, size: int) -> tuple[int, int, float]:
    """Return x and y of the largest drawn nodule in pixels of the film, and its size in mm."""
    boxes = film.boxes[film.box_classes == NODULE].astype(float) * (SIDE / size)
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    largest = int(np.argmax(widths * heights))
    x1, y1, x2, y2 = boxes[largest].tolist()
    millimetres = (widths[largest] + heights[largest]) / 2 * SPACING
    return round((x1 + x2) / 2), round((y1 + y2) / 2), round(float(millimetres), 1)


def finish(folder: Path, films: Sequence[Description], settings: PhantomSettings) -> None:
    """Write the clinical tables, as they come: tabs, and lines that end with a carriage return."""
    tables: dict[str, list[Sequence[object]]] = {"CLNDAT_EN.txt": [], "CNNDAT_EN.TXT": []}
    for index, film in enumerate(films):
        name, sex = f"{name_of(film, index)}.IMG", {"M": "Male", "F": "Female"}[film.sex]
        if NODULE in film.box_classes:
            x, y, size = nodule_of(film, settings.size)
            row = (name, 3, size, film.age, sex, x, y, "benign", "drawn", "drawn")
            tables["CLNDAT_EN.txt"].append(row)
        else:
            tables["CNNDAT_EN.TXT"].append((name, film.age, sex, "non-nodule"))
    for table, rows in tables.items():
        text = "".join("\t".join(map(str, row)) + "\r" for row in rows)
        (folder / table).write_bytes(text.encode())
