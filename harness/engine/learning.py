"""Learning a model step by step.

Stages, maps and kept values, each under its digest, shared by content.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.engine import checkpoint, loop
from harness.engine.budget import Budget
from harness.engine.chain import Chain, source_hash, training_hash
from harness.engine.clock import images_per_second
from harness.engine.compute import Compute, placed
from harness.engine.distributed import barrier, from_first, ranks, shard
from harness.engine.evaluate import evaluating, predict
from harness.engine.feed import plain_feed
from harness.engine.maps import column_specs, find_annotated, mapped_shape, open_map, stored
from harness.engine.recipe import PAPER, Recipe
from harness.engine.selection import selection_score
from harness.engine.values import is_small, read_value, write_value
from harness.errors import TrainingError
from harness.files import locked, read_json, write_json
from harness.home import home
from harness.model.model import Model
from harness.model.stage import Stage
from harness.model.task import Predict, Task
from harness.progress import Bar, say
from harness.seeds import derive

Array = npt.NDArray[Any]


@dataclass
class Learnt:
    """What learning a model left behind: one entry a step, in order."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path | None] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)  # small plain values, for the record
    selection: str | None = None


class LiveTask(Task):
    """The task of a real run: everything learnt is stored under its digest."""

    def __init__(
        self,
        model: Model,
        train: Samples,
        validation: Samples,
        auxiliary: Mapping[str, Samples],
        compute: Compute,
        budget: Budget,
        seed: int,
        recipe: Recipe = PAPER,
    ) -> None:
        self.space, self.train, self.validation = train.space, train, validation
        self._auxiliary, self._model, self._compute = auxiliary, model, compute
        self._budget, self._recipe, self.seed = budget, recipe, seed
        self._chain = Chain(seed, source_hash(type(model).__module__), training_hash())
        self.learnt = Learnt()
        self.fresh = False

    def annotated(self, column: str, organs: tuple[str, ...] = ()) -> Samples:
        """See ``Task``."""
        found = find_annotated(self.train, self._auxiliary, column, organs)
        self._note("annotated", column, None, spec=column_specs(found))
        return found

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
        began = time.perf_counter()
        with _alone(home() / "maps" / f"{digest}.lock"):
            self._forget(home() / "maps" / digest)
            values = self._mapped(home() / "maps" / digest, name, function, samples)
        spec = {"dtype": str(values.dtype), "shape": list(values.shape[1:]), "spatial": spatial}
        seconds = time.perf_counter() - began
        facts_of = {"digest": digest, "images": len(samples), "seconds": seconds, "spec": spec}
        self._note("map", name, None, **facts_of)
        return samples.with_column(name, values, digest=digest, spatial=spatial)

    def _mapped(
        self, folder: Path, name: str, function: Callable[[Batch], Tensor], samples: Samples
    ) -> Array:
        """Fill what is missing of a map, each rank its share, and open it."""
        first = from_first(mapped_shape(self._model, function, samples, self._compute))
        values, done = open_map(folder, len(samples), *first)
        missing = np.flatnonzero(done == 0)
        mine = missing[shard(len(missing))]
        feed = plain_feed(
            samples, mine, self._compute.eval_batch, self._compute.device, inputs_only=False
        )
        quiet = not ranks().first
        with evaluating(self._model), Bar(f"mapping {name}", len(mine), quiet=quiet) as bar:
            for batch in feed:
                rows = batch.index.cpu().numpy()
                with self._compute.autocast():
                    values[rows] = stored(function(batch))
                done[rows] = 1
                bar.advance(len(rows))
        barrier()
        return values

    def keep(self, name: str, function: Callable[[], Any], key: Hashable = ()) -> Any:  # noqa: ANN401
        """See ``Task``."""
        digest = self._chain.keep(name, function, key, self.train)
        path = home() / "keeps" / f"{digest}.safetensors"
        with _alone(path.with_suffix(".lock")):
            self._forget(path)
            if ranks().first and not path.exists():
                with torch.random.fork_rng(), torch.no_grad():
                    torch.manual_seed(derive(self.seed, "keep", name))
                    write_value(path, function())
            barrier()
        self._note("keep", name, path, digest=digest)
        value = read_value(path)
        if is_small(value):
            self.learnt.kept[name] = value
        return value

    def score(self, predict_with: Predict) -> float:
        """See ``Task``."""
        said = predict(self._model, predict_with, self.validation, self._compute, what="validating")
        value, self.learnt.selection = selection_score(said, self.validation)
        return value

    def weights(self, name: str) -> Mapping[str, Tensor] | None:
        """See ``Task``."""
        if name == "none":
            return None
        from harness.model.pretrained import read

        state, self.learnt.weights[name] = read(name)
        return state

    def train_stage(self, stage: Stage) -> None:
        """Train a stage, or load it where the same was trained before."""
        meant = self._recipe.of(stage, lambda: self.score(self._model.predict))
        limited = self._budget.limit(meant)
        digest = self._chain.stage(limited, self.validation, self._compute)
        folder = home() / "stages" / digest
        with _alone(home() / "stages" / f"{digest}.lock", stage.name):
            self._forget(folder)
            begun = {"stage": stage.name, "initial": checkpoint.weights_hash(stage.network)}
            _same_beginning(folder, begun)
            barrier()
            shared = (folder / "stage.json").exists()
            if not shared:
                self._train(limited, digest, folder)
        checkpoint.load_weights(folder / "weights.safetensors", stage.network)
        placed(stage.network, self._compute.device)
        about = read_json(folder / "stage.json")
        self._note("stage", stage.name, folder / "weights.safetensors", **about, shared=shared)

    def _train(self, stage: Stage, digest: str, folder: Path) -> None:
        state = loop.train(stage, folder, self._compute, derive(self.seed, "stage", stage.name))
        barrier()  # every rank has the best epoch's weights before their file goes
        if ranks().first:
            checkpoint.save_weights(folder / "weights.safetensors", stage.network)
            record = stage_record(stage, state, digest)
            initial = read_json(folder / "begun.json")["initial"]
            final = checkpoint.weights_hash(stage.network)
            write_json(folder / "stage.json", record | {"initial": initial, "final": final})
            for file in folder.glob("*.safetensors"):
                if file.name != "weights.safetensors":
                    file.unlink()
        barrier()

    def _forget(self, place: Path) -> None:
        """Remove what was learnt before, where a fresh run was asked for."""
        if self.fresh and ranks().first:
            place.unlink() if place.is_file() else shutil.rmtree(place, ignore_errors=True)
        barrier()

    def _note(self, kind: str, name: str, file: Path | None, **about: object) -> None:
        self.learnt.steps.append({"kind": kind, "name": name, **about})
        self.learnt.files.append(file)


