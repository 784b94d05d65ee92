"""Anatomy X-Net: DenseNet-121 with anatomy aware attention on one to three taps (Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import densenet121

from anatomy_xnet.attention import (
    AnatomyAwareAttention,
    Attention,
    PoolingName,
    ProbabilisticWeightedAveragePooling,
    Term,
)

TapSide = Literal["pre-pool", "post-pool"]

# Taps by attention level (Sec. V-D): level 1 is dense block 4 alone, and each further level adds
# the transition behind the next lower block. A transition halves the block's channels, which is
# how the 512 channels that the paper gives DB-3 come about.
TAPS: dict[int, dict[str, int]] = {
    0: {},
    1: {"norm5": 1024},
    2: {"transition3": 512, "norm5": 1024},
    3: {"transition2": 256, "transition3": 512, "norm5": 1024},
}


class ImageNetInput(nn.Module):
    """Gray images in [0, 1] as the normalised RGB that ImageNet weights expect."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Hold the mean and standard deviation of ImageNet's training set."""
        super().__init__()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, H, W) from (B, 1, H, W)."""
        return (images - self.mean) / self.std


class TappedDenseNet(nn.Module):
    """DenseNet-121 without its classifier, giving the maps of the taps and the last map.

    Its state is that of torchvision's `densenet121`, less `classifier`.
    """

    def __init__(self, taps: tuple[str, ...], tap_side: TapSide) -> None:
        """Tap transitions after their convolution, before or after their pooling."""
        super().__init__()
        self.features = densenet121(weights=None).features
        self.taps, self.tap_side = taps, tap_side

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the taps, shallow to deep, and the ReLU of norm5 (B, 1024, H / 32, W / 32)."""
        taps = []
        feature = images
        for name, block in self.features.named_children():
            if name.startswith("transition"):
                convolved = block.conv(block.relu(block.norm(feature)))
                feature = block.pool(convolved)
                if name in self.taps:
                    taps.append(convolved if self.tap_side == "pre-pool" else feature)
            else:
                feature = block(feature)
        feature = functional.relu(feature)  # torchvision applies it behind `features`
        if "norm5" in self.taps:
            taps.append(feature)
        return taps, feature


@dataclass
class Reading:
    """What Anatomy X-Net says of a batch."""

    logits: Tensor  # (B, n)
    attention: list[Attention]  # one per tap, shallow to deep


@dataclass
class Explanation:
    """The last tap as Figures 4 and 5 show it: channel means (B, S, S)."""

    feature: Tensor  # F, what dense block 4 encodes
    recalibrated: Tensor  # R, what the attention module makes of it
    weighted: Tensor  # F as the module's own pooling weighs it; F itself unless that is PWAP


class AnatomyXNetwork(nn.Module):
    """The classifier: image and organ masks to logits.

    At level 0 it is the bare backbone: average pooling and a dense layer, no masks.
    """

    def __init__(
        self,
        outputs: int,
        level: int = 2,
        mask_size: int = 84,
        reduction: float = 0.5,
        term: Term = "mask",
        pool: PoolingName = "pwap",
        tap_side: TapSide = "pre-pool",
    ) -> None:
        """Attend at `level` taps, on maps of `mask_size` x `mask_size`."""
        super().__init__()
        widths = TAPS[level]
        self.mask_size = mask_size
        self.normalise = ImageNetInput()
        self.backbone = TappedDenseNet(tuple(widths), tap_side)
        self.attention = nn.ModuleList(
            AnatomyAwareAttention(channels, reduction, term, pool) for channels in widths.values()
        )
        self.classifier = nn.Linear(sum(widths.values()) or 1024, outputs)

    def forward(self, images: Tensor, masks: Tensor | None) -> Reading:
        """Return logits (B, n) and attention from (B, 1, H, W) and masks (B, 2, H', W').

        The masks of lungs and heart are probabilities in the frame of the images, at any size.
        """
        taps, last = self.backbone(self.normalise(images))
        if not self.attention:
            return Reading(self.classifier(last.mean((2, 3))), [])
        if masks is None:
            raise ValueError("anatomy aware attention needs masks (B, 2, H, W)")
        small = self.resize(masks)
        pairs = [module(tap, small) for module, tap in zip(self.attention, taps, strict=True)]
        pooled = torch.cat([pooled for pooled, _ in pairs], 1)
        return Reading(self.classifier(pooled), [attention for _, attention in pairs])

    def explain(self, images: Tensor, masks: Tensor) -> Explanation:
        """Return what becomes of the last tap; takes what `forward` takes, at level 1 or above."""
        taps, _ = self.backbone(self.normalise(images))
        module = self.attention[-1]
        recalibrated, _ = module.recalibrate(taps[-1], self.resize(masks))
        surface = recalibrated.planes.feature
        feature = weighted = surface.stored()
        if isinstance(module.squeeze, ProbabilisticWeightedAveragePooling):
            weighted = feature * module.squeeze.weights(surface)[:, None]
        return Explanation(feature.mean(1), recalibrated.stored().mean(1), weighted.mean(1))

    def resize(self, masks: Tensor) -> Tensor:
        """Return masks (B, 2, H, W) at (B, 2, S, S), S the intermediate size of Table VI."""
        return functional.interpolate(
            masks.float(), size=(self.mask_size,) * 2, mode="bilinear", antialias=True
        )
