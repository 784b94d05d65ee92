"""The whole method on eight samples, untrained: a mistake in stage 3 shows in seconds.

Eight are what a method may count, split and average over; networks compute two of them, since two
are what BatchNorm needs and a network of a hundred gigaflops an image takes seconds for each.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine.budget import Budget
from harness.engine.chain import Chain, source_hash, training_hash
from harness.engine.compute import Compute, placed
from harness.engine.distributed import Ranks
from harness.engine.evaluate import Predictions, evaluating, predict
from harness.engine.feed import Draw, feed, plain_feed
from harness.engine.flops import counting
from harness.engine.learning import learn
from harness.engine.maps import find_annotated, stored
from harness.engine.recipe import PAPER, Recipe, check_size
from harness.engine.step import Stepper
from harness.errors import TrainingError
from harness.model.model import Model
from harness.model.stage import Stage
from harness.model.task import Predict, Task
from harness.progress import muted

SAMPLES = 8
COMPUTED = 2


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
    digest: str = ""  # equal where two rehearsals on the same eight samples share the step


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
        sizes: Mapping[str, int],
        recipe: Recipe,
    ) -> None:
        self.space = train.space
        self.train, self.validation = eight(train), eight(validation)
        self._auxiliary = auxiliary
        self._model, self._compute, self._budget = model, compute, budget
        self._recipe = recipe
        sources = {"train": self.train, "validation": self.validation, **auxiliary}
        self._stands_for = {
            image: sizes.get(name, len(samples)) / len(samples)
            for name, samples in sources.items()
            for image in samples.names.tolist()
        }
        self.seed = 0
        self._chain = Chain(0, source_hash(type(model).__module__), training_hash())
        self.full_batch, self.backward = False, True
        self.plan: list[Planned] = []
        self.classifiers = 0

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
        digest = self._chain.map(name, function, key, samples, self._compute)
        rows = np.arange(min(COMPUTED, len(samples)), dtype=np.int64)
        batch = next(plain_feed(samples, rows, COMPUTED, self._compute.device, inputs_only=False))
        with evaluating(self._model), self._compute.autocast():
            computed = stored(function(batch))
        if len(computed) != len(rows):
            raise TrainingError(
                f"the map {name!r} gave {len(computed)} rows for {len(rows)} images"
            )
        values = computed[np.arange(len(samples)) % len(rows)]
        images = self._whole(samples)
        size = images * values[0].nbytes
        self.plan.append(Planned("map", name, images, bytes=size, digest=digest))
        return samples.with_column(name, values, digest=digest, spatial=spatial)

    def keep(self, name: str, function: Callable[[], Any], key: Hashable = ()) -> Any:  # noqa: ANN401
        """See ``Task``."""
        digest = self._chain.keep(name, function, key, self.train)
        self.plan.append(Planned("keep", name, 0, digest=digest))
        with torch.no_grad():
            return function()

    def score(self, predict_with: Predict) -> float:
        """See ``Task``."""
        predict(self._model, predict_with, few(self.validation), self._compute)
        return 0.5

    def weights(self, name: str) -> Mapping[str, Tensor] | None:
        """See ``Task``; what will be needed is planned, not fetched."""
        if name != "none":
            self.plan.append(Planned("weights", name, 0))
        return None

    def try_stage(self, own: Stage) -> None:
        """Take one step of a stage, as the recipe has it, on what there is of its data."""
        stage = self._recipe.of(own, lambda: self.score(self._model.predict))
        placed(stage.network, self._compute.device)
        size = stage.batch_size if self.full_batch else min(stage.batch_size, COMPUTED)
        whole = {
            name: np.arange(size, dtype=np.int64) % len(samples)
            for name, samples in stage.sources.items()
        }
        draw = Draw(0, whole, whole)
        _, batches = next(iter(feed(stage.sources, [draw], self._compute.device)))
        if stage is not own:
            self._compare(own, stage, batches)
        stage.network.train()
        with torch.set_grad_enabled(self.backward):
            losses = Stepper(stage, self._compute, self.seed, Ranks()).forward(0, draw, batches, 1)
        for name, loss in losses.items():
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"stage {stage.name!r}: the loss {name} is not finite at once")
        stage.optimizer.zero_grad(set_to_none=True)
        self._note(self._budget.limit(stage))

    def _compare(self, own: Stage, stage: Stage, batches: Mapping[str, Batch]) -> None:
        """Find out whether a recipe fits a stage that it changes."""
        self.classifiers += 1
        for batch in batches.values():
            check_size(own, stage, batch)
        if own.score is None and stage.score is not None:
            stage.score()  # which nobody has asked before

    def _note(self, stage: Stage) -> None:
        first = next(iter(stage.sources.values()))
        parameters = sum(p.numel() for p in stage.network.parameters())
        self.plan.append(
            Planned(
                "stage",
                stage.name,
                self._whole(first),
                stage.epochs,
                stage.steps,
                stage.batch_size,
                parameters,
                bytes=parameters * 4 * 4,
                digest=self._chain.stage(stage, self.validation, self._compute),
            )
        )

    def _whole(self, samples: Samples) -> int:
        """Return about how many images of the whole data the rehearsed ones stand for."""
        return round(sum(self._stands_for[image] for image in samples.names.tolist()))


def eight(samples: Samples) -> Samples:
    """Return up to eight samples, half of them without any finding where labels are known.

    They are spread over the whole, so that a method that holds out patients finds several.
    """
    labels = samples.labels
    if labels is None or len(samples) <= SAMPLES:
        return samples.take(_spread(np.arange(len(samples)), SAMPLES))
    normal = np.nan_to_num(labels).sum(axis=1) == 0
    few = np.concatenate(
        [_spread(np.flatnonzero(normal), SAMPLES // 2), _spread(np.flatnonzero(~normal), SAMPLES)]
    )
    rest = np.setdiff1d(np.arange(len(samples)), few[:SAMPLES])
    return samples.take(np.sort(np.concatenate([few, rest])[:SAMPLES]))


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return up to `count` rows at even distances."""
    if len(rows) <= count:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)])


