"""Networks of Sorkhei et al.: ResNet-34 baseline, space attention and attention gates.

Every network takes radiographs (B, 1, H, W) in [0, 1], of 64 pixels or more a side, and returns an
`Output`. The torchvision ResNet-34 sits in `backbone` under torchvision's own names, so that
`network.backbone.load_state_dict` takes a torchvision state dict once `fc.weight` and `fc.bias` are
left out. Sections and equations are those of the paper.
"""

from collections import OrderedDict
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet34


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


def resnet34_trunk() -> nn.Sequential:
    """Return torchvision's ResNet-34 up to `layer4`, (B, 3, H, W) to (B, 512, H/32, W/32)."""
    return nn.Sequential(OrderedDict(list(resnet34(weights=None).named_children())[:-2]))


def class_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Weigh features (B, D, h, w) with a classifier's rows (C, D): maps (B, C, h, w), no bias."""
    return F.conv2d(features, weight[:, :, None, None])


class ResNet34(nn.Module):
    """Classify the global maximum of a ResNet-34's transition features (sections 3.1 and 4.1)."""

    def __init__(self, classes: int) -> None:
        """Build the network for a number of classes."""
        super().__init__()
        self.normalise = GrayToImageNet()
        self.backbone = resnet34_trunk()
        self.transition = nn.Conv2d(512, 512, kernel_size=1)
        self.classifier = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and the transition features under the classifier's weights."""
        features = self.transition(self.backbone(self.normalise(images)))
        logits = self.classifier(features.amax((2, 3)))
        return Output(logits, class_maps(features, self.classifier.weight))


def context(features: Tensor, pool: Literal["global", "k7"]) -> Tensor:
    """Return the context of every position, in the shape of `features` (B, D, h, w).

    `global` repeats the mean over the image, the context vector of section 3.2; `k7` averages over
    7 x 7 windows and repeats the result to the full grid, as the authors' code does.
    """
    if pool == "global":
        return features.mean((2, 3), keepdim=True).expand_as(features)
    height, width = features.shape[2:]
    windows = F.avg_pool2d(features, (min(7, height), min(7, width)), stride=1)
    return F.interpolate(windows, size=(height, width), mode="nearest")


class SpaceAttention(nn.Module):
    """Join local features and their global context in one 1 x 1 convolution (section 3.2, Fig. 1).

    The class maps average to the logits: nothing follows the pooling but the sigmoid.
    """

    def __init__(self, classes: int, pool: Literal["global", "k7"] = "global") -> None:
        """Build the network; `pool` says what the context of a position is (see `context`)."""
        super().__init__()
        if pool not in ("global", "k7"):
            raise ValueError(f"pool is {pool!r}; choose 'global' or 'k7'")
        self.pool: Literal["global", "k7"] = pool
        self.normalise = GrayToImageNet()
        self.backbone = resnet34_trunk()
        self.classifier = nn.Conv2d(2 * 512, classes, kernel_size=1)

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and the maps (B, C, H/32, W/32) whose means they are."""
        features = self.backbone(self.normalise(images))
        maps = self.classifier(torch.cat([context(features, self.pool), features], dim=1))
        return Output(maps.mean((2, 3)), maps)


class AttentionGate(nn.Module):
    """Weigh fine features by their compatibility with a coarse gating signal (Eq. 2).

    `sigmoid` squashes the score of each position and passes the attended features through a
    1 x 1 convolution with batch normalisation, as the authors do. `mean_flow` shifts the scores to
    a minimum of 0 and divides by their sum, without that convolution, as Schlemper et al. do.
    """

    def __init__(
        self, fine: int, coarse: int, normalise: Literal["sigmoid", "mean_flow"] = "sigmoid"
    ) -> None:
        """Build a gate for `fine` feature channels under `coarse` gating channels."""
        super().__init__()
        if normalise not in ("sigmoid", "mean_flow"):
            raise ValueError(f"normalise is {normalise!r}; choose 'sigmoid' or 'mean_flow'")
        self.mean_flow = normalise == "mean_flow"
        self.theta = nn.Conv2d(fine, fine // 2, kernel_size=1, bias=False)  # W_f
        self.phi = nn.Conv2d(coarse, fine // 2, kernel_size=1)  # W_g, b_g
        # Psi, b_psi; a bias that every score shares is lost when they are shifted.
        self.psi = nn.Conv2d(fine // 2, 1, kernel_size=1, bias=not self.mean_flow)
        self.output = (
            nn.Identity()
            if self.mean_flow
            else nn.Sequential(nn.Conv2d(fine, fine, kernel_size=1), nn.BatchNorm2d(fine))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def attention(self, features: Tensor, gating: Tensor) -> Tensor:
        """Return the attention (B, 1, h, w) over features (B, fine, h, w)."""
        signal = F.interpolate(
            self.phi(gating), size=features.shape[2:], mode="bilinear", align_corners=True
        )
        scores = self.psi(F.relu(self.theta(features) + signal))
        if not self.mean_flow:
            return torch.sigmoid(scores)
        # The summand spreads the attention evenly where all scores are equal, instead of 0 / 0.
        shifted = scores - scores.amin((2, 3), keepdim=True) + 1e-6
        return shifted / shifted.sum((2, 3), keepdim=True)

    def forward(self, features: Tensor, gating: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attended features, summed over positions (B, fine), and the attention."""
        attention = self.attention(features, gating)
        return self.output(attention * features).sum((2, 3)), attention


