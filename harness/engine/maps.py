"""Columns that a model makes, and stand-ins for columns whose data are elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Column, LabelSpace, Samples
from harness.data.view import View
from harness.engine.compute import Compute
from harness.engine.distributed import barrier, ranks
from harness.engine.evaluate import evaluating
from harness.engine.feed import plain_feed
from harness.errors import DataError
from harness.files import cannot_write
from harness.model.model import Model

Array = npt.NDArray[Any]


def find_annotated(
    train: Samples, auxiliary: Mapping[str, Samples], column: str, organs: tuple[str, ...]
) -> Samples:
    """Return the auxiliary or training samples that have a column, with these organs if masks.

    What the user adds to a run is asked first: it was added to be used.

    Raises:
        DataError: none has.
    """
    for samples in (*auxiliary.values(), train):
        if column in samples.columns and set(organs) <= set(samples.space.organs):
            return samples
    asked = f"{column!r}" + (f" of {', '.join(organs)}" if organs else "")
    raise DataError(
        f"no dataset of this run has {asked}; add one that has, e.g. "
        "--with jsrt:ROOT, or name it in harness.toml"
    )


def column_specs(samples: Samples) -> dict[str, Any]:
    """Return dtype, shape and kind of each column, enough to stand in for samples without data."""
    specs = {
        name: {
            "dtype": str(c.values.dtype),
            "shape": list(c.values.shape[1:]),
            "spatial": c.spatial,
        }
        for name, c in samples.columns.items()
    }
    return {"columns": specs, "space": vars(samples.space), "view": vars(samples.view)}


def mapped_shape(
    model: Model, function: Callable[[Batch], Tensor], samples: Samples, compute: Compute
) -> tuple[tuple[int, ...], str]:
    """Return the shape and dtype that a map gives one image."""
    one = np.zeros(1, dtype=np.int64)
    feed = plain_feed(samples, one, 1, compute.device, inputs_only=False)
    with evaluating(model), compute.autocast():
        value = stored(function(next(iter(feed))))
    return tuple(value.shape[1:]), str(value.dtype)


def stored(value: Tensor) -> Array:
    """Return what a map gave as it is stored: numpy has no bfloat16, which autocast may give."""
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()


def open_map(folder: Path, count: int, shape: tuple[int, ...], dtype: str) -> tuple[Array, Array]:
    """Open the memory maps of a map's values (N, ...) and of which rows are done (N,)."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"values": ((count, *shape), np.dtype(dtype)), "done": ((count,), np.dtype(np.uint8))}
    opened = []
    for name, (whole, kind) in files.items():
        path = folder / f"{name}.bin"
        length = int(np.prod(whole)) * kind.itemsize
        if ranks().first and not (path.exists() and path.stat().st_size == length):
            _allocate(path, length)
        barrier()
        opened.append(np.memmap(path, dtype=kind, mode="r+", shape=whole))
    return opened[0], opened[1]


def _allocate(path: Path, length: int) -> None:
    try:
        with path.open("ab") as file:
            file.truncate(length)
            if length:
                os.posix_fallocate(file.fileno(), 0, length)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def spec(values: Array, *, spatial: bool) -> dict[str, Any]:
    """Return dtype, shape of one image and kind of a column."""
    return {"dtype": str(values.dtype), "shape": list(values.shape[1:]), "spatial": spatial}


def stand_in(specs: Mapping[str, Any]) -> Samples:
    """Return no samples, with the columns that ``column_specs`` described."""
    space = LabelSpace(**{name: tuple(value) for name, value in specs["space"].items()})
    none = np.zeros(0, dtype=np.int64)
    columns = {
        name: Column(np.zeros((0, *c["shape"]), dtype=c["dtype"]), none, spatial=c["spatial"])
        for name, c in specs["columns"].items()
    }
    return Samples(columns, space, View(**specs["view"]))
