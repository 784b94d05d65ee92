"""One process or several: ranks, broadcasts and gathers that are no-ops on one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from harness.errors import TrainingError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """One process among those of the run."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """True on the one rank that writes."""
        return self.rank == 0


def ranks() -> Ranks:
    """Return this process's place, (0, 1) outside a distributed run."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks()


def join(kind: str) -> torch.device:
    """Join the processes that torchrun started, if it did, and return this one's device."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    return device


def first_process() -> bool:
    """Return whether this is the process that prints, also when the group has ended."""
    return os.environ.get("RANK", "0") == "0"


def leave() -> None:
    """End the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks."""
    if ranks().world > 1:
        with _together():
            dist.barrier()


@contextmanager
def _together() -> Iterator[None]:
    """Make one sentence of what Gloo raises where another process has ended.

    Raises:
        TrainingError: it has.
    """
    try:
        yield
    except RuntimeError as error:
        if "by peer" not in str(error):  # "Connection closed by peer", or reset
            raise
        raise TrainingError("another process of this run has ended, which says why") from error


def from_first(value: Value) -> Value:
    """Return the first rank's value on every rank."""
    if ranks().world == 1:
        return value
    box: list[Any] = [value]
    with _together():
        dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[no-any-return]


def gathered(value: Value) -> list[Value]:
    """Return every rank's value, in the order of ranks, on every rank."""
    if ranks().world == 1:
        return [value]
    boxes: list[Any] = [None] * ranks().world
    with _together():
        dist.all_gather_object(boxes, value)
    return boxes


def share_buffers(network: nn.Module) -> None:
    """Give every rank the first rank's buffers (running statistics)."""
    if ranks().world > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def shard(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return this rank's stretch of 0 .. count - 1; no index is in two shards."""
    here = ranks()
    return np.array_split(np.arange(count, dtype=np.int64), here.world)[here.rank]
