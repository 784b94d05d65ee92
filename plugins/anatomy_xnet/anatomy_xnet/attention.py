"""Anatomy aware attention and probabilistic weighted average pooling (Eq. 1 to 9, Table I).

The literal form needs about ten maps of S x S x C; here none is made unless a pooling demands it.
The batch normalisations of Eq. 6 need only the mean and the variance of their maps, and what the
last one returns is again a combination of the same three planes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from anatomy_xnet.surface import (
    Combination,
    Feature,
    MaskedFeaturePlanes,
    MaskPlanes,
    Planes,
    Surface,
)

Term = Literal["mask", "mask_feature"]
PoolingName = Literal["pwap", "avg", "max", "gem"]


class ProbabilisticWeightedAveragePooling(nn.Module):
    """PWAP: the average of a map, weighted by a learnt probability of each position."""

    def __init__(self, channels: int) -> None:
        """Learn one kernel of 1 x 1 x `channels`."""
        super().__init__()
        self.kernel = nn.Conv2d(channels, 1, kernel_size=1, bias=False)

    def weights(self, surface: Surface) -> Tensor:
        """Return the weight map W (B, S, S), which sums to one over the positions."""
        evidence = surface.project(self.kernel.weight.flatten())
        logarithm = functional.logsigmoid(evidence)  # Eq. 7; its softmax is P / sum P, Eq. 8
        return logarithm.flatten(1).softmax(1).view_as(evidence)

    def forward(self, surface: Surface) -> Tensor:
        """Return Z (B, C), Eq. 9."""
        return surface.average(self.weights(surface))


class AveragePooling(nn.Module):
    """The mean over positions."""

    def forward(self, surface: Surface) -> Tensor:
        """Return the mean of each channel (B, C)."""
        return surface.mean


class MaxPooling(nn.Module):
    """The maximum over positions; the map has to be stored."""

    def forward(self, surface: Surface) -> Tensor:
        """Return the maximum of each channel (B, C)."""
        return surface.stored().amax((2, 3))


class GeneralizedMeanPooling(nn.Module):
    """The mean of the p-th powers, p learnt; the map has to be stored."""

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        """Start at `power`; values below `eps` count as `eps`."""
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))
        self.eps = eps

    def forward(self, surface: Surface) -> Tensor:
        """Return the generalised mean of each channel (B, C)."""
        powers = surface.stored().clamp(min=self.eps).pow(self.power)
        return powers.mean((2, 3)).pow(1 / self.power)


def pooling(name: PoolingName, channels: int) -> nn.Module:
    """Return the pooling of Table V: it turns a surface of `channels` channels into (B, C)."""
    if name == "pwap":
        return ProbabilisticWeightedAveragePooling(channels)
    return {"avg": AveragePooling, "max": MaxPooling, "gem": GeneralizedMeanPooling}[name]()


class MomentNorm(nn.Module):
    """BatchNorm2d of a map that is known by the moments of each of its images.

    Parameters, buffers and their meaning are those of BatchNorm2d.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        """Start as the identity of normalised maps."""
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, mean: Tensor, variance: Tensor, positions: int) -> tuple[Tensor, Tensor]:
        """Return the image means of the normalised map (B, C) and its scale (C).

        `mean` and `variance` (B, C) are taken within each image, over `positions` positions.
        """
        if self.training:
            centre = mean.mean(0)
            spread = variance.mean(0) + mean.var(0, correction=0)  # within + between images
            self._track(centre.detach(), spread.detach(), len(mean) * positions)
        else:
            centre, spread = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(spread + self.eps)
        return self.bias + scale * (mean - centre), scale

    @torch.no_grad()
    def _track(self, centre: Tensor, spread: Tensor, count: int) -> None:
        unbiased = spread * (count / max(count - 1, 1))
        self.running_mean.lerp_(centre.to(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        self.num_batches_tracked.add_(1)


def attention_vector_encoder(channels: int, reduction: float) -> nn.Sequential:
    """Return the encoder of Table I: (B, C) to (B, C) through C / r, which is 2 C at r = 0.5."""
    hidden = max(1, round(channels / reduction))
    return nn.Sequential(
        nn.Linear(channels, hidden),
        nn.ReLU(),
        nn.BatchNorm1d(hidden),
        nn.Linear(hidden, channels),
        nn.ReLU(),
        nn.BatchNorm1d(channels),
    )


class Attention(NamedTuple):
    """What one module attends to: lung enhancer, heart enhancer, background suppressor."""

    vectors: Tensor  # (B, 3, C), softmaxed over the three, Eq. 1
    logits: Tensor  # (B, 3, C), before the softmax


class AnatomyAwareAttention(nn.Module):
    """AAA on one tap, pooled: Eq. 1 to 6 and the PWAP that follows.

    `term` says what the organ terms of Eq. 3 and 4 hold: the mask alone, as printed, or the mask
    times the feature. `pool` replaces PWAP in both places.
    """

    def __init__(
        self,
        channels: int,
        reduction: float = 0.5,
        term: Term = "mask",
        pool: PoolingName = "pwap",
    ) -> None:
        """Attend to `channels` channels; the encoders have `channels / reduction` hidden units."""
        super().__init__()
        self.term = term
        self.squeeze = pooling(pool, channels)
        self.encoders = nn.ModuleList(
            attention_vector_encoder(channels, reduction) for _ in range(3)
        )
        self.norms = nn.ModuleList(MomentNorm(channels) for _ in range(3))
        self.norm = MomentNorm(channels)
        self.pool = pooling(pool, channels)

    def forward(self, feature: Tensor, masks: Tensor) -> tuple[Tensor, Attention]:
        """Return the pooled R (B, C) and the attention, from (B, C, h, w) and (B, 2, S, S)."""
        with torch.autocast(feature.device.type, enabled=False):
            surface, attention = self.recalibrate(feature, masks)
            return self.pool(surface), attention

    def recalibrate(self, feature: Tensor, masks: Tensor) -> tuple[Combination, Attention]:
        """Return R of Eq. 6 as a surface that `stored()` turns into (B, C, S, S)."""
        precise = torch.promote_types(feature.dtype, torch.float32)
        surface, masks = Feature.of(feature.to(precise), masks.shape[-1]), masks.to(precise)
        attention = self.attend(surface)
        kind = MaskPlanes if self.term == "mask" else MaskedFeaturePlanes
        return self._normalise(kind(surface, masks), attention.vectors), attention

    def attend(self, feature: Feature) -> Attention:
        """Return the attention vectors of a feature map (Eq. 1 and 2)."""
        squeezed = self.squeeze(feature)
        logits = torch.stack([encoder(squeezed) for encoder in self.encoders], 1)
        return Attention(logits.softmax(1), logits)

    def _normalise(self, planes: Planes, vectors: Tensor) -> Combination:
        """Return Eq. 3 to 6: the batch norm of the sum of three batch norms, as a combination."""
        positions = planes.masks[0, 0].numel()
        means, covariance = planes.moments()
        variances = covariance.diagonal(dim1=1, dim2=2).mT  # (B, 3, C)
        normalised = [
            norm(vectors[:, k] * means[:, k], vectors[:, k].square() * variances[:, k], positions)
            for k, norm in enumerate(self.norms)
        ]
        factors = vectors * torch.stack([scale for _, scale in normalised])  # (B, 3, C)
        mean = sum(mean for mean, _ in normalised)
        variance = torch.einsum("bkc,bklc,blc->bc", factors, covariance, factors)
        mean, scale = self.norm(mean, variance, positions)
        return Combination(planes, factors * scale, mean)


def attention_loss(attention: list[Attention], targets: Tensor, after_softmax: bool) -> Tensor:
    """Return L_attn of Eq. 20, the mean over modules, vectors and channels.

    `targets` (B, 2) says whether an image has a disease of the lungs, of the heart. The sigmoid is
    taken of the softmaxed vectors A_LE and A_HE (the text), or of what enters the softmax.
    """
    losses = []
    for vectors, logits in attention:
        value = (vectors if after_softmax else logits)[:, :2]
        wanted = targets[..., None].to(value).expand_as(value)
        losses.append(functional.binary_cross_entropy_with_logits(value, wanted))
    return torch.stack(losses).mean()
