"""Checkpoints.

One safetensors file with weights, optimiser, scheduler, place and history inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from harness.errors import HarnessError, TrainingError
from harness.model.stage import Stage
from harness.tensors import read_tensors, write_tensors


@dataclass
class State:
    """Where a stage's training stands: enough, with weights and optimiser, to go on bitwise."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # forwards finished within the present epoch
    steps: int = 0  # optimiser steps
    best: float | None = None
    best_epoch: int | None = None
    stale: int = 0  # epochs without a better score
    finished: bool = False
    sums: dict[str, float] = field(default_factory=dict)  # of the present epoch's losses
    history: list[dict[str, Any]] = field(default_factory=list)
    clocks: dict[str, float] = field(default_factory=dict)  # seconds, over all sittings


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's state dict to a safetensors file, atomically."""
    write_tensors(path, network.state_dict())


def load_weights(path: Path, network: nn.Module) -> None:
    """Load a network's state dict, exactly.

    Raises:
        HarnessError: the file is not there, or holds other tensors.
    """
    tensors, _ = read_tensors(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainingError(f"the weights in {path} do not fit the network: {error}") from error


def weights_hash(network: nn.Module) -> str:
    """Return sixteen hex digits over all names and values of a state dict."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()[:16]


def save(path: Path, stage: Stage, state: State) -> None:
    """Write a checkpoint of a stage, atomically."""
    tensors = {f"network.{name}": t for name, t in stage.network.state_dict().items()}
    about: dict[str, Any] = {"state": asdict(state), "optimizer": {}, "scheduler": None}
    held = stage.optimizer.state_dict()
    about["groups"] = [{k: v for k, v in g.items() if k != "params"} for g in held["param_groups"]]
    for index, values in held["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                about["optimizer"].setdefault(str(index), {})[name] = value
    if stage.scheduler is not None:
        about["scheduler"] = _plain(stage.scheduler.state_dict())
    write_tensors(path, tensors, {"harness": json.dumps(about)})


def load(path: Path, stage: Stage) -> State:
    """Bring a stage back to a checkpoint and return its state.

    Raises:
        TrainingError: the checkpoint is of another network or optimiser.
    """
    try:
        tensors, metadata = read_tensors(path)
        about = json.loads(metadata["harness"])
        network = {n.removeprefix("network."): t for n, t in tensors.items() if n[0] == "n"}
        stage.network.load_state_dict(network)
        _restore_optimizer(stage.optimizer, about, tensors)
        if stage.scheduler is not None:
            stage.scheduler.load_state_dict(about["scheduler"])
    except (HarnessError, RuntimeError, KeyError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint {path} does not fit; run with --fresh: {error}"
        ) from error
    return State(**about["state"])


def _restore_optimizer(
    optimizer: Optimizer, about: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Load the optimiser's state with each tensor in its parameter's own memory layout."""
    held = optimizer.state_dict()
    for group, saved in zip(held["param_groups"], about["groups"], strict=True):
        group.update(saved)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in about["optimizer"].items()}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            like = parameters[int(index)]
            if tensor.shape == like.shape:
                tensor = torch.empty_like(like, dtype=tensor.dtype, device="cpu").copy_(tensor)
            state.setdefault(int(index), {})[key] = tensor
    held["state"] = state
    optimizer.load_state_dict(held)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a scheduler is constructed with: functions, references, tables."""
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, (list, tuple)):  # perhaps of the states of schedulers within
            plain[name] = [_plain(v) if isinstance(v, Mapping) else v for v in value]
        elif isinstance(value, (int, float, str, type(None))):
            plain[name] = value
    return plain
