"""The region detector on detectron2's Faster R-CNN; importing this file needs detectron2."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from anaxnet.detectors.interface import Architecture, Proposals, RegionDetector, region_targets


@contextmanager
def _deprecations_ignored() -> Iterator[None]:
    """Ignore that detectron2 calls what newer PyTorch deprecates: no user can change it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")
        yield


with _deprecations_ignored():
    from detectron2.config import CfgNode, get_cfg
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

NAMES = {
    "loss_cls": "classifier",
    "loss_box_reg": "box",
    "loss_rpn_cls": "objectness",
    "loss_rpn_loc": "proposal",
}
NORMS = {"frozen": "FrozenBN", "batch": "BN", "group": "GN"}


def config(architecture: Architecture) -> CfgNode:
    """Write detectron2's configuration of a Faster R-CNN with a ResNet feature pyramid."""
    cfg = get_cfg()
    frozen = architecture.norm == "frozen"
    model = cfg.MODEL
    model.DEVICE = "cpu"  # where it is built; the training loop moves it
    model.MASK_ON = False
    model.BACKBONE.NAME = "build_resnet_fpn_backbone"
    model.BACKBONE.FREEZE_AT = 2 if frozen else 0
    model.PIXEL_STD = [1.0, 1.0, 1.0] if frozen else [57.375, 57.120, 58.395]
    model.RESNETS.DEPTH = architecture.depth
    model.RESNETS.NORM = NORMS[architecture.norm]
    model.RESNETS.RES2_OUT_CHANNELS = 64 if architecture.depth == 18 else 256
    model.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.ANCHOR_GENERATOR.SIZES = [[size] for size in architecture.anchors]
    _configure_heads(model, architecture)
    return cfg


def _configure_heads(model: CfgNode, architecture: Architecture) -> None:
    model.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    model.RPN.PRE_NMS_TOPK_TRAIN = 2000
    model.RPN.POST_NMS_TOPK_TRAIN = 1000
    model.RPN.PRE_NMS_TOPK_TEST = architecture.proposals
    model.RPN.POST_NMS_TOPK_TEST = architecture.proposals
    model.ROI_HEADS.NAME = "StandardROIHeads"
    model.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    model.ROI_HEADS.NUM_CLASSES = architecture.regions
    model.ROI_HEADS.BATCH_SIZE_PER_IMAGE = architecture.rois
    model.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    model.ROI_BOX_HEAD.NUM_FC = 2
    model.ROI_BOX_HEAD.POOLER_RESOLUTION = 7


def checkpoint_url() -> str:
    """Return where detectron2's model zoo keeps the weights of this detector, trained on COCO."""
    with _deprecations_ignored():
        from detectron2 import model_zoo

        return str(model_zoo.get_checkpoint_url("COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml"))


class Detectron2Detector(RegionDetector):
    """Region detector around detectron2's own model, trained by whoever calls its losses."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.model = build_model(config(architecture))

    @staticmethod
    def _inputs(images: Tensor) -> list[dict[str, Any]]:
        # Grey in three channels is the same in detectron2's BGR as in RGB; its pixels end at 255.
        return [{"image": image} for image in images.expand(-1, 3, -1, -1) * 255]

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the four named losses; see the interface."""
        inputs = self._inputs(images)
        targets = region_targets(boxes, self.architecture.size)
        for item, (box, region) in zip(inputs, targets, strict=True):
            item["instances"] = Instances(
                tuple(images.shape[2:]), gt_boxes=Boxes(box), gt_classes=region
            )
        # detectron2's heads write their statistics into the storage around them.
        with EventStorage(), _deprecations_ignored():
            losses = self.model(inputs)
        return {NAMES[name]: loss for name, loss in losses.items()}

    def propose(self, images: Tensor) -> Proposals:
        """Score and refine proposals; see the interface."""
        listed = self.model.preprocess_image(self._inputs(images))
        maps = self.model.backbone(listed.tensor)
        with _deprecations_ignored():
            proposals, _ = self.model.proposal_generator(listed, maps, None)
        predictor = self.model.roi_heads.box_predictor
        predictions = predictor(self._embed(maps, [item.proposal_boxes for item in proposals]))
        scores = [score[:, :-1] for score in predictor.predict_probs(predictions, proposals)]
        boxes = [
            box.view(len(box), -1, 4).clamp(0, self.architecture.size)
            for box in predictor.predict_boxes(predictions, proposals)
        ]
        return Proposals(maps, scores, boxes)

    def embed(self, maps: Any, boxes: Sequence[Tensor]) -> Tensor:  # noqa: ANN401
        """Pool boxes and return their features; see the interface."""
        return self._embed(maps, [Boxes(box) for box in boxes])

    def _embed(self, maps: dict[str, Tensor], boxes: list[Boxes]) -> Tensor:
        heads = self.model.roi_heads
        return heads.box_head(heads.box_pooler([maps[f] for f in heads.box_in_features], boxes))
