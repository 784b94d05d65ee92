"""Equations 1 to 9 written down one after another, every map of S x S x C stored.

The oracle of the tests and the peer of the benchmark. Its parameters carry the names of
AnatomyAwareAttention, so that either loads the other's state.
"""

import torch
from anatomy_xnet.attention import attention_vector_encoder
from torch import nn
from torch.nn import functional


class LiteralPooling(nn.Module):
    def __init__(self, name, channels):
        super().__init__()
        self.name = name
        if name == "pwap":
            self.kernel = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
        if name == "gem":
            self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, feature):
        if self.name == "avg":
            return functional.adaptive_avg_pool2d(feature, 1).flatten(1)
        if self.name == "max":
            return functional.adaptive_max_pool2d(feature, 1).flatten(1)
        if self.name == "gem":
            powers = feature.clamp(min=1e-6).pow(self.power)
            return powers.mean((2, 3)).pow(1 / self.power)
        probability = torch.sigmoid(self.kernel(feature))  # Eq. 7
        weights = probability / probability.sum((2, 3), keepdim=True)  # Eq. 8
        return (feature * weights).sum((2, 3))  # Eq. 9


class LiteralAttention(nn.Module):
    def __init__(self, channels, reduction=0.5, term="mask", pool="pwap"):
        super().__init__()
        self.term = term
        self.squeeze = LiteralPooling(pool, channels)
        self.encoders = nn.ModuleList(
            attention_vector_encoder(channels, reduction) for _ in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(3))
        self.norm = nn.BatchNorm2d(channels)
        self.pool = LiteralPooling(pool, channels)

    def recalibrate(self, feature, masks):
        size = masks.shape[-2:]
        feature = functional.interpolate(feature, size, mode="bilinear", align_corners=False)
        squeezed = self.squeeze(feature)
        logits = torch.stack([encoder(squeezed) for encoder in self.encoders], 1)
        lung, heart, background = torch.softmax(logits, 1)[..., None, None].unbind(1)  # Eq. 1
        organs = masks[:, :, None] * (feature[:, None] if self.term == "mask_feature" else 1)
        terms = (lung * organs[:, 0], heart * organs[:, 1], background * feature)  # Eq. 3 to 5
        total = sum(norm(term) for norm, term in zip(self.norms, terms, strict=True))
        return self.norm(total)  # Eq. 6

    def forward(self, feature, masks):
        return self.pool(self.recalibrate(feature, masks))
