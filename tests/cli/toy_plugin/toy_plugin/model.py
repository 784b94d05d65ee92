"""One small network."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from harness import Model, Prediction, Stage, View, masked_bce


@dataclass
class Toy(Model):
    """A convolution and a linear layer."""

    size: int = 16
    rate: float = 0.01
    epochs: int = 2
    batch_size: int = 8
    pool: Literal["mean", "max"] = "mean"
    weights: str = "none"
    scale: float = 1.0

    @property
    def view(self):
        """Tiny."""
        return View(self.size)

    def stages(self, task):
        """Train it."""
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.AdaptiveAvgPool2d(4) if self.pool == "mean" else nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(64, len(task.classes)),
        )
        task.load(self.network, self.weights)
        yield Stage(
            "classifier",
            self.network,
            lambda network, b: {"bce": self.scale * masked_bce(network(b.images), b.labels)},
            task.train,
            torch.optim.Adam(self.network.parameters(), self.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            score=lambda: task.score(self.predict),
            key=(self.pool, self.scale),
        )

    def predict(self, batch):
        """Say the probabilities, and which cells raise them."""
        cells = self.network[1](self.network[0](batch.images)).float()
        weights = self.network[3].weight.view(-1, *cells.shape[1:])
        return Prediction(
            scores=self.network(batch.images).float().sigmoid(),
            maps=torch.einsum("bfhw,cfhw->bchw", cells, weights),
            to_original=batch.to_original,
            map_frame=(self.size, self.size),
        )


@dataclass
class Deep(Toy):
    """Goes on where the toy ends."""

    steps: int = 2

    def stages(self, task):
        """Train the toy, then a layer behind it."""
        yield from super().stages(task)
        first = self.network.requires_grad_(False)
        self.network = nn.Sequential(first, nn.Linear(len(task.classes), len(task.classes)))
        yield Stage(
            "head",
            self.network,
            lambda network, b: {"bce": masked_bce(network(b.images), b.labels)},
            task.train,
            torch.optim.Adam(self.network[1].parameters(), self.rate),
            steps=self.steps,
        )

    def predict(self, batch):
        """Say the probabilities."""
        return Prediction(scores=self.network(batch.images).float().sigmoid())
