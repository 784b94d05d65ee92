"""The models of paper 003; `network.py` has their networks. Numbers name sections of the paper."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from harness import Batch, Model, Prediction, Stage, Task, View, batch_weighted_bce

from . import network


@dataclass
class Classifier(Model):
    """A ResNet-34 with one of the paper's heads, trained as a whole on unaugmented images."""

    learning_rate: float = 1e-4  # 4.1, 4.2, 4.3
    weight_decay: float = 0.0
    batch_size: int = 128  # 4.1
    epochs: int = 30  # 4.1
    patience: int = 3  # 4.1
    size: int = 256  # 4
    weights: str = "ResNet34_Weights.IMAGENET1K_V1"  # 4.1, or "none"

    smoke: ClassVar[Mapping[str, object]] = {
        "size": 96,
        "batch_size": 16,
        "epochs": 2,
        "weights": "none",
    }

    @property
    def view(self) -> View:
        """Resized to a square, not cropped."""
        return View(self.size)

    @abstractmethod
    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""

    def schedule(self, optimizer: Optimizer) -> LRScheduler | None:
        """Return the schedule of the learning rate, if there is one."""
        return None

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the network with the weighted cross-entropy of Eq. 1."""
        self.network = self.build(len(task.classes))
        task.load(self.network.backbone, self.weights, without=("fc.",))
        optimizer = Adam(
            self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        yield Stage(
            name="classifier",
            network=self.network,
            loss=weighted_cross_entropy,
            data=task.train,
            optimizer=optimizer,
            epochs=self.epochs,
            batch_size=self.batch_size,
            scheduler=self.schedule(optimizer),
            score=lambda: task.score(self.predict),
            patience=self.patience,
            key=(type(self).__name__, *astuple(self)),
        )

    def predict(self, batch: Batch) -> Prediction:
        """Say the probability of each class and where it is seen."""
        logits, maps = self.network(batch.images)
        height, width = batch.images.shape[-2:]
        return Prediction(
            scores=logits.float().sigmoid(),
            maps=maps.float(),
            to_original=batch.to_original,
            map_frame=(height, width),
        )


def weighted_cross_entropy(network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Return the WCEL of Eq. 1, its weights counted over the optimiser's batch."""
    logits = network(batch.images).logits
    return {"wcel": batch_weighted_bce(logits, batch["labels"], batch.batch_labels)}


@dataclass
class ResNet34(Classifier):
    """The paper's baseline: transition layer and global maximum (3.1)."""

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.ResNet34(classes)


@dataclass
class SpaceAttention(Classifier):
    """Every position joined with its context (3.2)."""

    weight_decay: float = 1e-4  # 4.2
    pool: Literal["global", "k7"] = "global"  # 3.2; k7: the authors' code

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.SpaceAttention(classes, self.pool)

    def schedule(self, optimizer: Optimizer) -> LRScheduler:
        """Return a tenth of the learning rate every 20 epochs (4.2)."""
        return StepLR(optimizer, step_size=20)


@dataclass
class AttentionGate(Classifier):
    """Two blocks gated by the last (3.3)."""

    batch_size: int = 32  # 4.3
    aggregation: Literal["concat", "mean", "ft"] = "concat"  # 3.3
    normalise: Literal["sigmoid", "mean_flow"] = "sigmoid"

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.AttentionGated(classes, self.aggregation, self.normalise)
