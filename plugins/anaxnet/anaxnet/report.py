"""What is counted between stages, what a run says of it, and the metric of detections."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from anaxnet import graph
from anaxnet.detectors.quality import average_precision, region_quality
from anaxnet.network import AnatomyGraph, attention_entropy
from anaxnet.regions import find_again, gather, unpack
from harness import Samples
from harness.metrics.evaluated import Evaluated
from harness.progress import say

_SOME = 1024  # images over which the attention is looked at


def detection(train: Samples, validation: Samples) -> dict[str, Any]:
    """Measure a detector on validation images: IoU and recall per region, AP where it can be had.

    Also counts the training boxes of each region and says which has none. COCO's AP needs
    torchmetrics and pycocotools, which are optional; without them it is None.
    """
    boxes = torch.from_numpy(train.need("region_boxes"))
    count = (~boxes.isnan().any(dim=-1)).sum(dim=0)
    absent = [name for name, n in zip(train.space.regions, count.tolist(), strict=True) if n == 0]
    if absent:
        say(f"no training box of {', '.join(absent)}: what is never shown is never found")
    annotated = torch.from_numpy(validation.need("region_boxes")).double()
    found, scores, present = find_again(validation)
    quality = region_quality(found, present, annotated)
    say(
        f"detector on {len(validation)} validation images: mean IoU {quality.iou.nanmean():.3f}, "
        f"recall at IoU 0.5 {quality.recall.nanmean():.3f} (means over regions)"
    )
    optional = all(find_spec(name) for name in ("torchmetrics", "pycocotools"))
    return {
        "training_boxes": count,
        **quality._asdict(),
        "coco": average_precision(found, scores, present, annotated) if optional else None,
    }


def region_graph(
    train: Samples, kind: Literal["jaccard", "identity", "random"], rule: graph.Rule, tau: float
) -> Tensor:
    """Return the adjacency (R, R) of the training split or a control for it; say its edges."""
    names, labels = train.space.regions, torch.from_numpy(train.need("region_labels"))
    if kind == "identity":
        return graph.identity_adjacency(len(names))
    present = ~torch.from_numpy(train.need("region_boxes")).isnan().any(dim=-1)
    found = graph.adjacency(graph.region_jaccard(labels, present, rule), tau)
    if kind == "random":
        found = graph.random_adjacency(found)
    edges = graph.edges(found, names)
    possible = len(names) * (len(names) - 1) // 2
    told = ", ".join(f"{first} - {second}" for first, second in edges) or "each region by itself"
    say(f"{kind} graph over regions, {len(edges)} of {possible} edges: {told}")
    return found


def label_graph(train: Samples) -> Tensor:
    """Return CheXGCN's weights between labels (L, L); say which labels are never positive."""
    labels = torch.from_numpy(train.need("region_labels"))
    positive = (labels == 1).flatten(0, 1).any(dim=0).tolist()
    classes = train.space.region_classes
    never = [name for name, some in zip(classes, positive, strict=True) if not some]
    if never:
        say(f"never positive in the training split: {', '.join(never)}")
    return graph.label_graph(labels)


def attention(head: AnatomyGraph, validation: Samples) -> dict[str, float]:
    """Return the mean entropy of the attention (Eq. 4) on validation images, and say it."""
    device = head.classifier.weight.device
    size = validation.view.size if validation.view else 1
    rows = gather(validation, torch.arange(min(_SOME, len(validation))))
    entropy = float(attention_entropy(head.attention(unpack(rows.to(device), size).features)))
    say(f"attention over regions: entropy {entropy:.3f} (1 is uniform, 0 is a single region)")
    return {"entropy": entropy}


def detection_report(evaluated: Evaluated) -> Mapping[str, Any]:
    """IoU and recall at IoU 0.5 of each region, a missed box counting 0, and their means."""
    if evaluated.found_boxes is None or evaluated.region_boxes is None:
        return {}
    quality = region_quality(
        torch.from_numpy(evaluated.found_boxes).double(),
        torch.from_numpy(evaluated.need("region_present")) > 0,
        torch.from_numpy(evaluated.region_boxes).double(),
    )
    names = evaluated.need("regions").tolist()
    columns = zip(names, *(part.tolist() for part in quality), strict=True)
    return {
        "mean_iou": float(quality.iou.nanmean()),
        "mean_recall": float(quality.recall.nanmean()),
        "regions": {n: {"iou": i, "recall": r, "boxes": c} for n, i, r, c in columns},
    }
