"""DCNN of Wang et al. (2017, ChestX-ray8): ResNet-50, transition layer, global pooling.

`network.backbone` takes torchvision's ResNet-50 state dict without `fc.weight` and `fc.bias`.
"""

import math
from typing import Literal, Self

import torch
from torch import Tensor, nn

from .backbones import GrayToImageNet, Output, class_maps, resnet50_trunk


def log_sum_exp_pool(features: Tensor, sharpness: float) -> Tensor:
    """Return the log-mean-exp of each map of (B, D, h, w), (B, D): the LSE pooling of section 4.1.

    It lies between the mean (sharpness to 0) and the maximum (sharpness to infinity).
    """
    scaled = torch.logsumexp(sharpness * features.float(), dim=(2, 3))
    return (scaled - math.log(features[0, 0].numel())) / sharpness


class DCNN(nn.Module):
    """Classify the pooled transition features of a ResNet-50.

    Without transition and with `avg` it is a plain ResNet-50. `frozen` keeps the weights and the
    batch statistics of the ResNet, so that only transition and classifier are trained.
    """

    def __init__(
        self,
        classes: int,
        pool: Literal["lse", "max", "avg"] = "lse",
        sharpness: float = 10.0,
        transition: bool = True,
        frozen: bool = False,
    ) -> None:
        """Build the network; `sharpness` is the r of LSE pooling."""
        super().__init__()
        if pool not in ("lse", "max", "avg"):
            raise ValueError(f"pool is {pool!r}; choose 'lse', 'max' or 'avg'")
        self.pool, self.sharpness, self.frozen = pool, sharpness, frozen
        self.normalise = GrayToImageNet()
        self.backbone = resnet50_trunk().requires_grad_(not frozen)
        self.transition = nn.Conv2d(2048, 2048, kernel_size=1) if transition else nn.Identity()
        self.classifier = nn.Linear(2048, classes)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but leave a frozen backbone in evaluation mode."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        return self

    def pooled(self, features: Tensor) -> Tensor:
        """Pool features (B, D, h, w) over the image to (B, D)."""
        if self.pool == "lse":
            return log_sum_exp_pool(features, self.sharpness)
        return features.amax((2, 3)) if self.pool == "max" else features.mean((2, 3))

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and the transition features under the classifier's weights."""
        features = self.transition(self.backbone(self.normalise(images)))
        logits = self.classifier(self.pooled(features))
        return Output(logits, class_maps(features, self.classifier.weight))
