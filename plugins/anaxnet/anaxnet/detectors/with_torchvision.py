"""The region detector on torchvision's Faster R-CNN."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d, clip_boxes_to_image

from anaxnet.detectors.interface import (
    Architecture,
    Norm,
    Proposals,
    RegionDetector,
    region_targets,
)

NAMES = {
    "loss_classifier": "classifier",
    "loss_box_reg": "box",
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "proposal",
}


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(32, channels)


NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "frozen": FrozenBatchNorm2d,
    "batch": nn.BatchNorm2d,
    "group": _group_norm,
}


def faster_rcnn(architecture: Architecture) -> FasterRCNN:
    """Build torchvision's model, its own resizing pinned to the view and all layers untrained."""
    frozen = architecture.norm == "frozen"
    backbone = resnet_fpn_backbone(
        backbone_name=f"resnet{architecture.depth}",
        weights=None,
        norm_layer=NORMS[architecture.norm],
        trainable_layers=3 if frozen else 5,
    )
    sizes = tuple((size,) for size in architecture.anchors)
    return FasterRCNN(
        backbone,
        num_classes=architecture.regions + 1,
        min_size=architecture.size,
        max_size=architecture.size,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        rpn_pre_nms_top_n_test=architecture.proposals,
        rpn_post_nms_top_n_test=architecture.proposals,
        box_batch_size_per_image=architecture.rois,
    )


class TorchvisionDetector(RegionDetector):
    """Region detector that runs torchvision's parts one by one on images of the view's size."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.model = faster_rcnn(architecture)
        self.register_buffer("mean", torch.tensor(self.model.transform.image_mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(self.model.transform.image_std).view(3, 1, 1))

    def _image_list(self, images: Tensor) -> ImageList:
        normal = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        return ImageList(normal, [(images.shape[2], images.shape[3])] * len(images))

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the four named losses; see the interface."""
        listed = self._image_list(images)
        targets = [
            {"boxes": box, "labels": region + 1}  # 0 is the background
            for box, region in region_targets(boxes, self.architecture.size)
        ]
        maps = self.model.backbone(listed.tensors)
        proposals, losses = self.model.rpn(listed, maps, targets)
        _, more = self.model.roi_heads(maps, proposals, listed.image_sizes, targets)
        return {NAMES[name]: loss for name, loss in (losses | more).items()}

    def propose(self, images: Tensor) -> Proposals:
        """Score and refine proposals; see the interface."""
        listed = self._image_list(images)
        maps = self.model.backbone(listed.tensors)
        proposals, _ = self.model.rpn(listed, maps)
        heads = self.model.roi_heads
        logits, deltas = heads.box_predictor(self.embed(maps, proposals))
        scores = logits.softmax(dim=-1)[:, 1:]
        boxes = heads.box_coder.decode(deltas, proposals)[:, 1:]
        boxes = clip_boxes_to_image(boxes, listed.image_sizes[0])
        counts = [len(proposal) for proposal in proposals]
        return Proposals(maps, scores.split(counts), boxes.split(counts))

    def embed(self, maps: Any, boxes: Sequence[Tensor]) -> Tensor:  # noqa: ANN401
        """Pool boxes and return their features; see the interface."""
        size = self.architecture.size
        heads = self.model.roi_heads
        return heads.box_head(heads.box_roi_pool(maps, list(boxes), [(size, size)] * len(boxes)))
