"""Heat maps with true and predicted boxes, where the data's licence lets pictures be passed on.

Which findings are shown does not depend on any result: classes in turn, and within a class the
images whose names have the smallest sha256.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Dataset
from harness.data.opening import dataset_of
from harness.errors import HarnessError
from harness.metrics.boxes import Annotated
from harness.metrics.boxes_report import of_boxes
from harness.metrics.evaluated import Evaluated
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.protocols import PROTOCOLS, boxes_above
from harness.pictures.overlay import PREDICTED, TRUE, Pixels, blended, grey, jpeg, with_box
from harness.report.grids import Grid, Line
from harness.results.rescore import stored
from harness.results.schema import Record

SIDE = 320
"""Pixels of the longer side of a picture."""

METHODS = 4
"""Methods whose maps stand beside each other: the first of a grid that have any."""

RULE = "chestx-ray8"

LICENCES = {"nih": "NIH Clinical Center; Wang et al., CVPR 2017"}
"""Data sets whose pictures may be passed on, with whom to name."""


@dataclass(frozen=True)
class Picture:
    """One picture of a finding as a data URL, with what is to be said of it."""

    title: str
    text: str
    alt: str
    url: str


@dataclass(frozen=True)
class Finding:
    """One class in one image: the radiograph, then a heat map for each method."""

    name: str
    image: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """The findings of a grid, or why there are none; ``cause`` is for who makes the page."""

    findings: tuple[Finding, ...] = ()
    credit: str = ""
    missing: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Looked:
    """The stored heat maps of one method, box by box."""

    label: str
    heat: HeatMaps
    annotated: Annotated
    evaluated: Evaluated

    @property
    def findings(self) -> list[tuple[str, int]]:
        """The image and the class of each box."""
        pairs = zip(self.annotated.images.tolist(), self.annotated.classes.tolist(), strict=True)
        return list(pairs)


def gallery(grid: Grid, folders: Mapping[str, Path], roots: Sequence[str], most: int) -> Gallery:
    """Return at most ``most`` findings of a grid; ``roots`` are ``name:ROOT`` of datasets."""
    record = grid.lines[0].runs.first
    refused = _refused(record)
    if refused:
        return Gallery(missing=refused)
    looked = _looked(grid.lines, folders)
    if not looked:
        return Gallery(missing="No heat maps with boxes are stored with these runs.")
    try:
        dataset = _opened(record, roots)
    except HarnessError as error:
        name = record["dataset"]["name"]
        told = f"The images of {name} are not at hand where this page was made."
        why = str(error).partition("\n")[0]
        return Gallery(missing=told, cause=f"{name} cannot be opened (--root {name}:DIR): {why}")
    rows = {name: row for row, name in enumerate(dataset.samples.names.tolist())}
    known = all(image in rows for image, _ in looked[0].findings)
    if not known or not _same_data(dataset, record):
        told = f"The copy of {dataset.name} at hand is not the one that these runs saw."
        return Gallery(missing=told)
    chosen = _in_turn(looked[0].findings)[:most]
    pictures = tuple(_finding(dataset.read(rows[image]), image, c, looked) for image, c in chosen)
    return Gallery(pictures, LICENCES.get(dataset.name, "") if dataset.phantom is None else "")


def _refused(record: Record) -> str:
    """Say why no picture of a record's data may be shown, if so."""
    data = record["dataset"]
    if data["credentialed"]:
        return "Credentialed data: none of its images may leave the machine that holds it."
    if data["phantom"] is None and data["name"] not in LICENCES:
        return f"Whether images of {data['name']} may be passed on is not known: none are shown."
    return ""


def _looked(lines: Sequence[Line], folders: Mapping[str, Path]) -> list[Looked]:
    """Return the maps of the first methods that have any for the same boxes."""
    found: list[Looked] = []
    for line in lines:
        record = line.runs.first
        folder = folders[record["folder"]]
        if not (folder / "maps.npz").exists() or record["scores"] is None:
            continue
        _, evaluated = stored(folder)
        if evaluated.maps is None or evaluated.boxes is None:
            continue
        one = Looked(record["label"], *of_boxes(evaluated), evaluated)
        if one.findings and (not found or one.findings == found[0].findings):
            found.append(one)
        if len(found) == METHODS:
            break
    return found


