"""The model of paper 004; `network.py` has its networks. Numbers name sections of the paper."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from harness import (
    Batch,
    Draws,
    Model,
    Prediction,
    Samples,
    Stage,
    Task,
    View,
    center_crop,
    masked_bce,
    soft_dice_loss,
)

from . import network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORGANS = ("left_lung", "right_lung", "heart")
BANK = 256  # masks among which a shuffled image finds another's


@dataclass
class CXRIRNet(Model):
    """Segment lungs and heart, then classify features inside them."""

    weighting: Literal["soft", "hard", "none"] = "soft"  # Eq. 3; hard: the authors' code
    attention: bool = True  # multi-scale attention, 3.2
    feature_act: Literal["relu", "sigmoid"] = "relu"  # sigmoid: the authors' code
    masked_mean: bool = False
    masks: Literal["own", "shuffled"] = "own"  # shuffled: a control, another image's masks
    learning_rate: float = 1e-3  # 4
    weight_decay: float = 1e-4  # 4
    batch_size: int = 512  # 4
    epochs: int = 50  # 4
    unet_learning_rate: float = 1e-3  # this and the next three: the authors' code
    unet_weight_decay: float = 1e-5
    unet_batch_size: int = 16
    unet_epochs: int = 30
    size: int = 256  # 4
    crop: int = 224  # 4, the centre, in training too
    weights: str = "DenseNet121_Weights.IMAGENET1K_V1"  # or "none"

    smoke: ClassVar[Mapping[str, object]] = {
        "size": 72,
        "crop": 64,
        "batch_size": 16,
        "epochs": 2,
        "unet_epochs": 1,
        "weights": "none",
    }

    @property
    def view(self) -> View:
        """Resized to a square."""
        return View(self.size)

    @property
    def _head(self) -> tuple[str, bool, str, bool]:
        return self.weighting, self.attention, self.feature_act, self.masked_mean

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train the segmenter, take every image's masks, train the classifier."""
        train, validation = task.train, task.validation
        if self.weighting != "none":
            yield self._segmenter(task)
            train, validation = (
                task.map("organs", self._union, samples, key=(self.crop,), spatial=True)
                for samples in (train, validation)
            )
            if self.masks == "shuffled":
                self.bank = task.keep("bank", lambda: mask_bank(train), key=(self.crop, BANK))
        self.network = network.CXRIRNet(len(task.classes), *self._head)
        task.load(self.network.backbone, self.weights, without=("classifier.",))
        yield Stage(
            name="classifier",
            network=self.network,
            loss=self._cross_entropy,
            data=train,
            optimizer=Adam(
                self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay
            ),
            epochs=self.epochs,
            batch_size=self.batch_size,
            augment=self._cropped,
            score=lambda: task.score(self._validating(validation)),
            key=(self.crop, self.weights, *self._head, self.masks),
            crop=self.crop,
        )

    def _segmenter(self, task: Task) -> Stage:
        """Train a U-Net on four fifths of the masked patients, select it on the rest (3.3)."""
        samples = task.annotated("masks", ORGANS)
        fitted, held_out = patient_hold_out(samples)
        self.unet = network.UNet(len(ORGANS))
        return Stage(
            name="unet",
            network=self.unet,
            loss=lambda unet, batch: {"dice": dice_loss(unet, batch, samples.space.organs)},
            data=fitted,
            optimizer=Adam(
                self.unet.parameters(),
                self.unet_learning_rate,
                weight_decay=self.unet_weight_decay,
            ),
            epochs=self.unet_epochs,
            batch_size=self.unet_batch_size,
            augment=self._cropped,
            score=lambda: self._dice(held_out),
            key=(self.crop,),
            classifies=False,
        )

    def _dice(self, samples: Samples) -> float:
        """Return one minus the mean Dice loss of samples with masks."""
        device = next(self.unet.parameters()).device
        total = 0.0
        self.unet.eval()
        with torch.inference_mode():
            for rows in np.array_split(np.arange(len(samples)), -(-len(samples) // 16)):
                batch = center_crop(samples.batch(rows), self.crop).to(device).floats()
                total += len(rows) * dice_loss(self.unet, batch, samples.space.organs).item()
        self.unet.train()
        return 1 - total / len(samples)

    def _cropped(self, batch: Batch, draws: Draws) -> Batch:
        return center_crop(batch, self.crop)

    def _union(self, batch: Batch) -> Tensor:
        """Return M_g of 3.3, 255 inside any organ, (B, 1, size, size) uint8: the crop, framed."""
        probabilities = self._organs(center_crop(batch, self.crop))
        union = (probabilities > 0.5).any(1, keepdim=True).byte() * 255
        first = (self.size - self.crop) // 2
        last = self.size - self.crop - first
        return F.pad(union, (first, last, first, last))

    def _organs(self, batch: Batch) -> Tensor:
        """Return the probability of each organ, (B, 3, crop, crop)."""
        return self.unet(batch.images).float().sigmoid()

    def _cross_entropy(self, classifier: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the binary cross-entropy (Eq. 1)."""
        masks = None
        if self.weighting != "none":
            masks = batch["organs"] if self.masks == "own" else self._others(batch)
        return {"bce": masked_bce(classifier(batch.images, masks).logits, batch["labels"])}

    def _others(self, batch: Batch) -> Tensor:
        """Return for each image the mask of another one, always the same, (B, 1, crop, crop)."""
        low = (self.size - self.crop) // 2
        rows = self.bank[batch.index.cpu() % len(self.bank)]
        cut = rows[:, :, low : low + self.crop, low : low + self.crop]
        return cut.to(batch.images.device) / 255

    def predict(self, batch: Batch) -> Prediction:
        """Say the probability of each class, where it is seen, and where the organs are."""
        batch = center_crop(batch, self.crop)
        organs = None if self.weighting == "none" else self._organs(batch)
        return self._judge(batch, organs)

    def _validating(self, validation: Samples) -> Callable[[Batch], Prediction]:
        """Return the prediction that selects an epoch: the same, with masks taken once for all."""

        def predict(batch: Batch) -> Prediction:
            if self.weighting == "none":
                return self.predict(batch)
            union = validation.columns["organs"].gather(batch.index.cpu().numpy())
            masks = torch.from_numpy(union).to(batch.images.device) / 255
            cut = center_crop(replace(batch, spatial={"organs": masks}), self.crop)
            return replace(self._judge(cut, cut.spatial["organs"]), masks=None, organs={})

        return predict

    def _judge(self, batch: Batch, organs: Tensor | None) -> Prediction:
        """Classify a cropped batch inside its organs (B, M, crop, crop), or another image's."""
        shuffled = self.weighting != "none" and self.masks == "shuffled"
        logits, maps = self.network(batch.images, self._others(batch) if shuffled else organs)
        return Prediction(
            scores=logits.float().sigmoid(),
            maps=maps.float(),
            masks=organs,
            to_original=batch.to_original,
            map_frame=(self.crop, self.crop),
            organs={} if organs is None else {name: (name,) for name in ORGANS},
        )

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield what any model shows, and the masks with what they weigh."""
        yield from super().pictures(batch, truth)
        if self.weighting != "none":
            from .figures import mask_figures

            crop = center_crop(batch, self.crop)
            organs = self._organs(crop)
            weighing = self._others(crop) if self.masks == "shuffled" else organs
            names = truth.names.tolist()
            yield from mask_figures(self.network, crop.images, organs, weighing, names)


def dice_loss(unet: nn.Module, batch: Batch, organs: tuple[str, ...]) -> Tensor:
    """Return the Dice loss of Eq. 2 of a U-Net's organs among those that the masks have."""
    channels = [organs.index(organ) for organ in ORGANS]
    return soft_dice_loss(unet(batch.images).float().sigmoid(), batch["masks"][:, channels])


def patient_hold_out(samples: Samples) -> tuple[Samples, Samples]:
    """Return four fifths of the patients' samples and those of the last fifth, by a hash."""
    names, patient = np.unique(samples.patients, return_inverse=True)
    hashes = [hashlib.sha256(str(name).encode()).hexdigest() for name in names]
    rank = np.argsort(np.argsort(hashes))
    held = rank[patient] < np.ceil(len(names) / 5)
    return samples.take(~held), samples.take(held)


def mask_bank(samples: Samples) -> Tensor:
    """Return the masks of samples evenly spread over the training data, (BANK, 1, S, S) uint8."""
    rows = np.linspace(0, len(samples) - 1, BANK).round().astype(np.int64)
    return samples.take(rows).batch(np.arange(BANK))["organs"]
