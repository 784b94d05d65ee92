"""One batch's gradients, whatever the devices, micro-batches, accumulation and precision."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.data.batch import Batch
from harness.data.draws import Draws
from harness.data.samples import Samples
from harness.engine.compute import Compute
from harness.engine.distributed import Ranks, ranks
from harness.engine.feed import Draw
from harness.model.stage import Stage
from harness.seeds import derive


class Stepper:
    """Turns the batches of a stage into optimiser steps.

    Its only state is the network's and the optimiser's.
    """

    def __init__(
        self, stage: Stage, compute: Compute, seed: int, here: Ranks | None = None
    ) -> None:
        self.stage, self.compute, self.seed = stage, compute, seed
        self.here = here or ranks()
        self.network = self._wrapped(stage.network)

    def _wrapped(self, network: nn.Module) -> nn.Module:
        if self.here.world == 1 or not any(p.requires_grad for p in network.parameters()):
            return network
        if self.compute.sync_bn:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        devices = [self.compute.device] if self.compute.device.type == "cuda" else None
        with warnings.catch_warnings():  # its successor in torch 2.15 does something else
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(
                network, devices, broadcast_buffers=False, find_unused_parameters=True
            )

    def forward(
        self, epoch: int, draw: Draw, batches: Mapping[str, Batch], members: int
    ) -> dict[str, Tensor]:
        """Add the gradients of one batch, one of ``members`` of an optimiser step.

        Returns the named losses of this rank, each weighted by its share of the batch.
        """
        ready = {name: self._augmented(epoch, draw, name, b) for name, b in batches.items()}
        parts = list(self._parts(draw, ready))
        totals: dict[str, Tensor] = {}
        for number, (part, share) in enumerate(parts):
            seed = derive(self.seed, "noise", epoch, draw.number, self.here.rank, number)
            self.compute.seed(seed)
            meet = number == len(parts) - 1 and self.completes(draw, members)
            losses = self._backward(part, share * self.here.world / members, meet=meet)
            for name, loss in losses.items():
                totals[name] = totals[name] + loss * share if name in totals else loss * share
        return totals

    def completes(self, draw: Draw, members: int) -> bool:
        """Return whether this batch is the last of its optimiser step."""
        return draw.number % self.stage.accumulate == members - 1

    def step(self) -> None:
        """Let the optimiser, and a scheduler that counts steps, go on."""
        if self.stage.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.stage.network.parameters(), self.stage.clip_norm)
        self.stage.optimizer.step()
        self.stage.optimizer.zero_grad(set_to_none=True)
        if self.stage.scheduler is not None and self.stage.schedule == "step":
            self.stage.scheduler.step()

    def _augmented(self, epoch: int, draw: Draw, name: str, batch: Batch) -> Batch:
        """Augment each image by numbers that only seed, epoch and image decide."""
        if self.stage.augment is not None:
            first = name == next(iter(self.stage.sources))
            place = ("augment", epoch, name) if first else ("augment", epoch, name, draw.number)
            batch = self.stage.augment(batch, Draws(batch.index, self.seed, *place))
        return batch.floats()

    def _parts(
        self, draw: Draw, batches: Mapping[str, Batch]
    ) -> Iterator[tuple[dict[str, Batch], float]]:
        """Yield micro-batches, each with its share of the images of the whole batch."""
        first = next(iter(batches))
        size = len(draw.share[first])
        if size == 0:  # an image that weighs nothing, so that all ranks meet in the backward
            yield dict(batches), 0.0
            return
        count = math.ceil(size / (self.compute.micro_batch or size))
        if count == 1:
            yield dict(batches), size / draw.size
            return
        for number in range(count):
            cut = {
                name: batch.part(len(batch) * number // count, len(batch) * (number + 1) // count)
                for name, batch in batches.items()
            }
            yield cut, len(cut[first]) / draw.size

    def _backward(self, part: dict[str, Batch], weight: float, *, meet: bool) -> dict[str, Tensor]:
        single = isinstance(self.stage.data, Samples)
        with self._meeting(meet):
            with self.compute.autocast():
                losses = self.stage.loss(self.network, part["data"] if single else part)
            named = {name: loss.float() for name, loss in losses.items()}
            trained = [loss for loss in named.values() if loss.requires_grad]
            torch.autograd.backward(trained, [torch.full_like(loss, weight) for loss in trained])
        return {name: loss.detach() for name, loss in named.items()}

    def _meeting(self, meet: bool) -> AbstractContextManager[object]:
        """Reduce gradients over ranks at the last backward of a step only."""
        if isinstance(self.network, DistributedDataParallel) and not meet:
            return self.network.no_sync()
        return nullcontext()
