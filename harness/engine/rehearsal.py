"""The whole method on eight samples, untrained: a mistake in stage 3 shows in seconds."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine.budget import Budget
from harness.engine.compute import Compute, placed
from harness.engine.distributed import Ranks
from harness.engine.evaluate import Predictions, evaluating, predict
from harness.engine.feed import Draw, feed, plain_feed
from harness.engine.learning import learn
from harness.engine.maps import find_annotated, stored
from harness.engine.step import Stepper
from harness.errors import TrainingError
from harness.model.model import Model
from harness.model.stage import Stage
from harness.model.task import Predict, Task
from harness.progress import muted

SAMPLES = 8


@dataclasses.dataclass(frozen=True)
class Planned:
    """One step that a run will take, as the rehearsal saw it.

    Images are scaled to the whole data.
    """

    kind: str
    name: str
    images: int
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    parameters: int | None = None
    bytes: int = 0


class RehearsalTask(Task):
    """Eight samples of everything; nothing is stored, nothing downloaded."""

    def __init__(
        self,
        model: Model,
        train: Samples,
        validation: Samples,
        auxiliary: Mapping[str, Samples],
        compute: Compute,
        budget: Budget,
        scale: float,
    ) -> None:
        self.space = train.space
        self.train, self.validation = eight(train), eight(validation)
        self._auxiliary = auxiliary
        self._model, self._compute, self._budget = model, compute, budget
        self._scale = scale
        self.seed = 0
        self.full_batch = False
        self.plan: list[Planned] = []

    def annotated(self, column: str, organs: tuple[str, ...] = ()) -> Samples:
        """See ``Task``."""
        if column in self.train.columns and set(organs) <= set(self.space.organs):
            return self.train
        whole = find_annotated(self.train, self._auxiliary, column, organs)
        return eight(whole)

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
        hash(key)
        rows = np.arange(len(samples), dtype=np.int64)
        parts = []
        coming = plain_feed(samples, rows, SAMPLES, self._compute.device, inputs_only=False)
        with evaluating(self._model), self._compute.autocast():
            parts = [stored(function(batch)) for batch in coming]
        values = np.concatenate(parts)
        if len(values) != len(samples):
            raise TrainingError(
                f"the map {name!r} gave {len(values)} rows for {len(samples)} images"
            )
        images = self._whole(len(samples))
        size = images * values[0].nbytes
        self.plan.append(Planned("map", name, images, bytes=size))
        return samples.with_column(name, values, spatial=spatial)

    def keep(self, name: str, function: Callable[[], Any], key: Hashable = ()) -> Any:  # noqa: ANN401
        """See ``Task``."""
        hash(key)
        self.plan.append(Planned("keep", name, 0))
        with torch.no_grad():
            return function()

    def score(self, predict_with: Predict) -> float:
        """See ``Task``."""
        predict(self._model, predict_with, self.validation, self._compute)
        return 0.5

    def weights(self, name: str) -> Mapping[str, Tensor] | None:
        """See ``Task``; what will be needed is planned, not fetched."""
        if name != "none":
            self.plan.append(Planned("weights", name, 0))
        return None

    def try_stage(self, stage: Stage) -> None:
        """Take one step of a stage on what there is of its data."""
        hash(stage.key)
        placed(stage.network, self._compute.device)
        size = stage.batch_size if self.full_batch else min(stage.batch_size, SAMPLES)
        whole = {
            name: np.arange(size, dtype=np.int64) % len(samples)
            for name, samples in stage.sources.items()
        }
        draw = Draw(0, whole, whole)
        _, batches = next(iter(feed(stage.sources, [draw], self._compute.device)))
        stage.network.train()
        losses = Stepper(stage, self._compute, self.seed, Ranks()).forward(0, draw, batches, 1)
        for name, loss in losses.items():
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"stage {stage.name!r}: the loss {name} is not finite at once")
        stage.optimizer.zero_grad(set_to_none=True)
        first, limited = next(iter(stage.sources.values())), self._budget.limit(stage)
        parameters = sum(p.numel() for p in stage.network.parameters())
        self.plan.append(
            Planned(
                "stage",
                stage.name,
                self._whole(len(first)),
                limited.epochs,
                limited.steps,
                stage.batch_size,
                parameters,
                bytes=parameters * 4 * 4,
            )
        )

    def _whole(self, few: int) -> int:
        """Return about how many images of the whole data a number of rehearsed ones stands for."""
        return round(few * self._scale)


def eight(samples: Samples) -> Samples:
    """Return up to eight samples, half of them without any finding where labels are known."""
    labels = samples.labels
    if labels is None or len(samples) <= SAMPLES:
        return samples.take(np.arange(min(SAMPLES, len(samples))))
    normal = np.nan_to_num(labels).sum(axis=1) == 0
    few = np.concatenate([np.flatnonzero(normal)[: SAMPLES // 2], np.flatnonzero(~normal)])
    rest = np.setdiff1d(np.arange(len(samples)), few[:SAMPLES])
    return samples.take(np.sort(np.concatenate([few, rest])[:SAMPLES]))


def rehearse(
    model: Model,
    train: Samples,
    validation: Samples,
    auxiliary: Mapping[str, Samples],
    compute: Compute,
    budget: Budget,
    scale: float = 1.0,
    full_batch: bool = False,
) -> tuple[list[Planned], Predictions]:
    """Run a copy of a model through its stages and its prediction, untrained, on eight samples.

    Raises:
        TrainingError: a loss is not finite, or what is predicted is no prediction.
    """
    actor = copy.deepcopy(model)
    task = RehearsalTask(actor, train, validation, auxiliary, compute, budget, scale)
    task.full_batch = full_batch
    few = np.arange(len(task.validation))
    with muted():
        learn(actor, task, task.try_stage)
        said = predict(actor, actor.predict, task.validation, compute, detailed=few)
    return task.plan, said
