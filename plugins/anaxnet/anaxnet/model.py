"""AnaXNet, Faster R-CNN with a linear layer, and CheXGCN: three heads on one detector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from anaxnet import network, report
from anaxnet.detectors import Architecture, build, resolve
from anaxnet.detectors.coco import load_coco
from anaxnet.graph import Rule
from anaxnet.network import Normalize
from anaxnet.regions import COLUMN, gather, in_original, pack, rows_only, unpack
from harness import (
    Batch,
    DataError,
    Model,
    Prediction,
    Samples,
    SettingError,
    Stage,
    Task,
    View,
    masked_bce,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class RegionModel(Model):
    """A detector of regions and a head that labels what it finds.

    Everything up to the head has the same names, keys and order in all subclasses, so that they
    share one trained detector and one map of region features.
    """

    detector: Literal["auto", "detectron2", "torchvision"] = "auto"
    depth: Literal[18, 50] = 50  # ResNet-50, Section 3.2
    weights: Literal["coco", "none"] = "coco"
    norm: Literal["batch", "group"] = "batch"  # without pretrained weights
    size: int = 512
    rois: int = 512
    proposals: int = 1000
    confidence: float = 0.7
    detector_steps: int = 50_000
    detector_batch_size: int = 16
    detector_lr: float = 1e-4
    missing_in_loss: bool = True  # a region that was not found is predicted from its context
    lr: float = 1e-4  # Section 3.3, like epochs
    epochs: int = 25
    batch_size: int = 16

    smoke: ClassVar[Mapping[str, object]] = {
        "depth": 18,
        "weights": "none",
        "size": 128,
        "rois": 32,
        "proposals": 64,
        "confidence": 0.05,
        "detector_batch_size": 8,
        "detector_lr": 3e-4,
        "lr": 1e-3,
    }

    def __post_init__(self) -> None:
        """Check that the settings fit each other.

        Raises:
            SettingError: pretrained weights were asked for a depth that has none.
        """
        if self.weights == "coco" and self.depth != 50:
            raise SettingError(
                f"COCO weights exist for depth=50, not for depth={self.depth}: add weights=none"
            )

    def resolved(self) -> Self:
        """Return the model with the detector that "auto" is here, detectron2 before torchvision."""
        return replace(self, detector=resolve(self.detector))

    @property
    def view(self) -> View:
        """The whole image in its own proportions."""
        return View(self.size, "letterbox")

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the detector, keep what it finds, train the head on that."""
        self._check(task)
        architecture = self._architecture(task)
        self.region_detector = build(self.detector, architecture)
        if self.weights == "coco":
            load_coco(self.region_detector, self.detector, task)
        yield self._detector_stage(task, architecture)

        key = (self.confidence, self.proposals)
        train = task.map(COLUMN, self.find, task.train, key)
        self._validation = task.map(COLUMN, self.find, task.validation, key)
        task.keep("detection", lambda: report.detection(task.train, self._validation))

        self.head = self.make_head(task)
        yield self._head_stage(task, rows_only(train))
        self.look_back(task)

    def _check(self, task: Task) -> None:
        for column in ("region_boxes", "region_labels"):
            if column not in task.train.columns:
                raise DataError(
                    f"this dataset has no {column}: a region method needs one that has, "
                    "e.g. --dataset imagenome"
                )

    def _architecture(self, task: Task) -> Architecture:
        return Architecture(
            regions=len(task.space.regions),
            size=self.size,
            depth=self.depth,
            norm=self.norm if self.weights == "none" else "frozen",
            rois=self.rois,
            proposals=self.proposals,
            confidence=self.confidence,
        )

    def _detector_stage(self, task: Task, architecture: Architecture) -> Stage:
        trained = replace(architecture, confidence=0.0, proposals=0)  # read in detection only
        learnt = [p for p in self.region_detector.parameters() if p.requires_grad]
        return Stage(
            "detector",
            self.region_detector,
            region_losses,
            task.train,
            torch.optim.Adam(learnt, self.detector_lr, fused=True),
            steps=self.detector_steps,
            batch_size=self.detector_batch_size,
            key=(self.detector, astuple(trained), self.weights),
        )

    def _head_stage(self, task: Task, train: Samples) -> Stage:
        return Stage(
            "head",
            self.head,
            self._label_loss,
            train,
            torch.optim.Adam(self.head.parameters(), self.lr, fused=True),
            epochs=self.epochs,
            batch_size=self.batch_size,
            score=lambda: task.score(self._predict_from_rows),
            key=(self.missing_in_loss, self.head_key()),
        )

    def _label_loss(self, head: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compare region logits with region labels, over all regions and labels (Eq. 6)."""
        found = unpack(batch[COLUMN], self.size)
        labels = batch["region_labels"]
        if not self.missing_in_loss:
            labels = labels.where(found.present[..., None], torch.nan)
        return {"bce": masked_bce(head(found.features), labels)}

    def find(self, batch: Batch) -> Tensor:
        """Find the regions of images: rows (B, R, 1030), for training and for prediction alike."""
        return pack(self.region_detector(batch.images), self.size)

    def predict(self, batch: Batch) -> Prediction:
        """Give the labels of each region, its box and whether it was found."""
        return self._judge(self.find(batch), batch)

    def _predict_from_rows(self, batch: Batch) -> Prediction:
        """Predict validation images from the rows that the detector left of them."""
        rows = gather(self._validation, batch.index)
        return self._judge(rows.to(batch.images.device), batch)

    def _judge(self, rows: Tensor, batch: Batch) -> Prediction:
        found = unpack(rows, self.size)
        return Prediction(
            region_scores=self.head(found.features).float().sigmoid(),
            region_present=found.present,
            region_boxes=in_original(found.boxes, batch.to_original),
        )

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield the regions of each image with their findings, predicted beside true (Fig. 2)."""
        from anaxnet.figures import region_figures

        return region_figures(self.predict(batch), batch, truth)

    @abstractmethod
    def make_head(self, task: Task) -> nn.Module:
        """Build the network that maps region features (B, R, 1024) to logits (B, R, L)."""

    def head_key(self) -> Hashable:
        """Return the hyperparameters that the head reads."""
        return ()

    def look_back(self, task: Task) -> None:
        """Record what there is to say of a trained head."""


def region_losses(detector: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the detector's four losses."""
    losses: dict[str, Tensor] = detector(batch.images, batch["region_boxes"])
    return losses


@dataclass
class FasterRCNN(RegionModel):
    """The detector's features and one linear layer: no graph, no attention (Section 3.2)."""

    def make_head(self, task: Task) -> nn.Module:
        """Build the linear layer."""
        return network.RegionClassifier(len(task.space.region_classes))


@dataclass
class CheXGCN(RegionModel):
    """Region features against label vectors that pass a graph of label co-occurrence."""

    embedding: Literal["random", "learned"] = "random"

    def make_head(self, task: Task) -> nn.Module:
        """Count the co-occurrence of labels in training regions and build the label graph."""
        cooccurrence = task.keep("co-occurrence", lambda: report.label_graph(task.train))
        return network.LabelGraph(cooccurrence, embedding=self.embedding)

    def head_key(self) -> Hashable:
        """Return the kind of label vectors."""
        return self.embedding


@dataclass
class AnaXNet(RegionModel):
    """Graph convolutions between regions and attention over them (Eq. 1 to 5)."""

    graph: Literal["jaccard", "identity", "random"] = "jaccard"
    jaccard: Rule = "eq2"
    tau: float = 0.5
    dims: tuple[int, ...] = (512, 1024)
    normalize: Normalize = "sym"
    last_activation: Literal["relu", "none"] = "relu"
    combine: Literal["concat", "residual"] = "concat"

    def make_head(self, task: Task) -> nn.Module:
        """Count the graph between regions on the training split and build the head."""
        key = (self.graph, self.jaccard, self.tau)
        adjacency = task.keep("adjacency", lambda: self._adjacency(task), key)
        return network.AnatomyGraph(
            adjacency,
            len(task.space.region_classes),
            dims=self.dims,
            normalize=self.normalize,
            last_activation=self.last_activation,
            combine=self.combine,
        )

    def _adjacency(self, task: Task) -> Tensor:
        return report.region_graph(task.train, self.graph, self.jaccard, self.tau)

    def head_key(self) -> Hashable:
        """Return the form of the head and of its graph."""
        return (
            (self.graph, self.jaccard, self.tau),
            (self.dims, self.normalize, self.last_activation, self.combine),
        )

    def look_back(self, task: Task) -> None:
        """Record how far the attention has saturated."""
        task.keep("attention", lambda: report.attention(self.head, self._validation))
