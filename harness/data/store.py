"""The packed store: radiographs decoded once, in one view, into a uint8 memory map.

A store is named by what it was made from: the dataset, its image names, the stamp of each file and
the view. It is filled with the rows that a run needs, on all cores, and can be interrupted: what is
decoded stays.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.samples import Column, Samples
from harness.data.view import View
from harness.errors import DataError
from harness.files import cannot_write, locked, write_json
from harness.home import home
from harness.progress import Bar, say

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
_DIGEST = 16  # bytes kept of each image's hash
_FLUSH = 256  # images between two promises that what is marked done is on the disk


@dataclass(frozen=True)
class Store:
    """Decoded radiographs on disk: ``images`` (N, S, S) and ``masks`` (N, M, S, S) or None.

    ``done`` (N,) tells which rows are filled: 0 not yet, 1 filled, 2 the file cannot be decoded;
    ``digests`` (N, 16) are hashes of the filled rows.
    """

    folder: Path
    view: View
    images: Array
    masks: Array | None
    done: Array
    digests: Array

    def digest(self, rows: Rows) -> str:
        """Return sixteen hex digits over the pixels of these rows, in this order."""
        return hashlib.sha256(self.digests[rows].tobytes()).hexdigest()[:16]

    def corrupt(self, rows: Rows) -> Rows:
        """Return those rows whose files cannot be decoded."""
        return np.asarray(rows[self.done[rows] == 2])

    def attach(self, samples: Samples, rows: Rows) -> Samples:
        """Return the dataset's samples at ``rows`` with their images and, if any, masks."""
        part = samples.take(rows)
        part.view = self.view
        digest = self.digest(rows)
        part.columns["images"] = Column(self.images, rows, digest)
        if self.masks is not None:
            part.columns["masks"] = Column(self.masks, rows, digest, spatial=True)
        return part


def key(dataset: Dataset, view: View) -> str:
    """Return the name of the store of a dataset in a view."""
    digest = hashlib.sha256(f"{dataset.name}\n{view}\n".encode())
    for row, name in enumerate(dataset.samples.names):
        digest.update(f"{name}\t{dataset.stamp(row)}\n".encode())
    return f"{dataset.name}-{view.size}-{view.aspect}-{digest.hexdigest()[:16]}"


def size(dataset: Dataset, view: View, rows: Rows) -> int:
    """Return the bytes that these rows take in a store."""
    return len(rows) * view.size**2 * (1 + len(dataset.space.organs))


def prepare(
    dataset: Dataset, view: View, rows: Rows, *, skip_corrupt: bool = False, quiet: bool = False
) -> Store:
    """Return the store with these rows filled; decodes on all cores what is not there yet.

    Raises:
        DataError: files cannot be decoded (all of them are named) and ``skip_corrupt`` is False.
        HarnessError: the disk is full.
    """
    folder = home() / "stores" / key(dataset, view)
    with locked(folder.with_suffix(".lock"), lambda: say(f"waiting for {folder.name}")):
        store = _open(folder, dataset, view)
        missing = rows[store.done[rows] != 1]
        if len(missing):
            failures = _fill(store, dataset, missing, quiet=quiet)
            if failures and not skip_corrupt:
                raise DataError(_report(failures))
    return store


def _report(failures: dict[int, str]) -> str:
    shown = [failures[row] for row in sorted(failures)[:10]]
    more = f"\n... and {len(failures) - 10} more" if len(failures) > 10 else ""
    count = "1 radiograph" if len(failures) == 1 else f"{len(failures)} radiographs"
    return (
        f"{count} cannot be read:\n"
        + "\n".join(shown)
        + f"{more}\nReplace what is broken, or run with --skip-corrupt to leave it out and record "
        "that."
    )


def _open(folder: Path, dataset: Dataset, view: View) -> Store:
    """Open the files of a store, making them (sparse: rows take space when they are filled)."""
    count, organs = len(dataset.samples), len(dataset.space.organs)
    shapes = {
        "images": (count, view.size, view.size),
        "masks": (count, organs, view.size, view.size),
        "done": (count,),
        "digests": (count, _DIGEST),
    }
    if not (folder / "store.json").exists():
        about = {"dataset": dataset.name, "size": view.size, "aspect": view.aspect, "images": count}
        write_json(folder / "store.json", about)
    maps = {name: _map(folder / f"{name}.u8", shape) for name, shape in shapes.items()}
    masks = maps["masks"] if organs else None
    return Store(folder, view, maps["images"], masks, maps["done"], maps["digests"])


