"""Phantoms written in a dataset's layout: drawn on all cores, the root whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr_datasets.processes import on_processes
from harness import DataError, Dataset, Description, Drawing, PhantomSettings, SettingError, draw
from harness.files import cannot_write, write_json
from harness.progress import Bar

FILE = "phantom.json"
_FEW = 64  # images that are drawn sooner than other processes start

Store = Callable[[Path, int, Drawing], None]
"""Write the files of one phantom, given its place in the series, into a folder."""
Finish = Callable[[Path, Sequence[Description], PhantomSettings], None]
"""Write the tables of all phantoms, whose masks are left out, into a folder."""


def read_settings(root: Path) -> Mapping[str, object] | None:
    """Return the settings of the phantoms in a root; None where it holds real radiographs.

    Raises:
        DataError: the file that says so cannot be read.
    """
    path = root / FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no settings; these phantoms must be written again")
    return found


def settings_of(switches: Mapping[str, object], **defaults: object) -> PhantomSettings:
    """Return phantom settings from switches, with a layout's own defaults.

    Raises:
        SettingError: there is no such switch, or a value has the wrong type or range.
    """
    known = [field.name for field in fields(PhantomSettings)]
    for name in switches:
        if name not in known:
            raise SettingError(f"phantoms have no switch {name!r}; there are {', '.join(known)}")
    values: dict[str, Any] = {**defaults, **switches}
    try:
        return PhantomSettings(**values)
    except TypeError as error:
        raise SettingError(f"phantoms: a switch has a value of the wrong type ({error})") from None


def write_root(
    kind: Callable[[Path], Dataset],
    root: Path,
    images: int,
    settings: PhantomSettings,
    store: Store,
    finish: Finish,
) -> None:
    """Write ``images`` phantoms as one root of a dataset.

    Everything is written beside the root first, then read back once, then renamed.

    Raises:
        SettingError: the root is not empty, or there are too few images for every split.
        HarnessError: the disk is full.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SettingError(f"{root} is not empty; give a new folder for the phantoms")
    unfinished = root.with_name(f".{root.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir(parents=True)
        films = list(_drawn(unfinished, images, settings, store))
        finish(unfinished, films, settings)
        write_json(unfinished / FILE, {"images": images, **settings.as_dict()})
        _read_back(kind, unfinished, images)
        unfinished.replace(root)
    except OSError as error:
        raise cannot_write(root, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read_back(kind: Callable[[Path], Dataset], root: Path, images: int) -> None:
    try:
        splits = kind(root).splits
    except DataError as error:
        raise SettingError(f"{images} phantoms cannot be read back: {error}") from None
    for part, rows in splits.items():
        if not len(rows):
            raise SettingError(f"{images} images leave the {part} split empty; ask for more")


def _drawn(
    folder: Path, images: int, settings: PhantomSettings, store: Store
) -> Iterator[Description]:
    one = partial(_draw_and_store, folder, settings, store)
    with Bar("drawing phantoms", images) as bar:
        for film in _on_all_cores(one, images):
            bar.advance()
            yield film


def _on_all_cores(one: Callable[[int], Description], images: int) -> Iterator[Description]:
    cores = len(os.sched_getaffinity(0))
    if images <= _FEW or cores == 1:
        yield from map(one, range(images))
        return
    yield from on_processes(cores, one, range(images), chunk=8, begin=cv2.setNumThreads, given=(1,))


def _draw_and_store(
    folder: Path, settings: PhantomSettings, store: Store, index: int
) -> Description:
    drawing = draw(settings, index)
    store(folder, index, drawing)
    known = {field.name: getattr(drawing, field.name) for field in fields(Description)}
    return replace(Description(**known), masks=np.zeros((0, 0, 0), dtype=bool))


def write_image(path: Path, image: Any, quality: int | None = None) -> None:  # noqa: ANN401
    """Write pixels (H, W) uint8 as PNG, lightly compressed, or as JPEG of a quality."""
    options = (
        [cv2.IMWRITE_PNG_COMPRESSION, 1] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    _, content = cv2.imencode(path.suffix, image, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.tobytes())


def csv_text(header: Sequence[str], rows: Sequence[Sequence[object]], end: str = "\n") -> str:
    """Return lines of values joined by commas; none of them holds one."""
    lines = [header, *rows]
    return "".join(",".join(map(str, line)) + end for line in lines)
