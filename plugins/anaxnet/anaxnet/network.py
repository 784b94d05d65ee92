"""AnaXNet's graph head, its comparison heads and the global classifier (Agu et al., MICCAI 2021).

Shapes: B images, K regions, M labels, d = 1024 feature width. `regions` are the detector's region
vectors (B, K, d), zero where the detector found nothing; every head answers logits (B, K, M).
"""

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import densenet169

with warnings.catch_warnings():  # PyG decorates functions with what newer PyTorch deprecates
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from torch_geometric.nn import DenseGINConv

Normalize = Literal["sym", "row", "none"]


def normalized(adjacency: Tensor, normalize: Normalize = "sym") -> Tensor:
    """Normalise a binary adjacency (K, K) whose diagonal is 1 by its degrees.

    "sym" is D^-1/2 A D^-1/2, "row" is D^-1 A, "none" leaves Eq. 3 as printed.
    """
    degree = adjacency.sum(dim=-1)
    if normalize == "sym":
        return adjacency * degree.rsqrt()[:, None] * degree.rsqrt()[None, :]
    if normalize == "row":
        return adjacency / degree[:, None]
    return adjacency


class GraphConvolutions(nn.Module):
    """Stacked graph convolutions, R <- phi(A R W), one W per pair of neighbouring widths (Eq. 1).

    PyG's dense GIN layer without its loop is `nn(A x)`, exactly Eq. 1 for the matrix it is given;
    its dense GCN layer would normalise the matrix a second time.
    """

    adjacency: Tensor

    def __init__(
        self,
        adjacency: Tensor,
        widths: Sequence[int],
        activation: nn.Module,
        last_activation: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency.float())
        self.activation = activation
        self.last_activation = last_activation
        self.layers = nn.ModuleList()
        for width_in, width_out in itertools.pairwise(widths):
            layer = DenseGINConv(nn.Linear(width_in, width_out, bias=False))
            bound = 1 / math.sqrt(width_out)  # the public code's; the paper names none
            nn.init.uniform_(layer.nn.weight, -bound, bound)
            self.layers.append(layer)

    def forward(self, nodes: Tensor) -> Tensor:
        """Propagate nodes (B, K, widths[0]) to (B, K, widths[-1])."""
        for depth, layer in enumerate(self.layers, start=1):
            nodes = layer(nodes, self.adjacency, add_loop=False)
            if depth < len(self.layers) or self.last_activation:
                nodes = self.activation(nodes)
        return nodes


class AnatomyGraph(nn.Module):
    """AnaXNet's head: graph convolutions over regions, non-local attention, one linear layer.

    `combine` is "concat", [R; Q] W (Eq. 5), or "residual", LayerNorm(R + Q) W, as the authors'
    public code does. Raises ValueError if the last width is not the width of the regions, which
    the product of Eq. 4 needs.
    """

    def __init__(
        self,
        adjacency: Tensor,
        labels: int,
        width: int = 1024,
        dims: Sequence[int] = (512, 1024),
        normalize: Normalize = "sym",
        last_activation: Literal["relu", "none"] = "relu",
        combine: Literal["concat", "residual"] = "concat",
    ) -> None:
        super().__init__()
        if dims[-1] != width:
            raise ValueError(
                f"the last graph layer is {dims[-1]} wide, the regions {width}: Eq. 4 multiplies "
                "them, so they must be equal"
            )
        self.graph = GraphConvolutions(
            normalized(adjacency.float(), normalize),
            (width, *dims),
            nn.ReLU(),
            last_activation == "relu",
        )
        self.combine = combine
        self.norm = nn.LayerNorm(width) if combine == "residual" else nn.Identity()
        self.classifier = nn.Linear(width if combine == "residual" else 2 * width, labels)

    def attention(self, regions: Tensor) -> Tensor:
        """Weigh all regions for each region, rows summing to 1: (B, K, d) -> (B, K, K) (Eq. 4)."""
        return torch.softmax(regions @ self.graph(regions).mT, dim=-1)

    def forward(self, regions: Tensor) -> Tensor:
        """Map regions (B, K, d) to logits (B, K, M) (Eq. 4 and 5)."""
        context = self.attention(regions) @ regions
        if self.combine == "residual":
            return self.classifier(self.norm(regions + context))
        return self.classifier(torch.cat([regions, context], dim=-1))


def attention_entropy(attention: Tensor) -> Tensor:
    """Return the mean entropy of attention rows (B, K, K): 1 if uniform, 0 if one region has all.

    Eq. 4 has no temperature: a value near 0 says that the softmax has saturated.
    """
    return torch.special.entr(attention).sum(dim=-1).mean() / math.log(attention.shape[-1])


class RegionClassifier(nn.Linear):
    """One linear layer shared by all regions: the Faster R-CNN row of Table 3."""

    def __init__(self, labels: int, width: int = 1024) -> None:
        super().__init__(width, labels)


class LabelGraph(nn.Module):
    """CheXGCN's label graph over region features: region vector dot label vector.

    Label vectors (M, 300) pass two graph convolutions with the re-weighted label co-occurrence
    (M, M) of the training split (Chen et al., CVPR 2019) and meet the regions in a dot product.
    The vectors are "random" (fixed normal vectors) or "learned": word vectors need a download.
    """

    vectors: Tensor

    def __init__(
        self,
        cooccurrence: Tensor,
        width: int = 1024,
        embedding: Literal["random", "learned"] = "random",
        embedding_width: int = 300,
    ) -> None:
        super().__init__()
        vectors = torch.randn(len(cooccurrence), embedding_width)
        if embedding == "learned":
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)
        self.graph = GraphConvolutions(
            normalized(cooccurrence.float()),
            (embedding_width, 1024, width),
            nn.LeakyReLU(0.2),
            last_activation=False,
        )

    def forward(self, regions: Tensor) -> Tensor:
        """Map regions (B, K, d) to logits (B, K, M)."""
        return regions @ self.graph(self.vectors[None])[0].mT


class GlobalView(nn.Module):
    """DenseNet-169 over the whole image: the row of Table 3 that does not localise."""

    mean: Tensor
    std: Tensor

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.densenet = densenet169(weights=None)
        self.densenet.classifier = nn.Linear(self.densenet.classifier.in_features, labels)

    def features(self, images: Tensor) -> Tensor:
        """Map images (B, 1, H, W) in [0, 1] to rectified features (B, 1664, H/32, W/32)."""
        normal = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        return torch.relu(self.densenet.features(normal))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 1, H, W) in [0, 1] to image logits (B, M)."""
        return self.densenet.classifier(self.features(images).mean(dim=(2, 3)))

    def scores_and_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return image logits (B, M) and Grad-CAM maps (B, M, H/32, W/32), both from one pass.

        Behind average pooling and one linear layer a logit's gradient is the layer's weight over
        the number of positions, so Grad-CAM needs no backward pass (Selvaraju et al., ICCV 2017).
        """
        features = self.features(images)
        weight = self.densenet.classifier.weight / (features.shape[2] * features.shape[3])
        maps = torch.relu(torch.einsum("bchw,mc->bmhw", features, weight))
        return self.densenet.classifier(features.mean(dim=(2, 3))), maps