def _map(path: Path, shape: tuple[int, ...]) -> Array:
    length = int(np.prod(shape))
    if length == 0:
        return np.zeros(shape, dtype=np.uint8)
    try:
        with path.open("ab") as file:
            file.truncate(length)
        return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        raise cannot_write(path, error) from error


def _fill(store: Store, dataset: Dataset, rows: Rows, *, quiet: bool) -> dict[int, str]:
    """Decode rows on all cores; return what could not be read by row."""
    failures: dict[int, str] = {}

    def decode(row: int) -> int:
        try:
            _put(store, dataset, row)
        except DataError as error:
            failures[row] = str(error)
        return row

    with (
        all_cores() as pool,
        Bar(f"decoding {dataset.name} at {store.view.size}", len(rows), quiet=quiet) as bar,
    ):
        coming: list[tuple[list[int], Iterator[int]]] = []
        for chunk in [*_chunks(rows.tolist(), _FLUSH), []]:
            _reserve(store, chunk)
            coming.append((chunk, pool.map(decode, chunk)))
            if len(coming) > 1:  # the cores go on with this chunk while the last one is written
                decoded, results = coming.pop(0)
                for _ in results:
                    bar.advance()
                _flush(store)
                store.done[decoded] = [2 if row in failures else 1 for row in decoded]
    return failures


@contextmanager
def all_cores() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for each core; where the block is left early, nothing more is begun."""
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _put(store: Store, dataset: Dataset, row: int) -> None:
    """Decode one radiograph, and its masks, into its place."""
    image = store.view.resize(dataset.read(row))
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=_DIGEST)
    if store.masks is not None:
        masks = dataset.read_masks(row)
        if masks is None:
            raise DataError(f"{dataset.name}: {dataset.samples.names[row]} has no organ masks")
        for organ, mask in enumerate(masks):
            resized = np.where(store.view.resize(mask) >= 128, np.uint8(255), np.uint8(0))
            store.masks[row, organ] = resized
            digest.update(resized.data)
    store.images[row] = image
    store.digests[row] = np.frombuffer(digest.digest(), dtype=np.uint8)


def _reserve(store: Store, rows: list[int]) -> None:
    """Take the disk space of rows, so that a full disk is an error here and not a dead process."""
    for array in (store.images, store.masks):
        if isinstance(array, np.memmap):
            width = int(np.prod(array.shape[1:]))
            with Path(str(array.filename)).open("r+b") as file:
                for start, stop in _runs(rows):
                    try:
                        os.posix_fallocate(file.fileno(), start * width, (stop - start) * width)
                    except OSError as error:
                        raise cannot_write(store.folder, error) from error


def _runs(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the consecutive stretches of rows as (first, last + 1)."""
    if not rows:
        return
    start = previous = rows[0]
    for row in rows[1:]:
        if row != previous + 1:
            yield start, previous + 1
            start = row
        previous = row
    yield start, previous + 1


def _flush(store: Store) -> None:
    for array in (store.images, store.masks, store.digests):
        if isinstance(array, np.memmap):
            array.flush()


def _chunks(rows: Iterable[int], length: int) -> Iterator[list[int]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, length)):
        yield chunk


def staged(store: Store, rows: Rows, directory: Path, *, quiet: bool = False) -> Store:
    """Return the store with these rows copied to a folder, of a disk near the processor, first."""
    folder = directory / f"{store.folder.name}-{store.digest(rows)}"
    with locked(folder.with_suffix(".lock")):
        copies = {}
        folder.mkdir(parents=True, exist_ok=True)
        complete = (folder / "complete").exists()
        for name, array in (("images", store.images), ("masks", store.masks)):
            if array is not None:
                copies[name] = _map(folder / f"{name}.u8", array.shape)
        near = Store(
            folder, store.view, copies["images"], copies.get("masks"), store.done, store.digests
        )
        if not complete:
            with Bar(f"staging to {directory}", len(rows), quiet=quiet) as bar:
                for chunk in _chunks(np.sort(rows).tolist(), _FLUSH):
                    _reserve(near, chunk)
                    near.images[chunk] = store.images[chunk]
                    if near.masks is not None and store.masks is not None:
                        near.masks[chunk] = store.masks[chunk]
                    bar.advance(len(chunk))
            (folder / "complete").touch()
    return near