def _opened(record: Record, roots: Sequence[str]) -> Dataset:
    """Open the data of a record, where its ``name:ROOT`` says or a run would find them."""
    pairs = (text.partition(":")[::2] for text in roots)
    given = [Path(root) for name, root in pairs if root and name == record["dataset"]["name"]]
    return dataset_of(record, given[0] if given else None)


def _same_data(dataset: Dataset, record: Record) -> bool:
    """Whether phantoms are these phantoms, and radiographs are radiographs."""
    expected = record["dataset"]["phantom"]
    found = None if dataset.phantom is None else dict(dataset.phantom)
    return bool(found == expected)


def _in_turn(findings: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Order findings: one of each class, then a second of each; a class by the hash of names."""
    by_class: dict[int, list[str]] = {}
    for image, c in sorted(set(findings), key=lambda pair: (pair[1], _hash(pair[0]))):
        by_class.setdefault(c, []).append(image)
    longest = max(map(len, by_class.values()))
    return [
        (images[i], c) for i in range(longest) for c, images in by_class.items() if i < len(images)
    ]


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _finding(image: NDArray[Any], name: str, c: int, looked: Sequence[Looked]) -> Finding:
    """Draw one class of one image: the true boxes, then the map and the boxes of each method."""
    title = str(looked[0].evaluated.classes[c])
    small = _small(image)
    truth = _rows(looked[0], name, c)
    boxes = looked[0].annotated.boxes[truth] * _scale(looked[0], truth[0], small)
    plain = _with_boxes(grey(small), boxes, TRUE)
    marked = f"{len(boxes)} true box{'es' if len(boxes) > 1 else ''}"
    first = Picture("Radiograph", marked, f"{name} with the true boxes of {title}", _url(plain))
    return Finding(title, name, (first, *(_map(small, boxes, name, title, c, o) for o in looked)))


def _map(
    small: Pixels, boxes: NDArray[Any], name: str, title: str, c: int, looked: Looked
) -> Picture:
    rows = _rows(looked, name, c)
    heat = looked.heat.in_original(int(rows[0]), (small.shape[0], small.shape[1]))
    found = predicted_boxes(looked.heat, int(rows[0])) * _scale(looked, rows[0], small)
    drawn = _with_boxes(_with_boxes(blended(small, heat), boxes, TRUE), found, PREDICTED)
    overlaps = PROTOCOLS[RULE].score(looked.heat.take(rows), looked.annotated.take(rows)).iou
    text = f"IoU {', '.join(f'{value:.2f}' for value in overlaps)}"
    if looked.evaluated.scores is not None:
        at = int(np.flatnonzero(looked.evaluated.names == name)[0])
        text = f"score {looked.evaluated.scores[at, c]:.2f}, {text}"
    alt = f"{name} under the heat map of {looked.label} for {title}, {text}"
    return Picture(looked.label, text, alt, _url(drawn))


def _rows(looked: Looked, name: str, c: int) -> NDArray[np.int64]:
    return np.flatnonzero((looked.annotated.images == name) & (looked.annotated.classes == c))


def predicted_boxes(heat: HeatMaps, row: int) -> NDArray[np.float64]:
    """Return the boxes (k, 4) in original pixels that the rule `chestx-ray8` finds in one map."""
    found = [part.boxes for _, part in boxes_above(heat.take(np.array([row])))]
    return np.concatenate([np.zeros((0, 4)), *found])


def _small(image: NDArray[Any]) -> Pixels:
    """Return an image (H, W) uint8 with its longer side of at most `SIDE`."""
    height, width = image.shape
    factor = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _scale(looked: Looked, row: int, small: Pixels) -> NDArray[np.float64]:
    """Return what original x, y, x, y are multiplied with to lie in the picture."""
    height, width = looked.heat.sizes[row]
    return np.tile([small.shape[1] / width, small.shape[0] / height], 2)


def _with_boxes(picture: Pixels, boxes: NDArray[Any], colour: tuple[int, int, int]) -> Pixels:
    for box in boxes:
        picture = with_box(picture, box, colour, thick=2)
    return picture


def _url(picture: Pixels) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()
