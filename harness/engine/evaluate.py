"""The only evaluation loop.

Predictions of samples, gathered from all ranks, nothing scored twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
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
_HEAVY = ("maps", "masks")  # not kept of every image as they are
_WARM_UP = 2  # batches that images per second leave out


@dataclass(frozen=True)
class Predictions:
    """What a model said of N samples, by name as in ``Prediction``.

    ``arrays["scores"]`` is (N, C) float32; heat maps are kept of some rows only: ``heavy["maps"]``
    (len(detailed), C, h, w) float16. ``masks`` are kept, a bit a pixel, of samples that have true
    ones.
    """

    arrays: dict[str, Array]
    heavy: dict[str, Array]
    detailed: Array
    map_frame: tuple[int, int] | None
    images_per_second: float | None
    masks: Masks | None = None

    @property
    def scores(self) -> Array | None:
        """(N, C) float32 probabilities."""
        return self.arrays.get("scores")


@dataclass(frozen=True)
class Masks:
    """Which pixels belong to each of M organs in N images, a sixteenth of their float16."""

    organs: Mapping[str, tuple[str, ...]]  # as in ``Prediction``
    bits: Array  # (N, M, h, ceil(w / 8)) uint8
    width: int

    def __getitem__(self, row: int) -> Array:
        """Return the masks of one image (M, h, w) bool."""
        return np.unpackbits(self.bits[row], axis=-1, count=self.width).astype(np.bool_)


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

    Heat maps are kept, as float16, for the rows of ``detailed`` only.

    Raises:
        TrainingError: a score is not a finite probability.
    """
    mine = shard(len(samples))
    wanted = np.zeros(len(samples), dtype=bool)
    wanted[[] if detailed is None else detailed] = True
    parts: list[dict[str, Array]] = []
    heavy: list[dict[str, Array]] = []
    bits: list[dict[str, Array]] = []
    said = Prediction()
    clock = _Clock(compute)
    feed = plain_feed(samples, mine, compute.eval_batch, compute.device, inputs_only=True)
    with evaluating(model), Bar(what, len(mine), quiet=not ranks().first) as bar:
        for batch in feed:
            with compute.autocast():
                said = function(batch)
            rows = batch.index.cpu().numpy()
            parts.append(_arrays(said))
            heavy.append(_maps(said, wanted[rows]))
            if "masks" in samples.columns:
                bits.append(_bits(said))
            clock.seen(len(rows))
            bar.advance(len(rows))
    merged = _merged(gathered(parts), len(samples))
    _check(merged)
    kept = _merged(gathered(heavy), int(wanted.sum()))
    rate = sum(r or 0.0 for r in gathered(clock.rate())) or None
    masks = _merged(gathered(bits), len(samples)).get("masks")
    found = None
    if masks is not None and said.masks is not None:
        found = Masks(said.organs, masks, said.masks.shape[-1])
    return Predictions(merged, kept, np.flatnonzero(wanted), said.map_frame, rate, found)


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


def _arrays(said: Prediction) -> dict[str, Array]:
    """Return the light arrays of a prediction, on the host."""
    values = {entry.name: getattr(said, entry.name) for entry in fields(said)}
    return {
        name: value.float().cpu().numpy()
        for name, value in values.items()
        if isinstance(value, torch.Tensor) and name not in _HEAVY
    }


def _maps(said: Prediction, rows: Array) -> dict[str, Array]:
    """Return the heat maps of some rows of a prediction, on the host."""
    if said.maps is None or not rows.any():
        return {}
    return {"maps": said.maps.float().cpu().numpy()[rows].astype(np.float16)}


def _bits(said: Prediction) -> dict[str, Array]:
    """Return the masks of a prediction, a bit a pixel, on the host."""
    if said.masks is None:
        return {}
    if len(said.organs) != said.masks.shape[1] or said.to_original is None or not said.map_frame:
        raise TrainingError(
            f"predict gave {said.masks.shape[1]} masks and names the organs "
            f"{tuple(said.organs)}: masks need a name each, to_original and map_frame"
        )
    return {"masks": np.packbits((said.masks >= 0.5).cpu().numpy(), axis=-1)}


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
