"""What a region detector is, whichever library built its Faster R-CNN."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

FEATURES = 1024  # width of the box head's second fully connected layer

Norm = Literal["frozen", "batch", "group"]


@dataclass(frozen=True)
class Architecture:
    """A Faster R-CNN over a ResNet feature pyramid, for square views.

    "frozen" normalisation keeps the statistics and the first stages of pretrained weights as they
    are; from scratch it needs "batch" or "group", or the losses explode within a few steps.
    """

    regions: int = 18
    size: int = 512  # side of the square view, in pixels
    depth: Literal[18, 50] = 50
    norm: Norm = "batch"
    rois: int = 512  # boxes that the box head sees per image in training
    proposals: int = 1000  # boxes that it sees per image in detection
    confidence: float = 0.7  # a region whose best score does not exceed it counts as missing

    @property
    def anchors(self) -> list[int]:
        """One anchor side per pyramid level: COCO's 32 to 512 at a view of 512 pixels."""
        return [self.size // share for share in (16, 8, 4, 2, 1)]


class Detections(NamedTuple):
    """The best box of every region: zeros, and present False, where none was found."""

    boxes: Tensor  # (B, R, 4) x1, y1, x2, y2 in pixels of the view
    features: Tensor  # (B, R, 1024) float32
    scores: Tensor  # (B, R) probability of the best box, also where it does not suffice
    present: Tensor  # (B, R) bool


class Proposals(NamedTuple):
    """What a backend's first pass found, image by image."""

    maps: Any  # the backend's feature pyramid, to pool from
    scores: Sequence[Tensor]  # per image (P, R) probabilities
    boxes: Sequence[Tensor]  # per image (P, R, 4), refined for each region


class RegionDetector(nn.Module, ABC):
    """Faster R-CNN for anatomical regions, of which an image has at most one each."""

    model: nn.Module  # the backend's own

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture

    @abstractmethod
    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the losses classifier, box, objectness and proposal, in training mode.

        images is (B, 1, S, S) in [0, 1]; boxes is (B, R, 4) in pixels of the view, NaN where the
        image has no such region.
        """

    @abstractmethod
    def propose(self, images: Tensor) -> Proposals:
        """Score and refine proposals for images (B, 1, S, S), in evaluation mode."""

    @abstractmethod
    def embed(self, maps: Any, boxes: Sequence[Tensor]) -> Tensor:  # noqa: ANN401
        """Pool boxes, per image (P, 4), and return the second layer's features (sum of P, 1024)."""

    def forward(
        self, images: Tensor, boxes: Tensor | None = None
    ) -> dict[str, Tensor] | Detections:
        """Return the losses where boxes are given, else the detections."""
        return self.detect(images) if boxes is None else self.losses(images, boxes)

    def detect(self, images: Tensor) -> Detections:
        """Find the best box of each region in images (B, 1, S, S) and pool its features there.

        Keeping the best box per region is what suppressing its weaker neighbours comes to, so no
        overlap threshold enters.
        """
        if self.training:
            raise RuntimeError("a detector detects in evaluation mode: call eval() first")
        maps, scores, boxes = self.propose(images)
        found = [
            best_boxes(of_image, where, self.architecture.confidence)
            for of_image, where in zip(scores, boxes, strict=True)
        ]
        best, score, present = (torch.stack(column) for column in zip(*found, strict=True))
        features = images.new_zeros(*present.shape, FEATURES, dtype=torch.float32)
        pooled = self.embed(maps, [box[here] for box, here in zip(best, present, strict=True)])
        features[present] = pooled.float()
        return Detections(best, features, score, present)


def best_boxes(scores: Tensor, boxes: Tensor, confidence: float) -> tuple[Tensor, Tensor, Tensor]:
    """Choose for each region the box of highest probability, of scores (P, R), boxes (P, R, 4).

    Returns boxes (R, 4), scores (R,) and present (R,): the score exceeds `confidence` and the box
    has an area.
    """
    regions = scores.shape[1]
    if len(scores) == 0:
        empty = scores.new_zeros(regions, dtype=torch.float32)
        return empty[:, None].expand(-1, 4), empty, empty > 0
    best, index = scores.float().max(dim=0)
    chosen = boxes[index, torch.arange(regions, device=boxes.device)].float()
    present = (best > confidence) & (chosen[:, 2:] > chosen[:, :2]).all(dim=1)
    return torch.where(present[:, None], chosen, 0.0), best, present


def region_targets(boxes: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Turn boxes (B, R, 4) into boxes (P, 4) and region indices (P,) per image.

    Boxes are clipped to the view; those absent (NaN) and those under one pixel wide or high,
    which leave nothing to learn, are dropped.
    """
    clipped = boxes.float().clamp(0, size)
    usable = (clipped[..., 2:] - clipped[..., :2] >= 1).all(dim=-1)  # False where NaN
    return [(box[here], here.nonzero()[:, 0]) for box, here in zip(clipped, usable, strict=True)]
