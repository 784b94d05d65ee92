"""The rows without masks: ResNet-50 on radiographs as they are, and on aligned ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dm_attention.masks import mean_image
from dm_attention.network import (
    Alignment,
    Classifier,
    Judge,
    alignment_losses,
    in_pixels,
    smooth,
)
from dm_attention.report import landmark_report
from harness import (
    Batch,
    DataError,
    Draws,
    Model,
    Prediction,
    Samples,
    SettingError,
    Stage,
    Task,
    View,
    batch_weighted_bce,
    compose,
    random_affine,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHUNK = 64  # images read at a time between two stages


def jitter(batch: Batch, draws: Draws) -> Batch:
    """Turn, scale and shift each image at random: what alignment has to be better than."""
    return random_affine(batch, draws, degrees=10.0, scale=(0.85, 1.15), shift=0.08)


def normal_anchor(samples: Samples, most: int) -> dict[str, Tensor | int]:
    """Average up to `most` random images without a finding to the anchor (1, H, W) (section 3.2).

    Raises:
        DataError: every image has a finding.
    """
    findings = [name != "No Finding" for name in samples.space.classes]
    normal = np.flatnonzero(~(samples.need("labels")[:, findings] == 1).any(axis=1))
    if len(normal) == 0:
        raise DataError("no training image is without a finding: alignment has no anchor")
    chosen = np.sort(normal[torch.randperm(len(normal))[:most].numpy()])
    chunks = np.array_split(chosen, -(-len(chosen) // CHUNK))
    image = mean_image(samples.batch(rows).floats().images for rows in chunks)
    return {"image": image, "images": len(chosen)}


@dataclass
class ResNet50(Model):
    """ResNet-50 with class activation maps, on radiographs as they are (row "ResNet-50")."""

    size: int = 512  # section 4.1
    weights: str = "ResNet50_Weights.IMAGENET1K_V1"
    epochs: int = 5  # section 4.2
    batch_size: int = 32
    lr: float = 1e-4
    augment: Literal["none", "affine"] = "none"

    smoke: ClassVar[Mapping[str, object]] = {"size": 96, "weights": "none", "epochs": 1}

    @property
    def view(self) -> View:
        """The whole radiograph, stretched to a square."""
        return View(self.size)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the classifier with the weighted cross-entropy of Eq. 10."""
        yield self._classifier(task, "classifier")

    def _classifier(self, task: Task, name: str) -> Stage:
        self.network = Classifier(len(task.classes))
        task.load(self.network.resnet, self.weights, without=("fc.",))
        return self._training(task, name, self.epochs, (self.weights,))

    def _training(self, task: Task, name: str, epochs: int, key: tuple[object, ...]) -> Stage:
        return Stage(
            name,
            network=self.network,
            loss=self._loss,
            data=task.train,
            optimizer=torch.optim.Adam(self.network.parameters(), self.lr),
            epochs=epochs,
            batch_size=self.batch_size,
            augment=jitter if self.augment == "affine" else None,
            key=(*key, self.lr, self.augment),
            classifies=True,  # though the paper selects by no score
        )

    def _loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        logits, _ = network(self._look(batch).images)
        return {"weighted_bce": batch_weighted_bce(logits, batch["labels"], batch.batch_labels)}

    def _look(self, batch: Batch) -> Batch:
        """Return the batch as the classifier is to see it."""
        return batch

    def predict(self, batch: Batch) -> Prediction:
        """Return scores (B, C) and class activation maps (B, C, p, p)."""
        seen = self._look(batch)
        logits, maps = self.network(seen.images)
        height, width = seen.images.shape[-2:]
        return Prediction(logits.sigmoid(), maps, seen.to_original, (height, width))


