"""A small phantom on which a plugin's model is tried, in a home of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from harness.data.dataset import Dataset
from harness.data.drawn import DrawnPhantom
from harness.data.samples import Samples
from harness.data.view import View
from harness.engine import job
from harness.engine.budget import Budget
from harness.engine.compute import Compute
from harness.engine.learning import LiveTask, learn
from harness.model.model import Model
from harness.model.stage import Stage

BUDGET = Budget("check", epochs=1, steps=3)
COMPUTE = Compute(torch.device("cpu"), eval_batch=4)


@cache
def phantom() -> Dataset:
    """Return forty phantoms, enriched so that every class occurs."""
    return DrawnPhantom(images=40, size=96, enrich=0.9, images_per_patient=1.5)


@cache
def _place() -> Path:
    """Return a folder that ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def home(name: str = "shared", *, empty: bool = False) -> Iterator[Path]:
    """Let HARNESS_HOME be a folder of its own inside the block."""
    before = os.environ.get("HARNESS_HOME")
    folder = _place() / name
    if empty:
        shutil.rmtree(folder, ignore_errors=True)
    os.environ["HARNESS_HOME"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["HARNESS_HOME"]
        else:
            os.environ["HARNESS_HOME"] = before


@cache
def splits(view: View) -> dict[str, Samples]:
    """Return the phantom's splits in a view; the images outlive the home they were packed in."""
    with home("packed"):
        data = job.make_data(phantom(), view, dict(phantom().splits))
        return {split: data.samples(split) for split in job.SPLITS}


@dataclass(frozen=True)
class Trained:
    """A model as the harness trains it, and the task that it learnt."""

    model: Model
    task: LiveTask


def train(model: Model, seed: int = 0, steps: int | None = None) -> Trained:
    """Train a copy of a model in the present home, briefly or for so many ``steps`` a stage.

    What is trained for a number of steps keeps its last weights and its first learning rate,
    however short a training its schedule was made for.
    """
    copy = replace(model)  # type: ignore[type-var]
    parts = splits(model.view)
    budget = BUDGET if steps is None else Budget("learn", steps=steps)
    task = LiveTask(copy, parts["train"], parts["validation"], {}, COMPUTE, budget, seed)

    def on_stage(stage: Stage) -> None:
        if steps is not None:
            stage = replace(
                stage, steps=steps, epochs=None, scheduler=None, score=None, patience=None
            )
        task.train_stage(stage)

    learn(copy, task, on_stage)
    return Trained(copy, task)
