"""The rows with masks: each goes on where the aligned classifier ends and shares its stages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from dm_attention.aligned import CHUNK, AlignedResNet50
from dm_attention.masks import (
    ASYMMETRIC,
    DISEASES,
    NEVER,
    MeanActivation,
    attention_mask,
    threshold,
    uniform,
)
from dm_attention.pseudo import pseudo_masks
from harness import Batch, Prediction, Samples, SettingError, Stage, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def prevalence(samples: Samples) -> Tensor:
    """Return the share of ones among the known labels of each class (C,), 0 where none is known."""
    labels = torch.from_numpy(samples.need("labels"))
    return (labels == 1).sum(0) / (~labels.isnan()).sum(0).clamp(min=1)


@dataclass
class Masked(AlignedResNet50):
    """What the rows with masks share: where each disease sits, in the anchor's pose."""

    masks: Literal["disease", "pseudo", "uniform"] = "disease"
    attention: Literal["class", "shared_max", "shared_mean"] = "class"
    masked: Literal["eight", "all"] = "eight"
    least_probability: float = 0.8  # section 3.1.1
    fewest: int = 20
    require_label: bool = False
    level: float = 0.5  # of T(.) in Eq. 3
    binary: bool = False

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield the pictures of the aligned model, and the masks over the anchor (Fig. 3, 7)."""
        from dm_attention.figures import masks_figure

        yield from super().pictures(batch, truth)
        psi = self.attended().float().cpu()
        masked = psi.flatten(1).any(1)
        names = [truth.space.classes[c] for c in masked.nonzero().flatten().tolist()]
        anchor, masks = self.anchor[0].cpu().numpy(), psi[masked].numpy()
        yield "disease-masks", masks_figure(anchor, masks, names)

    @abstractmethod
    def attended(self) -> Tensor:
        """Return psi (C, p, p) of the trained model."""

    def _psi(self, task: Task) -> Tensor:
        """Return psi (C, p, p), 0 for the classes that have no mask."""
        masked = torch.tensor([self.masked == "all" or name in DISEASES for name in task.classes])
        if not masked.any():
            raise SettingError(
                f"none of the classes {', '.join(task.classes)} is one of the paper's eight; "
                "set masked=all"
            )
        if self.masks == "pseudo":
            cells = -(-self.size // 32)
            return attention_mask(
                pseudo_masks(self.anchor, task.classes, cells), masked, self.attention
            )
        masks = threshold(self._mean_activation(task), level=self.level, binary=self.binary)
        chosen = uniform(masks) if self.masks == "uniform" else masks
        return attention_mask(chosen, masked, self.attention)

    def _mean_activation(self, task: Task) -> Tensor:
        seen = task.map("activations", self._activations, task.train)
        key = (self.least_probability, self.fewest, self.require_label)
        kept = task.keep("mean activations", lambda: self._gather(seen), key)
        mean: Tensor = kept["mean"]
        return mean

    def _activations(self, batch: Batch) -> Tensor:
        """Return probability and map of every class in one row, (B, C, 1 + p p)."""
        logits, maps = self.network(self._look(batch).images)
        return torch.cat([logits.sigmoid()[:, :, None], maps.flatten(2)], 2)

    def _gather(self, seen: Samples) -> dict[str, Tensor]:
        """Average the maps of confident images, with how many of each class there were."""
        symmetric = torch.tensor([name not in ASYMMETRIC for name in seen.space.classes])
        mean = MeanActivation(symmetric, least=self.least_probability, fewest=self.fewest)
        for rows in np.array_split(np.arange(len(seen)), -(-len(seen) // CHUNK)):
            row = torch.from_numpy(seen.columns["activations"].gather(rows))
            probabilities, maps = row[:, :, 0], row[:, :, 1:]
            if self.require_label:
                labels = torch.from_numpy(seen.columns["labels"].gather(rows))
                probabilities = probabilities.where(labels == 1, NEVER)
            side = round(maps.shape[2] ** 0.5)
            mean.update(maps.reshape(*maps.shape[:2], side, side), probabilities)
        return {"mean": mean.mean(), "images": mean.counts}


@dataclass
class DMAttention(Masked):
    """The method: retrained with attention to the disease masks ("ResNet-50+Alignment+DM")."""

    retrain_epochs: int = 5  # section 4.2

    smoke: ClassVar[Mapping[str, object]] = {**AlignedResNet50.smoke, "retrain_epochs": 1}

    def stages(self, task: Task) -> Iterator[Stage]:
        """Go on from the aligned classifier with Eq. 4 and 5."""
        yield from super().stages(task)
        psi = self._psi(task)
        self.network = self.network.attending(psi)
        how = (self.masks, self.attention, self.masked, self.level, self.binary)
        yield self._training(task, "attention", self.retrain_epochs, how)

    def attended(self) -> Tensor:
        """Return the masks that the classifier attends to."""
        return self.network.psi


@dataclass
class DMPrior(Masked):
    """The control: every radiograph gets the training set's masks and prevalences, unseen."""

    def stages(self, task: Task) -> Iterator[Stage]:
        """Learn the masks as the method does, and nothing after them."""
        self.psi: Tensor | None = None
        yield from super().stages(task)
        self.psi = self._psi(task)
        self.prevalence: Tensor = task.keep("prevalence", lambda: prevalence(task.train))

    def attended(self) -> Tensor:
        """Return the masks that are all it says."""
        return self.psi

    def predict(self, batch: Batch) -> Prediction:
        """Return the same scores (B, C) and maps (B, C, p, p) for all, in the frame of the view.

        Until the masks are learnt, what the classifier says that they are learnt from.
        """
        if self.psi is None:
            return super().predict(batch)
        count, (height, width) = len(batch), batch.images.shape[-2:]
        scores = self.prevalence.to(batch.images).expand(count, -1)
        maps = self.psi.to(batch.images).expand(count, -1, -1, -1)
        return Prediction(scores, maps, batch.to_original, (height, width))