@dataclass
class AlignedResNet50(ResNet50):
    """ResNet-50 on radiographs moved into the anchor's pose (row "ResNet-50+Alignment")."""

    anchor_images: int = 2000  # section 3.2
    alignment_weights: str = "ResNet18_Weights.IMAGENET1K_V1"
    alignment_epochs: int = 5  # section 4.2
    alignment_batch_size: int = 16
    alignment_optimizer: Literal["sgd", "adam"] = "sgd"
    alignment_lr: float = 1e-3
    momentum: float = 0.9  # of sgd
    clip_norm: float = 0.3
    euclidean: float = 1.0  # weights of Eq. 8 and 7 in Eq. 9
    perceptual: float = 1.0
    cells: int = 32  # of G(.) in Eq. 6, a side: 16 pixels each at 512

    smoke: ClassVar[Mapping[str, object]] = {
        **ResNet50.smoke,
        "alignment_weights": "none",
        "alignment_epochs": 1,
    }

    def __post_init__(self) -> None:
        """Refuse cells that do not tile the image."""
        if self.size % self.cells:
            raise SettingError(f"cells={self.cells} do not divide the image's size={self.size}")

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train classifier, alignment against its eyes, and a classifier of aligned images."""
        self.alignment: Alignment | None = None
        yield from super().stages(task)
        aligner = Alignment()
        yield self._aligning(task, aligner)
        self.alignment = aligner.eval().requires_grad_(False)
        self._measure(task)
        yield self._classifier(task, "aligned-classifier")

    def _measure(self, task: Task) -> None:
        """Record how well validation images are aligned, where their true pose is known."""
        if {"pose", "landmarks"} <= set(task.validation.columns):
            placed = task.map("placement", self._placement, task.validation)
            task.keep(
                "landmarks",
                lambda: landmark_report(placed, placed.need("placement"), self.size),
            )

    def _placement(self, batch: Batch) -> Tensor:
        """Return what takes aligned pixels to those of the originals, (B, 2, 3)."""
        to_original = self._look(batch).to_original
        assert to_original is not None
        return to_original

    def _aligning(self, task: Task, aligner: Alignment) -> Stage:
        kept = task.keep(
            "anchor", lambda: normal_anchor(task.train, self.anchor_images), self.anchor_images
        )
        self.anchor: Tensor = kept["image"]
        judge = Judge(self.network.resnet) if self.perceptual else None
        weights = {"euclidean": self.euclidean, "perceptual": self.perceptual}
        task.load(aligner.resnet, self.alignment_weights, without=("fc.",))

        def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
            aligned, _ = network(batch.images)
            blurred = smooth(aligned, self.size // self.cells)
            losses = alignment_losses(blurred, self.anchor[None].to(blurred), judge)
            return {name: weights[name] * loss for name, loss in losses.items()}

        return Stage(
            "alignment",
            network=aligner,
            loss=loss,
            data=task.train,
            optimizer=self._alignment_optimizer(aligner),
            epochs=self.alignment_epochs,
            batch_size=self.alignment_batch_size,
            clip_norm=self.clip_norm,
            key=(self.alignment_weights, self.euclidean, self.perceptual, self.cells),
        )

    def _alignment_optimizer(self, aligner: Alignment) -> torch.optim.Optimizer:
        if self.alignment_optimizer == "adam":
            return torch.optim.Adam(aligner.parameters(), self.alignment_lr)
        return torch.optim.SGD(aligner.parameters(), self.alignment_lr, momentum=self.momentum)

    def _look(self, batch: Batch) -> Batch:
        """Return the aligned batch, whose pixels go back to the original through the alignment."""
        if self.alignment is None:
            return batch
        with torch.no_grad():
            images, affine = self.alignment(batch.images)
        height, width = images.shape[-2:]
        to_original = compose(batch.to_original, in_pixels(affine, height, width))
        return replace(batch, images=images, to_original=to_original)

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield what any model shows, and the images beside themselves aligned (Fig. 4)."""
        from dm_attention.figures import alignment_figure

        yield from super().pictures(batch, truth)
        both = (batch.images[:, 0], self._look(batch).images[:, 0])
        original, aligned = (images.float().cpu().numpy() for images in both)
        yield "alignment", alignment_figure(original, aligned, self.anchor[0].cpu().numpy())