def few(samples: Samples) -> Samples:
    """Return the samples that networks compute."""
    return samples.take(np.arange(min(COMPUTED, len(samples))))


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """The steps of a method, what it said untrained, and the FLOPs of saying it of one image."""

    steps: list[Planned]
    said: Predictions
    flops: int

    def __iter__(self) -> Iterator[Any]:
        """Yield the steps, then what was said."""
        return iter((self.steps, self.said))


def rehearse(
    model: Model,
    train: Samples,
    validation: Samples,
    auxiliary: Mapping[str, Samples],
    compute: Compute,
    budget: Budget,
    sizes: Mapping[str, int] | None = None,
    full_batch: bool = False,
    backward: bool = True,
    recipe: Recipe = PAPER,
) -> Rehearsal:
    """Run a copy of a model through its stages and its prediction, untrained, on eight samples.

    ``sizes`` are the numbers of images that "train", "validation" and each auxiliary dataset stand
    for. Without ``backward``, gradients are not computed, which spares two thirds of the time.

    Raises:
        TrainingError: a loss is not finite, what is predicted is no prediction, or the recipe finds
            no classifier among the stages.
    """
    actor = copy.deepcopy(model)
    task = RehearsalTask(actor, train, validation, auxiliary, compute, budget, sizes or {}, recipe)
    task.full_batch, task.backward = full_batch, backward
    seen = few(task.validation)
    with muted():
        learn(actor, task, task.try_stage)
        with counting(actor) as counter:
            said = predict(actor, actor.predict, seen, compute, detailed=np.arange(len(seen)))
    if recipe is not PAPER and not task.classifiers and any(p.kind == "stage" for p in task.plan):
        raise TrainingError(
            f"the {recipe.name} recipe finds no classifier in {type(model).__name__}: none of its "
            "stages has a score; give the stage of its classifier classifies=True"
        )
    return Rehearsal(task.plan, said, counter.get_total_flops() // len(seen))
