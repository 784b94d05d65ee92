"""DCNN, CheXNet and SENet, and a control that sees no image.

A network of images takes radiographs (B, 1, H, W) in [0, 1], of 64 pixels or more a side, and
returns an `Output`. Its trunk keeps torchvision's parameter names, so that
`network.backbone.load_state_dict` takes a torchvision state dict once the keys of its classifier,
`fc.*` of ResNet-50 and `classifier.*` of DenseNet-121, are left out.
"""

import math
from collections import OrderedDict
from typing import Literal, NamedTuple, Self

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
    """Return torchvision's ResNet-50 up to `layer4`, (B, 3, H, W) to (B, 2048, H/32, W/32)."""
    return nn.Sequential(OrderedDict(list(resnet50(weights=None).named_children())[:-2]))


def densenet121_trunk() -> nn.Sequential:
    """Return torchvision's DenseNet-121 with the ReLU of its head, to (B, 1024, H/32, W/32)."""
    features = densenet121(weights=None).features
    return nn.Sequential(OrderedDict(features=features, relu=nn.ReLU()))


def class_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Weigh features (B, D, h, w) with a classifier's rows (C, D): maps (B, C, h, w), no bias."""
    return F.conv2d(features, weight[:, :, None, None])


def log_sum_exp_pool(features: Tensor, sharpness: float) -> Tensor:
    """Return the log-mean-exp of each map of (B, D, h, w), (B, D): LSE pooling.

    It lies between the mean (sharpness to 0) and the maximum (sharpness to infinity).
    """
    scaled = torch.logsumexp(sharpness * features.float(), dim=(2, 3))
    return (scaled - math.log(features[0, 0].numel())) / sharpness


class DCNN(nn.Module):
    """Classify the pooled transition features of a ResNet-50 (Wang et al., 2017).

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


class CheXNet(nn.Module):
    """Classify the mean of a DenseNet-121's features (Rajpurkar et al., 2017)."""

    def __init__(self, classes: int) -> None:
        """Build the network for a number of classes."""
        super().__init__()
        self.normalise = GrayToImageNet()
        self.backbone = densenet121_trunk()
        self.classifier = nn.Linear(1024, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature maps (B, 1024, H/32, W/32), at least 0."""
        return self.backbone(self.normalise(images))

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and class maps whose means are the logits without their bias."""
        features = self.features(images)
        logits = self.classifier(features.mean((2, 3)))
        return Output(logits, class_maps(features, self.classifier.weight))


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from the means of all channels (Hu et al., 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        """Build a block whose bottleneck has `channels / reduction` units."""
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, D, h, w) with channels scaled by (0, 1)."""
        return features * self.gate(features.mean((2, 3)))[:, :, None, None]


class MultiMapTransfer(nn.Conv2d):
    """Turn D channels into M maps for each class by 1 x 1 convolution and average these."""

    def __init__(self, channels: int, classes: int, maps: int) -> None:
        """Build the layer; channel `c * maps + m` is map m of class c."""
        super().__init__(channels, classes * maps, kernel_size=1)
        self.maps = maps

    def forward(self, features: Tensor) -> Tensor:
        """Return class maps (B, C, h, w)."""
        return super().forward(features).unflatten(1, (-1, self.maps)).mean(2)


def max_min_pool(maps: Tensor, alpha: float) -> Tensor:
    """Return maximum plus alpha times minimum of each class map, (B, C, h, w) to (B, C)."""
    return maps.amax((2, 3)) + alpha * maps.amin((2, 3))


class SENet(nn.Module):
    """Gate a DenseNet-121 after each transition and at its end, and pool M maps a class.

    Yan et al. (2018); the gates stand beside torchvision's layers, so that its weights fit.
    Evidence for a class is its strongest position; the weakest one counts against it by `alpha`.
    """

    def __init__(self, classes: int, maps: int = 8, alpha: float = 0.7) -> None:
        """Build the network with `maps` maps a class."""
        super().__init__()
        self.alpha = alpha
        self.normalise = GrayToImageNet()
        self.backbone = densenet121_trunk()
        gates = {"transition1": 128, "transition2": 256, "transition3": 512, "norm5": 1024}
        self.gates = nn.ModuleDict({name: SqueezeExcitation(d) for name, d in gates.items()})
        self.transfer = MultiMapTransfer(1024, classes, maps)

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and the class maps (B, C, H/32, W/32) that they are pooled from."""
        features = self.normalise(images)
        for name, layer in self.backbone.features.named_children():
            features = layer(features)
            if name == "norm5":
                features = torch.relu(features)
            if name in self.gates:
                features = self.gates[name](features)
        maps = self.transfer(features)
        return Output(max_min_pool(maps, self.alpha), maps)


class Metadata(nn.Module):
    """Classify (age in years, sex, view), NaN where unknown, by logistic regression or a small MLP.

    Each value enters as itself, 0 where unknown, and as whether it is known. Age is brought to
    about the scale of the others: decades from 50.
    """

    def __init__(self, classes: int, hidden: int = 0) -> None:
        """Build the network; `hidden` units between input and output, or none for 0."""
        super().__init__()
        self.classifier = (
            nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, classes))
            if hidden
            else nn.Linear(6, classes)
        )

    def forward(self, metadata: Tensor) -> Tensor:
        """Return logits (B, C) for metadata (B, 3)."""
        age, others = (metadata[:, :1] - 50) / 10, metadata[:, 1:]
        values = torch.cat([age, others], dim=1)
        known = ~values.isnan()
        return self.classifier(torch.cat([values.nan_to_num(), known.to(values.dtype)], dim=1))
