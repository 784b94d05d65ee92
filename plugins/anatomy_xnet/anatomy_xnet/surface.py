"""Maps of S x S positions and C channels that are known without being stored.

A feature map F is the bilinear up-sampling of the backbone's own small map, F = U F0, and the terms
of the anatomy aware attention are combinations of F and of the two organ masks. Means, covariances,
projections on a kernel and weighted averages of such a map can all be computed from F0 (B, C, h, w)
and from single-channel maps (B, S, S): U is linear, separable, and its rows sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


def interpolation(source: int, target: int, like: Tensor) -> Tensor:
    """Return the matrix (target, source) of linear interpolation with align_corners=False."""
    with torch.no_grad():
        unit = torch.eye(source, dtype=like.dtype, device=like.device)[None]
        return functional.interpolate(unit, size=target, mode="linear")[0].T.contiguous()


@dataclass(frozen=True)
class Upsampling:
    """U: the bilinear map from (h, w) to (S, S), as one matrix for each axis."""

    rows: Tensor  # (S, h)
    columns: Tensor  # (S, w)

    @classmethod
    def of(cls, feature: Tensor, size: int) -> Upsampling:
        """Return the up-sampling of `feature` (B, C, h, w) to `size` x `size`."""
        height, width = feature.shape[-2:]
        return cls(interpolation(height, size, feature), interpolation(width, size, feature))

    def up(self, maps: Tensor) -> Tensor:
        """Return U maps: (..., h, w) to (..., S, S)."""
        return self.rows @ maps @ self.columns.T

    def pull(self, maps: Tensor) -> Tensor:
        """Return U^T maps: (..., S, S) to (..., h, w), so that <maps, U F0> = <U^T maps, F0>."""
        return self.rows.T @ maps @ self.columns

    def gram(self) -> tuple[Tensor, Tensor]:
        """Return U^T U divided by the number of positions, as (h, h) and (w, w)."""
        rows = self.rows.T @ self.rows / len(self.rows)
        return rows, self.columns.T @ self.columns / len(self.columns)

    def weighted_gram(self, weights: Tensor) -> Tensor:
        """Return U^T diag(weights) U: (..., S, S) to (..., h w, h w)."""
        pairs = torch.einsum("yi,yk->yik", self.rows, self.rows)
        pairs_x = torch.einsum("xj,xl->xjl", self.columns, self.columns)
        half = torch.einsum("...yx,xjl->...yjl", weights, pairs_x)
        full = torch.einsum("...yjl,yik->...ijkl", half, pairs)
        return full.flatten(-4, -3).flatten(-2, -1)


@dataclass(frozen=True)
class Feature:
    """F = U F0, as the mean of each image and what deviates from it."""

    mean: Tensor  # (B, C), over positions
    deviation: Tensor  # (B, C, h, w), F0 less that mean
    upsampling: Upsampling

    @classmethod
    def of(cls, feature: Tensor, size: int) -> Feature:
        """Return `feature` (B, C, h, w) up-sampled to `size` x `size`."""
        upsampling = Upsampling.of(feature, size)
        rows, columns = upsampling.rows.mean(0), upsampling.columns.mean(0)
        mean = torch.einsum("bcij,i,j->bc", feature, rows, columns)
        return cls(mean, feature - mean[..., None, None], upsampling)

    def project(self, kernel: Tensor) -> Tensor:
        """Return sum_c kernel[c] F[c] (B, S, S) for a kernel (C)."""
        small = torch.einsum("bchw,c->bhw", self.deviation, kernel)
        return self.upsampling.up(small) + (self.mean @ kernel)[:, None, None]

    def average(self, weights: Tensor) -> Tensor:
        """Return sum_x weights[x] F[c, x] (B, C) for weights (B, S, S) that sum to one."""
        return self.mean + self.inner(weights[:, None])[:, 0]

    def stored(self) -> Tensor:
        """Return the map itself (B, C, S, S)."""
        return self.upsampling.up(self.deviation) + self.mean[..., None, None]

    def inner(self, maps: Tensor) -> Tensor:
        """Return <maps[k], F[c] - mean[c]> (B, k, C) for maps (B, k, S, S)."""
        return self.upsampling.pull(maps).flatten(2) @ self.deviation.flatten(2).mT

    def channel_sum(self, kernels: Tensor) -> Tensor:
        """Return sum_c kernels[k, c] (F[c] - mean[c]) (B, k, S, S) for kernels (B, k, C)."""
        small = kernels @ self.deviation.flatten(2)
        return self.upsampling.up(small.unflatten(2, self.deviation.shape[2:]))


class Planes(Protocol):
    """Three maps X_1, X_2, X_3 (B, C, S, S), of which nothing is stored."""

    feature: Feature
    masks: Tensor  # (B, 2, S, S)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return, over positions, the means m (B, 3, C) and covariances (B, 3, 3, C)."""

    def project(self, kernels: Tensor) -> Tensor:
        """Return sum_k sum_c kernels[k, c] (X_k[c] - m_k[c]) (B, S, S), kernels (B, 3, C)."""

    def average(self, weights: Tensor) -> Tensor:
        """Return sum_x weights[x] (X_k[c, x] - m_k[c]) (B, 3, C), weights (B, S, S)."""

    def combine(self, factors: Tensor) -> Tensor:
        """Return sum_k factors[k, c] (X_k[c] - m_k[c]) (B, C, S, S), factors (B, 3, C)."""


