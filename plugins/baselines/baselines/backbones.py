"""What the networks of this plugin share: their input, their output, their trunks.

A network takes radiographs (B, 1, H, W) in [0, 1], of 64 pixels or more a side, and returns an
`Output`. Trunks keep torchvision's parameter names, so that `network.backbone.load_state_dict`
takes a torchvision state dict once the keys of its classifier are left out.
"""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import densenet121, resnet50


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


def resnet50_trunk() -> nn.Sequential:
    """Return torchvision's ResNet-50 up to `layer4`, (B, 3, H, W) to (B, 2048, H/32, W/32).

    Its state dict is torchvision's without `fc.weight` and `fc.bias`.
    """
    return nn.Sequential(OrderedDict(list(resnet50(weights=None).named_children())[:-2]))


def densenet121_trunk() -> nn.Sequential:
    """Return torchvision's DenseNet-121 with the ReLU of its head, to (B, 1024, H/32, W/32).

    Its state dict is torchvision's without `classifier.weight` and `classifier.bias`.
    """
    features = densenet121(weights=None).features
    return nn.Sequential(OrderedDict(features=features, relu=nn.ReLU()))


def class_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Weigh features (B, D, h, w) with a classifier's rows (C, D): maps (B, C, h, w), no bias."""
    return F.conv2d(features, weight[:, :, None, None])
