"""The digest that names everything learnt, step by step, so that equal steps are learnt once."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from harness.data.samples import Samples
from harness.engine.compute import Compute
from harness.engine.distributed import ranks
from harness.model.stage import Stage

_LOOP = 1  # raised when the loop changes what the same stage learns


class Chain:
    """A digest over all steps so far; two runs share a step when everything before it agrees."""

    def __init__(self, *facts: object) -> None:
        self._digest = _hash(_LOOP, *facts)

    def extend(self, kind: str, name: str, *facts: object) -> str:
        """Return the digest of a further step."""
        self._digest = _hash(self._digest, kind, name, *facts)
        return self._digest

    def stage(self, stage: Stage, validation: Samples, compute: Compute) -> str:
        """Return the digest of a stage, no longer than a budget lets it be."""
        return self.extend(
            "stage", stage.name, *stage_facts(stage, validation.fingerprint, compute)
        )

    def map(
        self,
        name: str,
        function: Callable[..., Any],
        key: Hashable,
        samples: Samples,
        compute: Compute,
    ) -> str:
        """Return the digest of a map of samples."""
        facts = (function.__qualname__, key, samples.fingerprint, compute.precision)
        return self.extend("map", name, *facts)

    def keep(self, name: str, function: Callable[..., Any], key: Hashable, train: Samples) -> str:
        """Return the digest of a kept value."""
        return self.extend("keep", name, function.__qualname__, key, train.fingerprint)


def _hash(*facts: object) -> str:
    return hashlib.sha256("\x1f".join(map(repr, facts)).encode()).hexdigest()[:24]


def stage_facts(stage: Stage, validation: str, compute: Compute) -> tuple[object, ...]:
    """Return all that decides what a stage learns, given what came before it."""
    groups = [
        sorted((k, v) for k, v in group.items() if k != "params")
        for group in stage.optimizer.state_dict()["param_groups"]
    ]
    scheduler = stage.scheduler
    plan = None if scheduler is None else _settings(scheduler)
    return (
        type(stage.network).__qualname__,
        stage.key,
        (stage.epochs, stage.steps, stage.batch_size, stage.accumulate, stage.drop_last),
        (stage.patience, stage.clip_norm, stage.schedule, stage.augment is not None),
        validation if stage.score is not None else None,
        (type(stage.optimizer).__name__, groups, plan),
        [(name, samples.fingerprint) for name, samples in stage.sources.items()],
        (compute.precision, compute.micro_batch, compute.sync_bn, ranks().world),
    )


def _settings(value: object) -> object:
    """Return what a scheduler is set to, without addresses, which differ each time."""
    if isinstance(value, LRScheduler):
        held = {name: part for name, part in vars(value).items() if name != "optimizer"}
        return type(value).__name__, _settings(held)
    if isinstance(value, Mapping):
        return sorted((repr(name), _settings(part)) for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return [_settings(part) for part in value]
    if isinstance(value, (int, float, str, type(None))):
        return value
    return getattr(value, "__qualname__", type(value).__name__)


def source_hash(module: str) -> str:
    """Return sixteen hex digits over the code of the package that a module belongs to.

    Comments, docstrings and layout do not count. A package that is not made of files (a class typed
    into an interpreter) counts by its name.
    """
    place = _place(module.partition(".")[0])
    if place is None:
        return module
    origin = Path(place)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    return _hash_of(files)


@cache
def training_hash() -> str:
    """Return sixteen hex digits over the harness's own code that decides what a stage learns."""
    harness = Path(__file__).parent.parent
    return _hash_of([harness / f"{name}.py" for name in _DECISIVE])


_DECISIVE = (
    *(f"data/{name}" for name in ("batch", "draws", "geometry", "samples", "view")),
    *(f"engine/{name}" for name in ("feed", "loop", "step", "selection")),
    "model/losses",
    "seeds",
)


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(_code(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def _place(package: str) -> str | None:
    """Return the file of a package, a module or the script that runs; None where there is none."""
    if package == "__main__":
        return getattr(sys.modules[package], "__file__", None)
    spec = importlib.util.find_spec(package)
    return None if spec is None else spec.origin


def _code(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
