"""Networks of Fang et al.: U-Net for the organs, multi-scale attention, mask weighting.

Both take radiographs (B, 1, H, W) in [0, 1], of 64 pixels or more a side. The torchvision
DenseNet-121 sits in `backbone` under torchvision's own names, so that
`network.backbone.load_state_dict` takes a torchvision state dict once `classifier.weight` and
`classifier.bias` are left out. Sections and equations are those of the paper.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import densenet121


class Output(NamedTuple):
    """Hold what a network says of B radiographs and C classes."""

    logits: Tensor  # (B, C)
    maps: Tensor  # (B, C, h, w), higher means more disease


class GrayToImageNet(nn.Module):
    """Expand (B, 1, H, W) in [0, 1] to three channels with ImageNet's mean and deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Keep the constants out of the state dict."""
        super().__init__()
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 3, H, W)."""
        return (images - self.mean) / self.std


def double_conv(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions, each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for a, b in ((inputs, middle), (middle, outputs)):
        layers += [nn.Conv2d(a, b, kernel_size=3, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Segment left lung, right lung and heart (section 3.3)."""

    def __init__(self, organs: int = 3) -> None:
        """Build a U-Net of widths 64, 128, 256, 512, 512 with bilinear up-sampling."""
        super().__init__()
        self.normalise = GrayToImageNet()
        widths = (3, 64, 128, 256, 512, 512)
        self.down = nn.ModuleList(double_conv(a, b, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            double_conv(a, a // 2, b) for a, b in ((1024, 256), (512, 128), (256, 64), (128, 64))
        )
        self.output = nn.Conv2d(64, organs, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit an organ and pixel, (B, 3, H, W)."""
        features = self.normalise(images)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        for block, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            larger = F.interpolate(
                features, size=skip.shape[2:], mode="bilinear", align_corners=True
            )
            features = block(torch.cat([skip, larger], dim=1))
        return self.output(features)


class MultiScaleAttention(nn.Module):
    """Weigh each pixel by a gate that sees the image at three scales (section 3.2).

    The scales are the image and its 5 x 5 and 9 x 9 convolutions; each gives its maximum and its
    mean over channels to a 3 x 3 convolution.
    """

    def __init__(self) -> None:
        """Build the module for three channels."""
        super().__init__()
        self.scale5 = nn.Conv2d(3, 3, kernel_size=5, padding=2, bias=False)
        self.scale9 = nn.Conv2d(3, 3, kernel_size=9, padding=4, bias=False)
        self.gate = nn.Conv2d(6, 1, kernel_size=3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) times their gate (B, 1, H, W)."""
        scales = (images, self.scale5(images), self.scale9(images))
        seen = [pool for s in scales for pool in (s.amax(1, keepdim=True), s.mean(1, keepdim=True))]
        return images * torch.sigmoid(self.gate(torch.cat(seen, dim=1)))


def mask_weights(masks: Tensor, size: tuple[int, int], hard: bool = False) -> Tensor:
    """Return M_g of Eq. 3, (B, 1, *size): the share of each cell that lies inside an organ.

    Organ probabilities (B, M, H, W) are binarised at 0.5, joined and averaged over cells; with
    `hard` a cell counts as a whole from one half on and as nothing below.
    """
    union = (masks > 0.5).any(1, keepdim=True).float()
    weights = F.adaptive_avg_pool2d(union, size)
    return (weights >= 0.5).float() if hard else weights


class CXRIRNet(nn.Module):
    """Classify DenseNet-121 features inside lungs and heart (Fig. 2).

    Without attention and with `weighting="none"` it is a plain DenseNet-121.
    """

    def __init__(
        self,
        classes: int,
        weighting: Literal["soft", "hard", "none"] = "soft",
        attention: bool = True,
        feature_act: Literal["relu", "sigmoid"] = "relu",
        masked_mean: bool = False,
    ) -> None:
        """Build the network.

        `soft` weighs a cell by its share inside the organs, `hard` keeps it or drops it;
        `feature_act` makes the global attention map of the last features; `masked_mean` divides
        the sum over cells by their total weight, not by their number.
        """
        super().__init__()
        if weighting not in ("soft", "hard", "none"):
            raise ValueError(f"weighting is {weighting!r}; choose 'soft', 'hard' or 'none'")
        if feature_act not in ("relu", "sigmoid"):
            raise ValueError(f"feature_act is {feature_act!r}; choose 'relu' or 'sigmoid'")
        self.weighting, self.masked_mean = weighting, masked_mean
        self.normalise = GrayToImageNet()
        self.attention = MultiScaleAttention() if attention else nn.Identity()
        self.backbone = nn.Sequential(OrderedDict(features=densenet121(weights=None).features))
        self.feature_act = nn.ReLU() if feature_act == "relu" else nn.Sigmoid()
        self.classifier = nn.Linear(1024, classes)

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Output:
        """Return logits (B, C) and class maps (B, C, H/32, W/32) of the weighted features.

        `masks` (B, M, H', W') are organ probabilities over the same field; only `none` does without
        them. The mean of a map is its logit without the bias, unless `masked_mean`.
        """
        features = self.feature_act(self.backbone(self.attention(self.normalise(images))))
        total = features.new_ones(len(features), 1)
        if self.weighting != "none":
            if masks is None:
                raise ValueError(f"weighting {self.weighting!r} needs masks")
            size = (features.shape[2], features.shape[3])
            weights = mask_weights(masks, size, hard=self.weighting == "hard")
            features = features * weights  # Eq. 3
            if self.masked_mean:
                total = weights.mean((2, 3)).clamp_min(1e-6)
        logits = self.classifier(features.mean((2, 3)) / total)
        return Output(logits, F.conv2d(features, self.classifier.weight[:, :, None, None]))
