"""The models of this plugin; `network.py` and `agcnn.py` have their networks."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from harness import (
    Batch,
    DataError,
    Draws,
    Model,
    Prediction,
    Stage,
    Task,
    View,
    batch_weighted_bce,
    center_crop,
    masked_bce,
    random_crop,
    random_flip,
)

from . import agcnn, network

SMOKE: Mapping[str, object] = {
    "size": 72,
    "crop": 64,
    "batch_size": 16,
    "epochs": 2,
    "weights": "none",
}


@dataclass
class Cropped(Model):
    """What crops its images out of larger ones: at random to train, the centre to predict."""

    size: int = 256
    crop: int = 224
    augment: bool = True  # random crop and flip; otherwise the centre in training too

    @property
    def view(self) -> View:
        """Resized to a square."""
        return View(self.size)

    def augmented(self, batch: Batch, draws: Draws) -> Batch:
        """Return what a network is trained on."""
        if not self.augment:
            return center_crop(batch, self.crop)
        return random_flip(random_crop(batch, draws, self.crop), draws)

    def predict(self, batch: Batch) -> Prediction:
        """Say the probability of each class and where it is seen, from the centre crop."""
        batch = center_crop(batch, self.crop)
        logits, maps = self.network(batch.images)
        return Prediction(
            scores=logits.float().sigmoid(),
            maps=maps.float(),
            to_original=batch.to_original,
            map_frame=(self.crop, self.crop),
        )


def cross_entropy(classifier: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Return the binary cross-entropy of known labels."""
    return {"bce": masked_bce(classifier(batch.images).logits, batch["labels"])}


def weighted_cross_entropy(classifier: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Return the cross-entropy whose weights are counted over the optimiser's batch."""
    logits = classifier(batch.images).logits
    return {"wcel": batch_weighted_bce(logits, batch["labels"], batch.batch_labels)}


@dataclass
class Classifier(Cropped):
    """One network trained in one stage; the learning rate falls when validation stands still."""

    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    batch_size: int = 16
    epochs: int = 100
    plateau: int = 5  # epochs without a better score before the rate falls to a tenth
    patience: int = 10
    weights: str = "DenseNet121_Weights.IMAGENET1K_V1"  # or "none"
    loss: Literal["bce", "wcel"] = "bce"

    smoke: ClassVar[Mapping[str, object]] = SMOKE

    @abstractmethod
    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the network."""
        self.network = self.build(len(task.classes))
        task.load(self.network.backbone, self.weights, without=("fc.", "classifier."))
        trained = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = Adam(trained, self.learning_rate, weight_decay=self.weight_decay)
        yield Stage(
            name="classifier",
            network=self.network,
            loss=weighted_cross_entropy if self.loss == "wcel" else cross_entropy,
            data=task.train,
            optimizer=optimizer,
            epochs=self.epochs,
            batch_size=self.batch_size,
            augment=self.augmented,
            scheduler=ReduceLROnPlateau(optimizer, "max", factor=0.1, patience=self.plateau),
            score=lambda: task.score(self.predict),
            patience=self.patience,
            key=(type(self).__name__, *astuple(self)),
            crop=self.crop,
        )


@dataclass
class DCNN(Classifier):
    """ResNet-50 with transition layer and global pooling (Wang et al., 2017)."""

    weights: str = "ResNet50_Weights.IMAGENET1K_V1"
    loss: Literal["bce", "wcel"] = "wcel"
    pool: Literal["lse", "max", "avg"] = "lse"
    sharpness: float = 10.0  # r of LSE pooling
    transition: bool = True
    frozen: bool = True  # only transition layer and classifier are trained

    smoke: ClassVar[Mapping[str, object]] = {**SMOKE, "frozen": False}  # no weights to freeze

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.DCNN(classes, self.pool, self.sharpness, self.transition, self.frozen)


@dataclass
class CheXNet(Classifier):
    """DenseNet-121 (Rajpurkar et al., 2017)."""

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.CheXNet(classes)


@dataclass
class SENet(Classifier):
    """Gated DenseNet-121 with several maps a class and max-min pooling (Yan et al., 2018)."""

    size: int = 512
    crop: int = 448
    weight_decay: float = 0.0
    maps: int = 8
    alpha: float = 0.7  # weight of the minimum

    def build(self, classes: int) -> nn.Module:
        """Return the network for a number of classes."""
        return network.SENet(classes, self.maps, self.alpha)


@dataclass
class AGCNN(Cropped):
    """Global, local and fusion branch in three stages (Guan et al., 2018)."""

    threshold: float = 0.7  # tau
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    epochs: int = 50  # of each stage
    step: int = 20  # epochs before the rate falls to a tenth
    batch_size: int = 128  # of the global branch
    local_batch_size: int = 64  # of the local and the fusion branch
    weights: str = "DenseNet121_Weights.IMAGENET1K_V1"  # or "none"

    smoke: ClassVar[Mapping[str, object]] = {**SMOKE, "local_batch_size": 16}

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the global branch, the local branch on what it attends to, then their fusion."""
        classes = len(task.classes)
        guide = network.CheXNet(classes)
        task.load(guide.backbone, self.weights, without=("classifier.",))
        yield self._stage("global", guide, task, self.batch_size)
        branch = network.CheXNet(classes)
        local = agcnn.LocalBranch(guide, branch, self.threshold)
        task.load(branch.backbone, self.weights, without=("classifier.",))
        yield self._stage("local", local, task, self.local_batch_size, self.threshold)
        fusion = agcnn.FusionBranch(classes, local)
        yield self._stage("fusion", fusion, task, self.local_batch_size)

    def _stage(
        self, name: str, branch: nn.Module, task: Task, batch_size: int, *key: object
    ) -> Stage:
        self.network = branch
        optimizer = SGD(
            [p for p in branch.parameters() if p.requires_grad],
            self.learning_rate,
            self.momentum,
            weight_decay=self.weight_decay,
        )
        return Stage(
            name=name,
            network=branch,
            loss=cross_entropy,
            data=task.train,
            optimizer=optimizer,
            epochs=self.epochs,
            batch_size=batch_size,
            augment=self.augmented,
            scheduler=StepLR(optimizer, self.step),
            score=lambda: task.score(self.predict),
            key=(self.weights, self.crop, self.augment, *key),
            crop=self.crop,
        )


@dataclass
class Metadata(Model):
    """Age, sex and view position: what can be said without looking."""

    hidden: int = 32  # 0: logistic regression
    learning_rate: float = 1e-2
    batch_size: int = 1024
    epochs: int = 20

    smoke: ClassVar[Mapping[str, object]] = {"batch_size": 32, "epochs": 2}

    @property
    def view(self) -> View:
        """As small as may be: no image is looked at."""
        return View(8)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train on the metadata alone."""
        self.network = network.Metadata(len(task.classes), self.hidden)
        yield Stage(
            name="metadata",
            network=self.network,
            loss=self._loss,
            data=task.train,
            optimizer=Adam(self.network.parameters(), self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            score=lambda: task.score(self.predict),
            key=astuple(self),
        )

    def _loss(self, classifier: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        return {"bce": masked_bce(classifier(known(batch)), batch["labels"])}

    def predict(self, batch: Batch) -> Prediction:
        """Say the probability of each class."""
        return Prediction(scores=self.network(known(batch)).float().sigmoid())


def known(batch: Batch) -> Tensor:
    """Return age, sex and view (B, 3).

    Raises:
        DataError: the dataset has none of them.
    """
    if batch.metadata is None:
        raise DataError(
            "the model 'metadata' needs age, sex and view of each image; this dataset has none"
        )
    return batch.metadata
