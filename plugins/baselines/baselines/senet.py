"""SENet of Yan et al. (2018): squeeze-and-excitation, multi-map transfer, max-min pooling.

`network.backbone` takes torchvision's DenseNet-121 state dict without `classifier.weight` and
`classifier.bias`: the squeeze-and-excitation blocks stand beside it.
"""

import torch
from torch import Tensor, nn

from .backbones import GrayToImageNet, Output, densenet121_trunk


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
