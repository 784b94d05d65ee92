"""The batches of an epoch, gathered by one thread into reused buffers while the last one trains."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine.distributed import Ranks
from harness.seeds import generator

Rows = npt.NDArray[np.int64]
Item = TypeVar("Item")
_AHEAD = 4  # batches made at a time: two threads that take turns at each lose more than they win


@dataclass(frozen=True)
class Draw:
    """One forward of the loop: which images of each source, of all devices and of this one."""

    number: int  # within the epoch
    whole: Mapping[str, Rows]
    share: Mapping[str, Rows]

    @property
    def size(self) -> int:
        """Images of the first source over all devices."""
        return len(next(iter(self.whole.values())))


def epoch_draws(
    sources: Mapping[str, Samples],
    batch_size: int,
    seed: int,
    path: tuple[object, ...],
    here: Ranks,
    *,
    drop_last: bool = False,
) -> list[Draw]:
    """Return the draws of an epoch: the first source shuffled, the others with replacement.

    A rank whose share of an uneven last batch would be empty gets one image that weighs nothing.
    """
    lengths = {name: len(samples) for name, samples in sources.items()}
    first = next(iter(sources))
    order = generator(seed, *path, first, "order").permutation(lengths[first])
    draws = []
    for number, start in enumerate(range(0, lengths[first], batch_size)):
        whole = {first: order[start : start + batch_size]}
        if drop_last and len(whole[first]) < batch_size:
            break
        for name in list(sources)[1:]:
            random = generator(seed, *path, name, number)
            whole[name] = random.integers(lengths[name], size=len(whole[first]))
        share = {name: np.array_split(rows, here.world)[here.rank] for name, rows in whole.items()}
        draws.append(Draw(number, whole, share))
    return draws


def feed(
    sources: Mapping[str, Samples], draws: list[Draw], device: torch.device
) -> Iterator[tuple[Draw, dict[str, Batch]]]:
    """Yield each draw with its batches, uint8, on the device; ``batch_labels`` are set."""
    gatherers = {name: Gatherer(samples, device) for name, samples in sources.items()}

    def make() -> Iterator[tuple[Draw, dict[str, Batch]]]:
        for draw in draws:
            batches = {}
            for name, gather in gatherers.items():
                rows = draw.share[name] if len(draw.share[name]) else draw.whole[name][:1]
                labels = gather.labels(draw.whole[name])
                batches[name] = replace(gather(rows), batch_labels=labels)
            yield draw, batches

    return ahead(make())


def plain_feed(
    samples: Samples, rows: Rows, batch_size: int, device: torch.device, *, inputs_only: bool
) -> Iterator[Batch]:
    """Yield the samples at ``rows`` in order, as float batches on the device."""
    gather = Gatherer(samples, device, inputs_only=inputs_only)

    def make() -> Iterator[Batch]:
        for start in range(0, len(rows), batch_size):
            yield gather(rows[start : start + batch_size])

    return (batch.floats() for batch in ahead(make()))


class Gatherer:
    """Reads batches of some samples.

    From the device where the images lie there, else through reused buffers.
    """

    def __init__(
        self, samples: Samples, device: torch.device, *, inputs_only: bool = False
    ) -> None:
        self._samples, self._device, self._inputs_only = samples, device, inputs_only
        self._resident = resident_images(samples, device)
        self._buffers: list[Tensor] = []
        self._turn = 0
        cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]

    def labels(self, rows: Rows) -> Tensor | None:
        """Return the labels of a whole optimiser batch, on the device."""
        column = self._samples.columns.get("labels")
        if column is None:
            return None
        return torch.from_numpy(column.gather(rows)).to(self._device)

    def __call__(self, rows: Rows) -> Batch:
        """Return the batch of these rows, uint8."""
        if self._stream is None:
            return self._samples.batch(rows, self._host(rows), self._inputs_only).to(self._device)
        with torch.cuda.stream(self._stream):
            images = self._on_device(rows) if self._resident is not None else self._host(rows)
            batch = self._samples.batch(rows, images, self._inputs_only).to(self._device)
            self._stream.synchronize()  # the buffer is free again, and the batch is whole
        return batch

    def _on_device(self, rows: Rows) -> Tensor:
        assert self._resident is not None
        places = torch.from_numpy(self._samples.columns["images"].rows[rows]).to(self._device)
        return self._resident.index_select(0, places)

    def _host(self, rows: Rows) -> Tensor:
        """Gather into the next of a ring of buffers, each free again when its turn comes."""
        view = self._samples.view
        shape = (len(rows), view.size, view.size) if view else (0, 0, 0)
        if len(self._buffers) <= self._turn:
            pinned = self._device.type == "cuda"
            self._buffers.append(torch.empty(shape, dtype=torch.uint8, pin_memory=pinned))
        if len(self._buffers[self._turn]) < len(rows):
            self._buffers[self._turn] = torch.empty(shape, dtype=torch.uint8)
        buffer = self._buffers[self._turn][: len(rows)]
        self._turn = (self._turn + 1) % (2 * _AHEAD + 1)
        self._samples.images(rows, out=buffer.numpy())
        return buffer


_RESIDENT: dict[tuple[int, torch.device], Tensor] = {}


def resident_images(samples: Samples, device: torch.device) -> Tensor | None:
    """Return the store's images on an accelerator where they fit in half of its free memory."""
    if device.type != "cuda":
        return None
    values = samples.columns["images"].values
    place = (id(values), device)
    if place not in _RESIDENT:
        if values.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return None
        _RESIDENT[place] = _uploaded(values, device)
        weakref.finalize(values, _RESIDENT.pop, place, None)  # its id may be another's then
    return _RESIDENT[place]


def _uploaded(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    whole = torch.empty(values.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(values), 4096):
        whole[start : start + 4096] = torch.from_numpy(np.array(values[start : start + 4096]))
    return whole


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield what an iterator makes, made by a thread of its own a few at a time."""
    some = lambda: list(islice(items, _AHEAD))  # noqa: E731
    with ThreadPoolExecutor(1, thread_name_prefix="gather") as thread:
        coming = thread.submit(some)
        while made := coming.result():
            coming = thread.submit(some)
            yield from made