class MaskPlanes:
    """X = (M_lung, M_heart, F): what the attention vectors multiply in Eq. 3 to 5."""

    def __init__(self, feature: Feature, masks: Tensor) -> None:
        """Take the masks (B, 2, S, S) apart into their areas and what deviates from them."""
        self.feature, self.masks = feature, masks
        self.area = masks.mean((2, 3))  # (B, 2)
        self.organs = masks - self.area[..., None, None]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return, over positions, the means m (B, 3, C) and covariances (B, 3, 3, C)."""
        mean, deviation = self.feature.mean, self.feature.deviation
        positions, channels = self.masks[0, 0].numel(), mean.shape[1]
        rows, columns = self.feature.upsampling.gram()
        variance = (deviation * (rows @ deviation @ columns)).sum((2, 3))  # (B, C)
        cross = self.feature.inner(self.organs) / positions  # (B, 2, C)
        flat = self.organs.flatten(2)
        organs = (flat @ flat.mT / positions)[..., None].expand(-1, -1, -1, channels)
        upper = torch.cat([organs, cross[:, :, None]], 2)  # (B, 2, 3, C)
        lower = torch.cat([cross, variance[:, None]], 1)[:, None]  # (B, 1, 3, C)
        means = torch.cat([self.area[..., None].expand(-1, -1, channels), mean[:, None]], 1)
        return means, torch.cat([upper, lower], 1)

    def project(self, kernels: Tensor) -> Tensor:
        """Return sum_k sum_c kernels[k, c] (X_k[c] - m_k[c]) (B, S, S), kernels (B, 3, C)."""
        organs = torch.einsum("bkyx,bk->byx", self.organs, kernels[:, :2].sum(2))
        return organs + self.feature.channel_sum(kernels[:, 2:])[:, 0]

    def average(self, weights: Tensor) -> Tensor:
        """Return sum_x weights[x] (X_k[c, x] - m_k[c]) (B, 3, C), weights (B, S, S)."""
        organs = torch.einsum("bkyx,byx->bk", self.organs, weights)[..., None]
        feature = self.feature.inner(weights[:, None])
        return torch.cat([organs.expand(-1, -1, feature.shape[2]), feature], 1)

    def combine(self, factors: Tensor) -> Tensor:
        """Return sum_k factors[k, c] (X_k[c] - m_k[c]) (B, C, S, S), factors (B, 3, C)."""
        organs = torch.einsum("bkyx,bkc->bcyx", self.organs, factors[:, :2])
        scaled = self.feature.deviation * factors[:, 2, :, None, None]
        return organs + self.feature.upsampling.up(scaled)


class MaskedFeaturePlanes:
    """X = (M_lung F, M_heart F, F): Eq. 3 and 4 read with the feature beside the mask.

    With M_3 = 1, a_k the mean of M_k, F = f + F' (f the mean of F) and e_k = E[M_k F'], the
    deviation X_k - m_k is (M_k - a_k) f + M_k F' - e_k.
    """

    def __init__(self, feature: Feature, masks: Tensor) -> None:
        """Gate the feature by both masks (B, 2, S, S) and by the constant 1."""
        self.feature, self.masks = feature, masks
        self.gates = torch.cat([masks, torch.ones_like(masks[:, :1])], 1)  # (B, 3, S, S)
        self.area = self.gates.mean((2, 3))  # (B, 3)
        self.organs = self.gates - self.area[..., None, None]
        self.residual = feature.inner(self.gates) / masks[0, 0].numel()  # e (B, 3, C)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return, over positions, the means m (B, 3, C) and covariances (B, 3, 3, C).

        The covariance of X_k and X_l is f^2 cov(M_k, M_l) + f E[D_kl F'] + E[M_k M_l F'^2]
        - e_k e_l, where D_kl = (M_k - a_k) M_l + (M_l - a_l) M_k: nothing large is subtracted.
        """
        positions = self.masks[0, 0].numel()
        flat = self.organs.flatten(2)
        organs = flat @ flat.mT / positions  # (B, 3, 3)
        lean = self.organs[:, :, None] * self.gates[:, None]  # (B, 3, 3, S, S)
        mixed = self.feature.inner((lean + lean.transpose(1, 2)).flatten(1, 2)) / positions
        product = self.gates[:, :, None] * self.gates[:, None]
        gram = self.feature.upsampling.weighted_gram(product) / positions
        deviation = self.feature.deviation.flatten(2)[:, None, None]  # (B, 1, 1, C, h w)
        square = ((deviation @ gram) * deviation).sum(-1)  # E[M_k M_l F'^2] (B, 3, 3, C)
        f = self.feature.mean[:, None, None]
        covariance = f.square() * organs[..., None] + f * mixed.unflatten(1, (3, 3)) + square
        means = self.area[..., None] * self.feature.mean[:, None] + self.residual
        return means, covariance - self.residual[:, :, None] * self.residual[:, None]

    def project(self, kernels: Tensor) -> Tensor:
        """Return sum_k sum_c kernels[k, c] (X_k[c] - m_k[c]) (B, S, S), kernels (B, 3, C)."""
        organs = torch.einsum("bkyx,bkc,bc->byx", self.organs, kernels, self.feature.mean)
        feature = (self.gates * self.feature.channel_sum(kernels)).sum(1)
        return organs + feature - (kernels * self.residual).sum((1, 2))[:, None, None]

    def average(self, weights: Tensor) -> Tensor:
        """Return sum_x weights[x] (X_k[c, x] - m_k[c]) (B, 3, C), weights (B, S, S)."""
        organs = torch.einsum("bkyx,byx,bc->bkc", self.organs, weights, self.feature.mean)
        return organs + self.feature.inner(self.gates * weights[:, None]) - self.residual

    def combine(self, factors: Tensor) -> Tensor:
        """Return sum_k factors[k, c] (X_k[c] - m_k[c]) (B, C, S, S), factors (B, 3, C)."""
        gate = torch.einsum("bkyx,bkc->bcyx", self.gates, factors)
        means = self.area[..., None] * self.feature.mean[:, None] + self.residual
        return gate * self.feature.stored() - (factors * means).sum(1)[..., None, None]


@dataclass(frozen=True)
class Combination:
    """mean + sum_k factors[k] (X_k - m_k): a map (B, C, S, S)."""

    planes: Planes
    factors: Tensor  # (B, 3, C)
    mean: Tensor  # (B, C), over positions

    def project(self, kernel: Tensor) -> Tensor:
        """Return sum_c kernel[c] map[c] (B, S, S) for a kernel (C)."""
        return self.planes.project(self.factors * kernel) + (self.mean @ kernel)[:, None, None]

    def average(self, weights: Tensor) -> Tensor:
        """Return sum_x weights[x] map[c, x] (B, C) for weights (B, S, S) that sum to one."""
        return self.mean + (self.factors * self.planes.average(weights)).sum(1)

    def stored(self) -> Tensor:
        """Return the map itself (B, C, S, S)."""
        return self.mean[..., None, None] + self.planes.combine(self.factors)


Surface = Feature | Combination
