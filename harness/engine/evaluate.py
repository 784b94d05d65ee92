"""The only evaluation loop.

Predictions of samples, gathered from all ranks, nothing scored twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine.compute import Compute
from harness.engine.distributed import gathered, ranks, shard
from harness.engine.feed import plain_feed
from harness.errors import TrainingError
from harness.model.prediction import Prediction
from harness.progress import Bar

Array = npt.NDArray[Any]
_HEAVY = ("maps", "masks")  # kept of the images that ``detailed`` asks for only
_WARM_UP = 2  # batches that images per second leave out


@dataclass(frozen=True)
class Predictions:
    """What a model said of N samples, by name as in ``Prediction``; heavy arrays of some rows only.

    ``arrays["scores"]`` is (N, C) float32; ``heavy["maps"]`` (len(detailed), C, h, w) float16.
    """

    arrays: dict[str, Array]
    heavy: dict[str, Array]
    detailed: Array
    map_frame: tuple[int, int] | None
    images_per_second: float | None

    @property
    def scores(self) -> Array | None:
        """(N, C) float32 probabilities."""
        return self.arrays.get("scores")


def networks(model: object) -> list[nn.Module]:
    """Return the networks that a model holds as attributes, in lists and in dicts."""
    found: list[nn.Module] = []
    for value in vars(model).values():
        held = value.values() if isinstance(value, dict) else value
        parts = held if isinstance(held, (list, tuple)) or held is not value else [value]
        found.extend(part for part in parts if isinstance(part, nn.Module))
    return found


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Put every network of a model in evaluation mode inside the block, without gradients."""
    modes = [(part, part.training) for network in networks(model) for part in network.modules()]
    try:
        for network in networks(model):
            network.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, training in modes:
            part.training = training


def predict(
    model: object,
    function: Callable[[Batch], Prediction],
    samples: Samples,
    compute: Compute,
    *,
    detailed: Array | None = None,
    what: str = "predicting",
) -> Predictions:
    """Return what ``function`` says of every sample, each seen once, in the samples' order.

    Heat maps and masks are kept, as float16, for the rows of ``detailed`` only.

    Raises:
        TrainingError: a score is not a finite probability.
    """
    mine = shard(len(samples))
    wanted = np.zeros(len(samples), dtype=bool)
    wanted[[] if detailed is None else detailed] = True
    parts: list[dict[str, Array]] = []
    heavy: list[dict[str, Array]] = []
    frame: tuple[int, int] | None = None
    clock = _Clock(compute)
    feed = plain_feed(samples, mine, compute.eval_batch, compute.device, inputs_only=True)
    with evaluating(model), Bar(what, len(mine), quiet=not ranks().first) as bar:
        for batch in feed:
            with compute.autocast():
                said = function(batch)
            rows = batch.index.cpu().numpy()
            frame = said.map_frame or frame
            parts.append(_arrays(said, np.ones(len(rows), dtype=bool), light=True))
            heavy.append(_arrays(said, wanted[rows], light=False))
            clock.seen(len(rows))
            bar.advance(len(rows))
    merged = _merged(gathered(parts), len(samples))
    _check(merged)
    kept = _merged(gathered(heavy), int(wanted.sum()))
    rate = sum(r or 0.0 for r in gathered(clock.rate())) or None
    return Predictions(merged, kept, np.flatnonzero(wanted), frame, rate)


class _Clock:
    """Images per second from store to scores, after a warm-up."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._batches = self._images = 0
        self._since = 0.0

    def seen(self, images: int) -> None:
        self._batches += 1
        if self._batches > _WARM_UP:
            self._images += images
        elif self._batches == _WARM_UP:
            self._compute.synchronize()
            self._since = time.perf_counter()

    def rate(self) -> float | None:
        if not self._images:
            return None
        self._compute.synchronize()
        return self._images / (time.perf_counter() - self._since)


def _arrays(said: Prediction, rows: Array, *, light: bool) -> dict[str, Array]:
    """Return the light or the heavy arrays of some rows of a prediction, on the host."""
    found = {}
    for entry in fields(said):
        value = getattr(said, entry.name)
        heavy = entry.name in _HEAVY
        if isinstance(value, torch.Tensor) and heavy != light and (light or rows.any()):
            dtype = np.float16 if heavy else None
            found[entry.name] = np.asarray(value.float().cpu().numpy()[rows], dtype=dtype)
    return found


def _merged(parts: list[list[dict[str, Array]]], count: int) -> dict[str, Array]:
    """Put the batches of all ranks, whose shards follow each other, behind each other."""
    flat = [part for rank in parts for part in rank if part]
    names = list(flat[0]) if flat else []
    merged = {name: np.concatenate([part[name] for part in flat]) for name in names}
    for name, values in merged.items():
        if len(values) != count:
            raise TrainingError(f"predict gave {len(values)} rows of {name!r} for {count} images")
    return merged


def _check(arrays: dict[str, Array]) -> None:
    for name in ("scores", "region_scores"):
        values = arrays.get(name)
        if values is not None and not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
            raise TrainingError(f"predict gave {name} that are not probabilities in [0, 1]")
