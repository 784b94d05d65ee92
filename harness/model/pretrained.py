"""Pretrained weights, torchvision's or one's own, by name; missing ones are an error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from torch import Tensor, nn

from harness.errors import DataError, SettingError
from harness.home import home
from harness.progress import say
from harness.tensors import read_tensors, write_tensors


def path_of(name: str) -> Path:
    """Return where weights of this name lie, or would lie."""
    return home() / "weights" / f"{name}.safetensors"


def fetch(name: str) -> Path:
    """Return the file of weights, downloading them through torchvision if they are not there.

    Raises:
        SettingError: torchvision has no weights of this name, or the name says DEFAULT.
        DataError: they cannot be downloaded.
    """
    path = path_of(name)
    if path.exists():
        return path
    entry = _entry(name)
    say(f"fetching the weights {name}")
    try:
        with redirect_stdout(StringIO()):  # torch prints the address and a folder of its own
            state = entry.get_state_dict(progress=True, check_hash=True)  # type: ignore[attr-defined]
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"the weights {name} are not in {path.parent} and cannot be downloaded ({error}); run "
            f"`harness weights fetch {name}` on a machine with network and copy the file here, or "
            "train from scratch with --set weights=none"
        ) from error
    write_tensors(path, {_present(key): tensor for key, tensor in state.items()})
    return path


def _present(key: str) -> str:
    """Return a parameter's name of today: DenseNet's files were written under older ones."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)


def _entry(name: str) -> object:
    try:
        from torchvision.models import get_weight
    except ImportError as error:
        raise SettingError(
            "pretrained weights need torchvision: pip install torchvision"
        ) from error
    if name.endswith(".DEFAULT"):
        raise SettingError(
            f"{name} changes with torchvision's version; name the weights, e.g. IMAGENET1K_V1"
        )
    try:
        return get_weight(name)
    except (ValueError, AttributeError, KeyError) as error:
        raise SettingError(
            f"torchvision has no weights {name!r}, whose names look like "
            f"ResNet34_Weights.IMAGENET1K_V1, and there is no {path_of(name)}, where "
            "`harness weights take` puts those of a run"
        ) from error


def read(name: str) -> tuple[Mapping[str, Tensor], str]:
    """Return weights by name and sixteen hex digits of their file's sha256.

    Says where weights come from that a run left (``harness weights take``): whoever begins with
    them must know what they have seen.
    """
    path = fetch(name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    tensors, about = read_tensors(path)
    if "origin" in about:
        say(f"beginning with the weights {name}: {about['origin']}")
    return tensors, digest


def load_exactly(
    module: nn.Module, state: Mapping[str, Tensor], name: str, without: tuple[str, ...] = ()
) -> None:
    """Load every key but those that start with ``without``.

    All others must be there, none left over.

    Raises:
        DataError: the module and the weights do not fit.
    """
    wanted = {
        key: tensor for key, tensor in state.items() if not key.startswith(without or ("\0",))
    }
    missing, unexpected = module.load_state_dict(wanted, strict=False)
    missing = [key for key in missing if not key.startswith(without or ("\0",))]
    counters = [key for key in missing if key.endswith("num_batches_tracked")]
    if len(missing) > len(counters) or unexpected:
        lacking = sorted(set(missing) - set(counters))
        raise DataError(
            f"the weights {name} do not fit: missing {lacking[:5]}, left over {unexpected[:5]}"
            f"{_advice(lacking, unexpected)}"
        )


def _advice(lacking: Sequence[str], left_over: Sequence[str]) -> str:
    """Return what to do where all that is missing is there behind a prefix."""
    before = [
        key.removesuffix(one) for one in lacking[:1] for key in left_over if key.endswith(one)
    ]
    fits = [prefix for prefix in before if {prefix + key for key in lacking} <= set(left_over)]
    return f"; take them from their run with --under {fits[0]}" if fits else ""
