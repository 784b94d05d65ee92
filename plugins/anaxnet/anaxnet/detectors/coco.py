"""Detector weights trained on COCO: read from a pickle without running it, kept as safetensors."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.errors import DataError

PREDICTOR = "box_predictor"  # the only part whose shape depends on the number of classes

# What a pickle of numpy arrays names, under numpy 1 and 2; anything else could run code.
_ARRAY_PARTS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler that builds numpy arrays and plain containers and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Look a global up in the list of harmless ones."""
        if (module, name) in _ARRAY_PARTS:
            return _ARRAY_PARTS[module, name]
        if module in _ARRAY_MODULES and name in {"_reconstruct", "scalar"}:
            return getattr(np._core.multiarray, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is neither array nor dict")


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the weights of detectron2's model zoo, a pickled {"model": {name: array}}.

    Raises DataError if the file holds anything but arrays in plain containers.
    """
    try:
        with path.open("rb") as file:
            content = ArrayUnpickler(file, encoding="latin1").load()
        arrays = content["model"]
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no file of detector weights ({error}); take the model zoo's .pkl of "
            "faster_rcnn_R_50_FPN"
        ) from error


def convert(path: Path) -> Path:
    """Write a pickle's weights beside it as safetensors, once; return that file."""
    target = path.with_suffix(".safetensors")
    if not target.exists():
        tensors = {name: tensor.contiguous() for name, tensor in read_pickle(path).items()}
        part = target.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, part)
        part.replace(target)
    return target


def load_weights(detector: nn.Module, path: Path) -> list[str]:
    """Copy the weights of a .pkl, .pth or .safetensors file into a backend's model, by name.

    The last layers, whose shape depends on the number of classes, keep their initial values and
    are returned by name. Raises DataError if the file lacks any other weight.
    """
    given = _read(path)
    state = detector.state_dict()
    kept = [name for name in state if PREDICTOR in name]
    wanted = [name for name in state if name not in kept and "num_batches_tracked" not in name]
    wrong = [n for n in wanted if n not in given or given[n].shape != state[n].shape]
    if wrong:
        raise DataError(
            f"{path} has no weight {wrong[0]} of shape {tuple(state[wrong[0]].shape)} ({len(wrong)}"
            " are missing): is it of the same backend and depth as the detector?"
        )
    detector.load_state_dict({name: given[name] for name in wanted}, strict=False)
    return kept


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".pth":
        return torch.load(path, map_location="cpu", weights_only=True)
    return load_file(convert(path) if path.suffix == ".pkl" else path)