def logit_of_mean(logits: Tensor) -> Tensor:
    """Return the logit of the mean probability over the first axis, without leaving log space."""
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    return torch.logsumexp(yes, 0) - torch.logsumexp(no, 0)


def unit_range(maps: Tensor) -> Tensor:
    """Scale every map of (B, C, h, w) to [0, 1]; a constant map becomes 0."""
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


class AttentionGated(nn.Module):
    """Gate the second and third block of a ResNet-34 by its last (section 3.3, Fig. 2).

    `aggregation` joins the attended sums of both blocks and the mean of the gating features:
    `concat` in one classifier, as the paper; `mean` averages the probabilities of one classifier
    each; `ft` puts a second classifier on these probabilities.
    """

    def __init__(
        self,
        classes: int,
        aggregation: Literal["concat", "mean", "ft"] = "concat",
        normalise: Literal["sigmoid", "mean_flow"] = "sigmoid",
    ) -> None:
        """Build the network; `normalise` is that of both gates (see `AttentionGate`)."""
        super().__init__()
        if aggregation not in ("concat", "mean", "ft"):
            raise ValueError(f"aggregation is {aggregation!r}; choose 'concat', 'mean' or 'ft'")
        self.aggregation = aggregation
        self.normalise = GrayToImageNet()
        self.backbone = resnet34_trunk()
        self.gating = nn.Conv2d(512, 512, kernel_size=1)
        self.gate2 = AttentionGate(128, 512, normalise)
        self.gate3 = AttentionGate(256, 512, normalise)
        if aggregation == "concat":
            self.classifier = nn.Linear(128 + 256 + 512, classes)
        else:
            self.heads = nn.ModuleList(nn.Linear(width, classes) for width in (128, 256, 512))
            if aggregation == "ft":
                self.classifier = nn.Linear(3 * classes, classes)

    def aggregate(self, *vectors: Tensor) -> Tensor:
        """Join the vectors of the three scales, (B, 128), (B, 256) and (B, 512), to logits."""
        if self.aggregation == "concat":
            return self.classifier(torch.cat(vectors, dim=1))
        logits = [head(vector) for head, vector in zip(self.heads, vectors, strict=True)]
        if self.aggregation == "mean":
            return logit_of_mean(torch.stack(logits))
        return self.classifier(torch.sigmoid(torch.cat(logits, dim=1)))

    def coarse_weight(self) -> Tensor:
        """Return the weights (C, 512) that the gating features have in the class maps."""
        if self.aggregation == "concat":
            return self.classifier.weight[:, -512:]
        return self.heads[2].weight

    def forward(self, images: Tensor) -> Output:
        """Return logits and, in [0, 1], the mean of both attentions and the class maps (sec. 4.3).

        Maps are (B, C, H/8, W/8). The attentions know no class: they enter every class alike.
        """
        block1 = self.backbone[:5](self.normalise(images))
        block2 = self.backbone.layer2(block1)
        block3 = self.backbone.layer3(block2)
        gating = self.gating(self.backbone.layer4(block3))
        vector2, attention2 = self.gate2(block2, gating)
        vector3, attention3 = self.gate3(block3, gating)
        logits = self.aggregate(vector2, vector3, gating.mean((2, 3)))
        coarse = class_maps(gating, self.coarse_weight())
        scales = [
            unit_range(F.interpolate(maps.float(), size=block2.shape[2:], mode="bilinear"))
            for maps in (attention2, attention3, coarse)
        ]
        return Output(logits, (scales[0] + scales[1] + scales[2]) / 3)
