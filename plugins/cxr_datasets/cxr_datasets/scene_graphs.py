"""Scene graphs of Chest ImaGenome: regions, their boxes, and what sentences say of them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cxr_datasets.archives import Folder, Source, Zip
from cxr_datasets.processes import on_processes
from harness import DataError
from harness.files import write_atomically
from harness.home import home
from harness.progress import Bar

Array = npt.NDArray[Any]
Rule = Literal["last_wins", "any_yes"]

SUFFIX = "_SceneGraph.json"
_FORMAT = 1  # of what is kept; another number parses everything again
_CHUNK, _FEW = (
    256,
    1_500,
)  # graphs a process takes at once; graphs sooner parsed than processes start
_CORNERS = ("original_x1", "original_y1", "original_x2", "original_y2")


@dataclass(frozen=True)
class Vocabulary:
    """What is looked for: regions and labels by name, and how sentences are joined.

    A label that no sentence of a region mentions is 0. ``last_wins``: a later sentence overwrites
    an earlier one, as in AnaXNet's code; ``any_yes``: one yes is enough.
    """

    regions: tuple[str, ...]
    labels: tuple[str, ...]
    rule: Rule
    meaning: dict[str, tuple[int, int] | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    def read(self, statement: object) -> tuple[int, int] | None:
        """Return label index and 1 or 0 of ``category|yes|label``; None for another label.

        Raises:
            ValueError: it is not of this form.
        """
        if not isinstance(statement, str):
            raise ValueError(f"the attribute {statement!r} is no text")
        if statement not in self.meaning:
            parts = statement.split("|")
            if len(parts) != 3 or parts[1] not in ("yes", "no"):
                raise ValueError(f"the attribute {statement!r} is not category|yes or no|label")
            known = parts[2] in self.labels
            self.meaning[statement] = (
                (self.labels.index(parts[2]), int(parts[1] == "yes")) if known else None
            )
        return self.meaning[statement]


@dataclass(frozen=True)
class Graphs:
    """N parsed scene graphs.

    ``boxes`` (N, R, 4) float32 in original pixels, NaN where a region has none; ``labels``
    (N, R, L) uint8; ``ages`` (N,) float32, the middle of the decade; ``male`` (N,) float32;
    ``patients`` (N,) text; ``doubled`` and ``unusable`` (N,) count boxes that were joined with
    another of the same region, and boxes without four numbers.
    """

    boxes: Array
    labels: Array
    ages: Array
    male: Array
    patients: Array
    doubled: Array
    unusable: Array


def open_graphs(silver: Path) -> Source:
    """Return the scene graphs of a silver_dataset folder: unpacked (also twice nested) or zipped.

    Raises:
        DataError: there are none.
    """
    for folder in (silver / "scene_graph" / "scene_graph", silver / "scene_graph"):
        if folder.is_dir():
            source = Folder(folder, SUFFIX)
            if next(source.names(), None):
                return source
    if (silver / "scene_graph.zip").is_file():
        return Zip(silver / "scene_graph.zip", SUFFIX)
    raise DataError(f"{silver} has neither scene_graph.zip nor a folder scene_graph with graphs")


def parse_all(source: Source, images: Sequence[str], vocabulary: Vocabulary) -> Graphs:
    """Return the graphs of these images, parsed on all cores once and kept under HARNESS_HOME.

    What is kept is named by names, sizes and times (or checksums) of the files.
    """
    digest = hashlib.sha256(f"{_FORMAT} {vocabulary}".encode())
    for image in images:
        digest.update(f"{image} {source.stamp(image + SUFFIX)}\n".encode())
    kept = home() / "indices" / f"imagenome-{digest.hexdigest()[:16]}.npz"
    if not kept.exists():
        chunks = list(_parsed(source, images, vocabulary))
        columns = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
        write_atomically(kept, lambda path: _save(path, columns))
    with np.load(kept) as found:
        return Graphs(*(found[name] for name in found.files))


def _save(path: Path, columns: list[Array]) -> None:
    with path.open("wb") as file:
        np.savez(file, *columns)


def _parsed(
    source: Source, images: Sequence[str], vocabulary: Vocabulary
) -> Iterator[tuple[Array, ...]]:
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with Bar("parsing scene graphs", len(images), "graphs") as bar:
        for columns in _on_all_cores(source, chunks, vocabulary, len(images) <= _FEW):
            bar.advance(len(columns[0]))
            yield columns


def _on_all_cores(
    source: Source, chunks: list[Sequence[str]], vocabulary: Vocabulary, few: bool
) -> Iterator[tuple[Array, ...]]:
    cores = len(os.sched_getaffinity(0))
    if few or cores == 1:
        yield from map(partial(parse_chunk, source, vocabulary), chunks)
        return
    again = (isinstance(source, Zip), source.path)
    yield from on_processes(
        cores, partial(parse_chunk, None, vocabulary), chunks, begin=_open, given=again
    )


_opened: list[Source] = []  # of a process that parses


def _open(zipped: bool, path: Path) -> None:
    _opened.append(Zip(path, SUFFIX) if zipped else Folder(path, SUFFIX))


def parse_chunk(
    source: Source | None, vocabulary: Vocabulary, images: Sequence[str]
) -> tuple[Array, ...]:
    """Return the columns of ``Graphs`` for some images, in their order."""
    files = source or _opened[0]
    shape = (len(images), len(vocabulary.regions))
    boxes = np.full((*shape, 4), np.nan, dtype=np.float32)
    labels = np.zeros((*shape, len(vocabulary.labels)), dtype=np.uint8)
    numbers = np.zeros((4, len(images)), dtype=np.float32)
    patients = []
    place = {name: index for index, name in enumerate(vocabulary.regions)}
    for row, image in enumerate(images):
        name = image + SUFFIX
        try:
            graph = _load(files.read(name), image)
            numbers[2:, row] = _read_boxes(graph, place, boxes[row])
            _read_labels(graph, place, vocabulary, labels[row])
            numbers[:2, row] = _age(graph), {"M": 1.0, "F": 0.0}.get(graph["gender"], math.nan)
            patients.append(str(graph["patient_id"]))
        except ValueError as error:
            raise DataError(f"{files.where(name)}: {error}") from None
    return boxes, labels, *numbers[:2], np.array(patients, dtype=np.str_), *numbers[2:]


def _load(content: bytes, image: str) -> dict[str, Any]:
    """Return a graph as a dictionary with the keys that are read, of the right kind.

    Raises:
        ValueError: it is no such graph, or another image's.
    """
    try:
        graph = json.loads(content)
    except RecursionError:
        raise ValueError("no scene graph: nested too deeply") from None
    if not isinstance(graph, dict):
        raise ValueError("no scene graph: not a JSON object")
    for key, kind in (("objects", list), ("attributes", list), ("image_id", str)):
        if not isinstance(graph.get(key), kind):
            raise ValueError(f"no scene graph: {key!r} is missing or no {kind.__name__}")
    if not isinstance(graph.get("patient_id"), int | str):
        raise ValueError("no scene graph: 'patient_id' is missing")
    if graph["image_id"].removesuffix(".dcm") != image:
        raise ValueError(f"the scene graph is of another image, {graph['image_id']!r}")
    graph["gender"] = str(graph.get("gender"))
    return graph


def _entries(graph: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in graph[key]:
        name = entry.get("bbox_name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise ValueError(f"an entry of {key!r} has no 'bbox_name'")
        yield name, entry


def _read_boxes(
    graph: Mapping[str, Any], place: Mapping[str, int], boxes: Array
) -> tuple[int, int]:
    """Fill boxes (R, 4); return how many were joined with another, and how many have no numbers."""
    doubled = unusable = 0
    for name, entry in _entries(graph, "objects"):
        if name not in place:
            continue
        corners = [_number(entry.get(key), key) for key in _CORNERS]
        if not all(map(math.isfinite, corners)):
            unusable += 1
            continue
        box = boxes[place[name]]
        if math.isnan(box[0]):
            box[:] = corners
        else:
            doubled += 1
            box[:2] = np.minimum(box[:2], corners[:2])
            box[2:] = np.maximum(box[2:], corners[2:])
    return doubled, unusable


def _number(value: object, key: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key!r} is {value!r}, no number")
    return float(value) if abs(value) < 1e9 else math.nan


def _read_labels(
    graph: Mapping[str, Any], place: Mapping[str, int], vocabulary: Vocabulary, labels: Array
) -> None:
    """Fill labels (R, L) from the sentences of each region, in their order."""
    any_yes = vocabulary.rule == "any_yes"
    for name, entry in _entries(graph, "attributes"):
        if name not in place:
            continue
        sentences = entry.get("attributes")
        if not isinstance(sentences, list) or not all(isinstance(s, list) for s in sentences):
            raise ValueError(f"the attributes of {name!r} are no list of lists")
        row = labels[place[name]]
        for statement in chain.from_iterable(sentences):
            said = vocabulary.read(statement)
            if said is not None and (said[1] or not any_yes):
                row[said[0]] = said[1]


def _age(graph: Mapping[str, Any]) -> float:
    """Return the middle of an ``age_decile`` such as "50-60"; NaN without one."""
    low, _, high = str(graph.get("age_decile", "")).partition("-")
    known = low.isascii() and low.isdigit() and high.isascii() and high.isdigit()
    return (int(low) + int(high)) / 2 if known and len(high) < 4 else math.nan
