"""Small learnt values on disk: tensors, arrays, numbers, texts, lists and dicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import TrainingError
from harness.tensors import read_tensors, write_tensors


def write_value(path: Path, value: object) -> None:
    """Write a value to one safetensors file, atomically.

    Raises:
        TrainingError: it holds something else than tensors, arrays, numbers, texts, lists, dicts.
    """
    tensors: dict[str, Tensor] = {}
    plain = _taken_apart(value, tensors)
    tensors["_"] = torch.zeros(0)
    write_tensors(path, tensors, {"value": json.dumps(plain)})


def read_value(path: Path) -> Any:  # noqa: ANN401
    """Read what ``write_value`` wrote.

    Arrays come back as arrays, tensors as tensors on the CPU.
    """
    tensors, metadata = read_tensors(path)
    return _put_together(json.loads(metadata["value"]), tensors)


def _taken_apart(value: object, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        name = str(len(tensors))
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        tensors[name] = tensor
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, (str, int, float))]
        if odd:
            raise TrainingError(f"a kept value cannot have {odd[0]!r} as a key of a dict")
        return {"dict": [[k, _taken_apart(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_taken_apart(v, tensors) for v in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TrainingError(f"a kept value cannot hold a {type(value).__name__}")


def _put_together(plain: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    if not isinstance(plain, dict):
        return plain
    ((kind, held),) = plain.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "array":
        return tensors[held].numpy()
    if kind == "dict":
        return {key: _put_together(value, tensors) for key, value in held}
    parts = [_put_together(value, tensors) for value in held]
    return tuple(parts) if kind == "tuple" else parts
