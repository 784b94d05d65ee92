"""A trained model on any machine, without its training data: its method section, replayed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine import checkpoint
from harness.engine.compute import placed
from harness.engine.learning import Learnt, learn
from harness.engine.maps import stand_in
from harness.engine.values import read_value
from harness.errors import TrainingError
from harness.files import cannot_write, read_json, write_json
from harness.model.model import Model
from harness.model.stage import Stage
from harness.model.task import Predict, Task

CPU = torch.device("cpu")


def save_model(folder: Path, learnt: Learnt, about: Mapping[str, Any]) -> None:
    """Write a folder that holds all a trained model needs: weights, kept values, label space."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        steps = []
        for number, (step, file) in enumerate(zip(learnt.steps, learnt.files, strict=True)):
            kept: dict[str, Any] = {
                key: step[key] for key in ("kind", "name", "spec") if key in step
            }
            if file is not None:
                kept["file"] = f"{number}-{step['name']}.safetensors"
                _link(file, folder / kept["file"])
            steps.append(kept)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_json(folder / "model.json", {**about, "steps": steps})


def stage_file(folder: Path, stage: str) -> Path:
    """Return the file with a stage's weights in a folder that ``save_model`` wrote."""
    steps = read_json(folder / "model.json")["steps"]
    (file,) = {s["file"] for s in steps if (s["kind"], s["name"]) == ("stage", stage)}
    return folder / str(file)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


class ReplayTask(Task):
    """No data: maps are empty, kept values and weights are those that were stored."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder, self._device = folder, device
        self.about = read_json(folder / "model.json")
        self._steps: Iterator[dict[str, Any]] = iter(self.about["steps"])
        self.train = stand_in(self.about["samples"])
        self.validation = self.train
        self.space = self.train.space
        self.seed = int(self.about["seed"])

    def _next(self, kind: str, name: str) -> dict[str, Any]:
        step = next(self._steps, None)
        if step is None or (step["kind"], step["name"]) != (kind, name):
            raise TrainingError(
                f"{self._folder} was trained by another version of this method: it has {step} "
                f"where the {kind} {name!r} is asked for"
            )
        return step

    def annotated(self, column: str, organs: tuple[str, ...] = ()) -> Samples:
        """See ``Task``."""
        return stand_in(self._next("annotated", column)["spec"])

    def map(
        self,
        name: str,
        function: Callable[[Batch], Tensor],
        samples: Samples,
        key: Hashable = (),
        *,
        spatial: bool = False,
    ) -> Samples:
        """See ``Task``."""
        spec = self._next("map", name)["spec"]
        values = np.zeros((len(samples), *spec["shape"]), dtype=spec["dtype"])
        return samples.with_column(name, values, spatial=spatial)

    def keep(self, name: str, function: Callable[[], Any], key: Hashable = ()) -> Any:  # noqa: ANN401
        """See ``Task``."""
        return read_value(self._folder / self._next("keep", name)["file"])

    def score(self, predict_with: Predict) -> float:
        """See ``Task``; nothing is trained here, so nothing is scored."""
        raise TrainingError("a trained model that is loaded has no validation data to be scored on")

    def weights(self, name: str) -> Mapping[str, Tensor] | None:
        """See ``Task``."""
        return None

    def load_stage(self, stage: Stage) -> None:
        """Give a stage's network its trained weights."""
        step = self._next("stage", stage.name)
        checkpoint.load_weights(self._folder / step["file"], stage.network)
        placed(stage.network, self._device)


def load_model(folder: Path, model: Model, device: torch.device = CPU) -> Model:
    """Return a model, just constructed with its hyperparameters, as it was trained.

    Raises:
        HarnessError: the folder is not a trained model, or of another version of the method.
    """
    task = ReplayTask(folder, device)
    learn(model, task, task.load_stage)
    return model