def learn(model: Model, task: Task, on_stage: Callable[[Stage], object]) -> None:
    """Run a model's method section: each stage is handed on when it is yielded.

    The k-th network is built under a seed that only the run's seed and k decide.
    """
    seed = getattr(task, "seed", 0)
    section = model.stages(task)
    number = 0
    while True:
        torch.manual_seed(derive(seed, "network", number))
        try:
            stage = next(section)
        except StopIteration:
            return
        except ValueError as error:
            name = type(model).__name__
            raise TrainingError(f"{name} cannot be built with these settings: {error}") from error
        on_stage(stage)
        number += 1


def stage_record(stage: Stage, state: checkpoint.State, digest: str) -> dict[str, Any]:
    """Return what the record says of a trained stage."""
    clocks = state.clocks
    return {
        "digest": digest,
        "images": sum(len(samples) for samples in stage.sources.values()),
        "optimizer": type(stage.optimizer).__name__,
        "batch_size": stage.batch_size,
        "epochs": state.epoch,
        "steps": state.steps,
        "best_epoch": state.best_epoch,
        "score": state.best,
        "parameters": sum(p.numel() for p in stage.network.parameters()),
        "seconds": {k: v for k, v in clocks.items() if not k.startswith("timed")},
        "images_per_second": images_per_second(clocks),
        "history": state.history,
    }


def _same_beginning(folder: Path, begun: dict[str, Any]) -> None:
    """Make sure that a stage of the same name in the cache began with the same weights."""
    path = folder / "begun.json"
    if not ranks().first:
        return
    if not path.exists():
        write_json(path, begun)
    before = read_json(path)
    if before["initial"] != begun["initial"]:
        raise TrainingError(
            f"stage {begun['stage']!r} was begun with other initial weights under the same digest "
            f"({folder.name}); put what decides them into its key, or run with --fresh"
        )


@contextmanager
def _alone(path: Path, what: str = "") -> Iterator[None]:
    """Let one run at a time work on a digest; its first rank holds the lock for all."""
    waiting = lambda: say(f"another run is working on {what or path.stem}: waiting")  # noqa: E731
    with locked(path, waiting) if ranks().first else nullcontext():
        barrier()
        yield
        barrier()
