"""Small samples, networks and models that the tests of the engine and their programs train."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from harness import (
    Batch,
    LabelSpace,
    Model,
    Prediction,
    Samples,
    Stage,
    Task,
    View,
    masked_bce,
    random_crop,
    random_flip,
)
from harness.data.samples import Column
from harness.engine import loop, step
from harness.engine.budget import Budget
from harness.engine.compute import Compute
from harness.engine.learning import LiveTask, learn
from harness.engine.recipe import PAPER

CLASSES = ("Mass", "Nodule", "Edema")
SIZE = 12
COMPUTE = Compute(torch.device("cpu"), eval_batch=8)
SEED = 5
FULL = Budget("full")


def samples(count, seed=0, size=SIZE):
    """Return images of noise, lighter where the first label is set; some labels are unknown."""
    random = np.random.default_rng(seed)
    labels = (random.random((count, len(CLASSES))) < 0.4).astype(np.float32)
    images = random.integers(0, 200, (count, size, size), dtype=np.uint8)
    images += (labels[:, 0] * 50).astype(np.uint8)[:, None, None]
    labels[random.random(labels.shape) < 0.1] = np.nan
    made = Samples.of(
        LabelSpace(CLASSES),
        names=[f"{seed}-{row}" for row in range(count)],
        patients=[f"{seed}-{row // 2}" for row in range(count)],
        sizes=np.full((count, 2), size, dtype=np.int64),
        labels=labels,
    )
    made.view = View(size)
    made.columns["images"] = Column(images, np.arange(count))
    return made


def plain(size=SIZE, seed=1):
    """Return a network without BatchNorm and dropout."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (size - 2) ** 2, len(CLASSES))
    )


def noisy(size=SIZE, seed=1):
    """Return a network with BatchNorm and dropout."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * (size - 2) ** 2, len(CLASSES)),
    )


def bce(network, batch):
    """Return the loss of every test that needs no other."""
    return {"bce": masked_bce(network(batch.images), batch.labels)}


def jitter(batch, draws):
    """Crop two pixels off and mirror."""
    return random_flip(random_crop(batch, draws, SIZE - 2), draws)


@dataclass
class Toy(Model):
    """Two stages with a map and a kept value between them."""

    epochs: int = 3
    rate: float = 0.01
    second: float = 0.01
    width: int = 4

    @property
    def view(self) -> View:
        """Tiny."""
        return View(SIZE)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train features, map them, train a head on the map."""
        self.features = noisy(SIZE - 2)
        yield Stage(
            "features",
            self.features,
            bce,
            task.train,
            torch.optim.Adam(self.features.parameters(), self.rate),
            epochs=self.epochs,
            batch_size=8,
            accumulate=2,
            augment=jitter,
            key=(self.rate, self.epochs),
        )
        self.mean = task.keep("mean", lambda: torch.tensor(np.nanmean(task.train.labels)))
        task.train.need("labels")
        mapped = task.map("logits", self._logits, task.train, key=self.rate)
        self.head = nn.Linear(len(CLASSES), len(CLASSES))
        optimizer = torch.optim.SGD(self.head.parameters(), self.second, momentum=0.9)
        yield Stage(
            "head",
            self.head,
            lambda network, batch: {"bce": masked_bce(network(batch["logits"]), batch.labels)},
            mapped,
            optimizer,
            epochs=self.epochs,
            batch_size=8,
            scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
            score=lambda: task.score(self.predict),
            key=self.second,
        )

    def _logits(self, batch: Batch) -> torch.Tensor:
        inner = batch.images[:, :, 1:-1, 1:-1]
        return self.features(inner)

    def predict(self, batch: Batch) -> Prediction:
        """Say what the head says."""
        return Prediction(scores=(self.head(self._logits(batch)) + self.mean).float().sigmoid())


def train(
    model,
    *,
    train=50,
    validation=30,
    seed=0,
    compute=COMPUTE,
    budget=FULL,
    fresh=False,
    recipe=PAPER,
):
    """Train a model on toy samples in the present home; return its task."""
    parts = (samples(train, 1), samples(validation, 2), {})
    task = LiveTask(model, *parts, compute, budget, seed, recipe)
    task.fresh = fresh
    learn(model, task, task.train_stage)
    return task


class Killed(BaseException):
    """Nobody catches it: as sudden as a signal, but at a step that the test chooses."""


def train_killed_at(number, stage, folder, monkeypatch):
    """Train until a forward of the sitting has been done; return whether it came so far."""
    forward, done = step.Stepper.forward, []

    def counted(self, *arguments):
        if len(done) == number:
            raise Killed
        done.append(arguments)
        return forward(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(step.Stepper, "forward", counted)
        with pytest.raises(Killed):
            loop.train(stage, folder, COMPUTE, SEED)
