"""The only training loop: resume, timing and early stopping are the same for every method."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from harness.data.batch import Batch
from harness.engine import checkpoint
from harness.engine.checkpoint import State
from harness.engine.clock import Clock
from harness.engine.compute import Compute, placed
from harness.engine.distributed import barrier, from_first, gathered, share_buffers
from harness.engine.feed import Draw, epoch_draws, feed
from harness.engine.step import Stepper
from harness.errors import Interrupted, TrainingError
from harness.model.stage import Stage
from harness.progress import Bar

CHECKPOINT_SECONDS = 600.0
_STOPPING = b"\nstopping after this step; Ctrl-C again ends at once\n"
_LOOK_EVERY = 20  # batches between two looks at what only the device knows


def train(stage: Stage, folder: Path, compute: Compute, seed: int) -> State:
    """Train a stage to its end, going on from the checkpoint in ``folder`` if there is one.

    Afterwards the network has its final weights: the best epoch's where there is a score. ``seed``
    decides order, augmentation and dropout.

    Raises:
        TrainingError: a loss is not finite, or the checkpoint does not fit.
        Interrupted: the process was told to stop (Ctrl-C, SIGTERM, SIGUSR1).
    """
    placed(stage.network, compute.device)
    sitting = _Sitting(stage, folder, compute, seed)
    with _stop_signals(sitting):
        while not sitting.state.finished:
            sitting.epoch()
            number = from_first(sitting.asked_to_stop)
            if number:
                raise sitting.interrupted(number)
    sitting.conclude()
    return sitting.state


@contextmanager
def _stop_signals(sitting: _Sitting) -> Iterator[None]:
    """Turn Ctrl-C and the signals of schedulers into a wish to stop at the next step.

    Whoever asks again after Ctrl-C gets what the signal meant before the stage: the end.
    """
    before: dict[signal.Signals, Any] = {}

    def wish(number: int, frame: FrameType | None) -> None:
        handler = before.get(signal.Signals(number))
        if sitting.asked_to_stop == signal.SIGINT and callable(handler):
            handler(number, frame)
        if number == signal.SIGINT and sitting.stepper.here.first:
            os.write(2, _STOPPING)  # print may be what was interrupted
        sitting.asked_to_stop = number

    try:
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            before[kind] = signal.signal(kind, wish)
    except ValueError:  # not the main thread: signals are somebody else's
        pass
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class _Sitting:
    """One process's work at a stage, from its checkpoint on."""

    def __init__(self, stage: Stage, folder: Path, compute: Compute, seed: int) -> None:
        self.stage, self.folder, self.seed = stage, folder, seed
        self.asked_to_stop = 0  # the number of the signal
        file = folder / "checkpoint.safetensors"
        self.state = checkpoint.load(file, stage) if file.exists() else State()
        self.stepper = Stepper(stage, compute, seed)
        if not self.stepper.here.first:  # a checkpoint has the sums of all ranks
            self.state.sums = dict.fromkeys(self.state.sums, 0.0)
        self.clock = Clock(compute, self.state.clocks)
        self.device = compute.device
        self._file, self._saved = file, time.monotonic()

    def epoch(self) -> None:
        """Train what is left of the present epoch, then ask for the score and keep a checkpoint."""
        stage, state, here = self.stage, self.state, self.stepper.here
        path = ("epoch", state.epoch)
        draws = epoch_draws(
            stage.sources, stage.batch_size, self.seed, path, here, drop_last=stage.drop_last
        )
        if not draws:
            raise TrainingError(
                f"stage {stage.name!r} has {len(next(iter(stage.sources.values())))} images: "
                f"not one batch of {stage.batch_size}"
            )
        self._train(draws)
        self._close_epoch(draws)

    def _train(self, draws: list[Draw]) -> None:
        stage, state = self.stage, self.state
        left = draws[state.batch :]
        coming = feed(stage.sources, left, self.device)
        self._sums = {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in state.sums.items()
        }
        stage.network.train()
        self.clock.resume()
        quiet = not self.stepper.here.first
        with Bar(f"{stage.name}, epoch {state.epoch + 1}", _images(left), quiet=quiet) as bar:
            while state.batch < len(draws) and not self._long_enough():
                with self.clock.of("wait"):
                    draw, batches = next(coming)
                with self.clock.of("train"):
                    self._batch(draw, batches, len(draws))
                bar.advance(draw.size)
                self._pause_if_asked(draw, len(draws))
        self.clock.pause()
        coming.close()  # type: ignore[attr-defined]
        self._look()

    def _batch(self, draw: Draw, batches: Mapping[str, Batch], count: int) -> None:
        group = self.stage.accumulate
        members = min(group, count - (draw.number - draw.number % group))
        losses = self.stepper.forward(self.state.epoch, draw, batches, members)
        for name, loss in losses.items():
            weighted = loss.double() * draw.size
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        if self.stepper.completes(draw, members):
            self.stepper.step()
            self.state.steps += 1
        self.state.batch = draw.number + 1
        self.clock.trained(draw.size)

    def _long_enough(self) -> bool:
        return self.stage.steps is not None and self.state.steps >= self.stage.steps

    def _pause_if_asked(self, draw: Draw, count: int) -> None:
        """Look at the losses now and then; write a checkpoint when it is time; stop when asked."""
        looks = self.state.batch % _LOOK_EVERY == 0
        stop, due = self._wishes(looks=looks)
        if looks:
            self._look()
        between = self.state.batch % self.stage.accumulate == 0 and self.state.batch < count
        if between and (due or stop):
            self.clock.pause()
            self._look()
            self._save()
            self.clock.resume()
            if stop:
                raise self.interrupted(stop)

    def _wishes(self, *, looks: bool) -> tuple[int, bool]:
        """Return the signal to stop, 0 for none, and whether a checkpoint is due: on every rank."""
        due = time.monotonic() - self._saved > CHECKPOINT_SECONDS
        if self.stepper.here.world == 1:
            return self.asked_to_stop, due
        return from_first((self.asked_to_stop, due)) if looks else (0, False)

    def interrupted(self, number: int) -> Interrupted:
        """Return what is said of a stage that is left before its end."""
        return Interrupted(
            f"stopped in stage {self.stage.name!r}, epoch {self.state.epoch + 1}; "
            "the same command goes on from the last checkpoint",
            number,
        )

    def _look(self) -> None:
        """Bring the sums of losses to the host and make sure that they are numbers."""
        self.state.sums = {name: float(value) for name, value in self._sums.items()}
        broken = [name for name, value in self.state.sums.items() if not math.isfinite(value)]
        if broken:
            raise TrainingError(
                f"stage {self.stage.name!r}: the loss {', '.join(broken)} is not finite in epoch "
                f"{self.state.epoch + 1}, batch {self.state.batch}; lower the learning rate or run "
                "with --precision fp32; the last checkpoint is kept"
            )

    def _close_epoch(self, draws: list[Draw]) -> None:
        """Write history, ask for the score, let the scheduler go on, decide about the end."""
        stage, state = self.stage, self.state
        share_buffers(stage.network)
        images = _images(draws[: state.batch])
        totals = [gathered(value) for value in state.sums.values()]
        entry: dict[str, float] = {"epoch": state.epoch + 1, "steps": state.steps}
        entry |= {n: sum(t) / images for n, t in zip(state.sums, totals, strict=True)}
        entry["rate"] = stage.optimizer.param_groups[0]["lr"]
        if stage.score is not None:
            with self.clock.of("validation"):
                entry["score"] = from_first(float(stage.score()))
            self._keep_best(entry["score"])
        state.history.append(entry)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        self._schedule(entry.get("score"))
        enough = stage.epochs is not None and state.epoch >= stage.epochs
        patient = stage.patience is None or state.stale < stage.patience
        state.finished = enough or self._long_enough() or not patient
        self._save()

    def _schedule(self, score: float | None) -> None:
        scheduler = self.stage.scheduler
        if scheduler is None or self.stage.schedule == "step":
            return
        if isinstance(scheduler, ReduceLROnPlateau):
            if score is None:
                raise TrainingError(f"stage {self.stage.name!r}: ReduceLROnPlateau needs a score")
            scheduler.step(score)
        else:
            scheduler.step()

    def _keep_best(self, score: float) -> None:
        if not math.isfinite(score):
            raise TrainingError(f"stage {self.stage.name!r}: the validation score is {score}")
        state = self.state
        if state.best is None or score > state.best:
            state.best, state.best_epoch, state.stale = score, state.epoch + 1, 0
            if self.stepper.here.first:
                checkpoint.save_weights(self._best(state.epoch + 1), self.stage.network)
        else:
            state.stale += 1

    def _best(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.safetensors"

    def _save(self) -> None:
        sums = {name: sum(gathered(value)) for name, value in self.state.sums.items()}
        if self.stepper.here.first:
            with self.clock.of("checkpoint"):
                checkpoint.save(self._file, self.stage, replace(self.state, sums=sums))
            for old in self.folder.glob("epoch-*.safetensors"):
                if self.state.best_epoch is None or old != self._best(self.state.best_epoch):
                    old.unlink()
        barrier()  # whoever goes on, or begins again, finds this checkpoint and no older one
        self._saved = time.monotonic()

    def conclude(self) -> None:
        """Give the network its final weights."""
        barrier()
        if self.state.best_epoch is not None:
            checkpoint.load_weights(self._best(self.state.best_epoch), self.stage.network)
        self.stage.network.zero_grad(set_to_none=True)


def _images(draws: list[Draw]) -> int:
    return sum(draw.size for draw in draws)
