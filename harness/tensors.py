"""Named tensors in one safetensors file: whole or not there, and told when it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harness.errors import HarnessError
from harness.files import write_atomically


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors, which may lie anywhere and share memory, atomically.

    Raises:
        HarnessError: the disk is full or the folder cannot be written.
    """
    copied = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    # as bytes: safetensors' own writer hides why a file could not be written
    content = save(copied, dict(metadata) if metadata else None)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Return the tensors of a file, on the CPU, and its metadata.

    Raises:
        HarnessError: it is missing or broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise HarnessError(f"{path} cannot be read: {error}; delete it to start over") from error
