"""The graphs between regions (Eq. 2 and 3) and between labels, counted on the training split."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["eq2", "nonempty", "macro"]


def region_jaccard(labels: Tensor, present: Tensor | None = None, rule: Rule = "eq2") -> Tensor:
    """Compare the images in which two regions have a label, averaged over labels (Eq. 2).

    labels is (N, K, M) with 1, 0 and NaN; only 1 counts as having the label. Returns (K, K) in
    [0, 1]. "eq2" divides by all M labels, an empty union counting 0, as printed; "nonempty"
    averages over the labels whose union is not empty. "macro" is the authors' public code: images
    that have all regions (present, (N, K)) and in which one of the two has any label, the Jaccard
    of having and of not having the label averaged, so that agreement on absence counts.
    """
    positive = (labels == 1).double()
    if rule == "macro":
        return _macro_jaccard(positive, present)
    both, either = _overlap(positive)
    jaccard = torch.where(either > 0, both / either.clamp(min=1), 0.0)
    if rule == "nonempty":
        return jaccard.sum(dim=0) / (either > 0).sum(dim=0).clamp(min=1)
    return jaccard.mean(dim=0)


def _overlap(positive: Tensor) -> tuple[Tensor, Tensor]:
    """Count images with the label in both regions and in either, each (M, K, K)."""
    by_label = positive.permute(2, 1, 0)  # (M, K, N)
    both = by_label @ by_label.mT
    count = by_label.sum(dim=-1)
    return both, count[:, :, None] + count[:, None, :] - both


def _macro_jaccard(positive: Tensor, present: Tensor | None) -> Tensor:
    complete = positive if present is None else positive[present.all(dim=1)]
    both, either = _overlap(complete)
    kept = _overlap((complete.sum(dim=2, keepdim=True) > 0).double())[1]  # (1, K, K)
    neither, not_both = kept - either, kept - both
    having = torch.where(either > 0, both / either.clamp(min=1), torch.nan)
    lacking = torch.where(not_both > 0, neither / not_both.clamp(min=1), torch.nan)
    return torch.stack([having, lacking]).nanmean(dim=0).nan_to_num(0.0).mean(dim=0)


def adjacency(jaccard: Tensor, tau: float = 0.5) -> Tensor:
    """Connect the regions whose Jaccard similarity reaches tau, each also with itself (Eq. 3)."""
    return _with_loops(jaccard >= tau)


def identity_adjacency(regions: int) -> Tensor:
    """Connect each region with itself only: the control without a graph."""
    return torch.eye(regions)


def random_adjacency(graph: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw a graph with as many edges as `graph` (K, K): the control with a meaningless graph."""
    upper = torch.triu_indices(len(graph), len(graph), offset=1)
    edges = int(graph[*upper].sum())
    chosen = upper[:, torch.randperm(upper.shape[1], generator=generator)[:edges]]
    drawn = torch.zeros_like(graph)
    drawn[*chosen] = 1
    return _with_loops(drawn + drawn.T > 0)


def _with_loops(connected: Tensor) -> Tensor:
    return (connected | torch.eye(len(connected), dtype=torch.bool)).float()


def edges(graph: Tensor, names: Sequence[str]) -> list[tuple[str, str]]:
    """List the connected pairs of different nodes of a symmetric graph (K, K) by name."""
    pairs = torch.triu(graph, diagonal=1).nonzero().tolist()
    return [(names[first], names[second]) for first, second in pairs]


def label_graph(labels: Tensor, threshold: float = 0.4, share: float = 0.25) -> Tensor:
    """Connect labels by conditional probability over regions, re-weighted as ML-GCN does.

    labels is (N, K, M) with 1, 0 and NaN. An edge i -> j stands where P(j | i) > threshold among
    all regions; the edges of a label share the weight `share`, the label itself has 1 (Chen et
    al., CVPR 2019, Eq. 7 and 8; the public code's 1 instead of 1 - p). A label never positive has
    no edge. Returns (M, M).
    """
    positive = (labels == 1).double().flatten(0, 1)  # (N K, M)
    together = positive.T @ positive
    probability = together / together.diagonal().clamp(min=1)[:, None]
    binary = (probability > threshold).double().fill_diagonal_(0)
    weights = share * binary / binary.sum(dim=1, keepdim=True).clamp(min=1)
    return (weights + torch.eye(len(weights))).float()
