"""How well a detector finds the regions: overlap and recall per region, average precision."""

from typing import NamedTuple

import torch
from torch import Tensor


class RegionQuality(NamedTuple):
    """Overlap with the annotated boxes, per region; NaN where no box is annotated."""

    iou: Tensor  # (R,) mean over annotated boxes, a missed one counting 0
    recall: Tensor  # (R,) share of annotated boxes met with at least the asked overlap
    boxes: Tensor  # (R,) annotated boxes


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersect boxes (..., 4) one by one: IoU (...) in [0, 1], NaN where either box is NaN."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    area = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(dim=-1) for box in (first, second)]
    union = area[0] + area[1] - shared
    return torch.where(union == 0, 0.0, shared / union)


def region_quality(
    found: Tensor, present: Tensor, annotated: Tensor, overlap: float = 0.5
) -> RegionQuality:
    """Compare found boxes (N, R, 4) with annotated ones (N, R, 4), NaN where there is none.

    Both in the same pixels; present is (N, R).
    """
    exists = ~annotated.isnan().any(dim=-1)
    iou = torch.where(present, paired_iou(found, annotated), 0.0)
    iou = torch.where(exists, iou, 0.0)
    count = exists.sum(dim=0)
    met = (exists & (iou >= overlap)).sum(dim=0)
    some = torch.where(count > 0, count.double(), torch.nan)
    return RegionQuality(iou.double().sum(dim=0) / some, met / some, count)


def average_precision(
    found: Tensor, scores: Tensor, present: Tensor, annotated: Tensor
) -> dict[str, float]:
    """Compute COCO's AP, AP50 and AP75 over regions through torchmetrics and pycocotools.

    Arguments as in `region_quality`, with scores (N, R). Raises ImportError where torchmetrics or
    pycocotools is not installed.
    """
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(backend="pycocotools")
    exists = ~annotated.isnan().any(dim=-1)
    for box, score, here, truth, there in zip(
        found, scores, present, annotated, exists, strict=True
    ):
        metric.update(
            [{"boxes": box[here], "scores": score[here], "labels": here.nonzero()[:, 0]}],
            [{"boxes": truth[there], "labels": there.nonzero()[:, 0]}],
        )
    result = metric.compute()
    return {"AP": float(result["map"])} | {f"AP{at}": float(result[f"map_{at}"]) for at in (50, 75)}
