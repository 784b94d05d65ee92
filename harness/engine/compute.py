"""How a run computes: device, precision, memory layout; equal for all models and recorded."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.errors import SettingError

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Compute:
    """Everything of the machine that the loops need to know."""

    device: torch.device
    precision: str = "fp32"
    micro_batch: int | None = None
    sync_bn: bool = False
    eval_batch: int = 32

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute in this precision inside the block."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    def seed(self, seed: int) -> None:
        """Seed what the device draws next; cheaper, each step, than seeding every device."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def synchronize(self) -> None:
        """Wait for the device, so that a clock read next is true."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network on a device in the memory layout that all runs use (channels last).

    The layout decides which kernels run and so the last bits of every result: a network that was
    just trained and one that was loaded must not differ in it.
    """
    return network.to(device).to(memory_format=torch.channels_last)


def resolve_device(wanted: str) -> str:
    """Return "cuda" or "cpu" for a wish of auto, cuda or cpu.

    Raises:
        SettingError: there is no such device here.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise SettingError("no CUDA device is available here; run with --device cpu or auto")
    if wanted not in ("cuda", "cpu"):
        raise SettingError(f"no such device: {wanted!r}; choose auto, cuda or cpu")
    return wanted


def resolve_precision(wanted: str, device: str) -> str:
    """Return the precision for a wish: bf16 on CUDA and fp32 on the CPU where it is "auto"."""
    if wanted == "auto":
        return "bf16" if device == "cuda" else "fp32"
    if wanted not in PRECISIONS:
        raise SettingError(f"no such precision: {wanted!r}; choose auto, {' or '.join(PRECISIONS)}")
    return wanted


def make_deterministic() -> None:
    """Ask for the same result from the same command, as far as the device can give it."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # what is allocated here is written before it is read: filling it first only costs time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # as glibc's malloc.h numbers them


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for the next step of a training on the CPU.

    Handing memory back and faulting it in anew took 15 % of a ResNet-18's steps and half the time
    of making batches. Only glibc has the switch; nothing but speed depends on it.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def describe(device: torch.device) -> dict[str, Any]:
    """Return the device's kind, name, threads and instruction set, for the record."""
    about: dict[str, Any] = {"kind": device.type, "threads": torch.get_num_threads()}
    about["instructions"] = torch.backends.cpu.get_cpu_capability()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about |= {"name": properties.name, "memory_bytes": properties.total_memory}
        about |= {"cuda": torch.version.cuda, "count": torch.cuda.device_count()}
    else:
        about["name"] = _processor()
    return about


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return (
        f"{names[0]} ({len(names)} cores)" if names else platform.processor() or platform.machine()
    )
