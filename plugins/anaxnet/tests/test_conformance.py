import importlib.util

import pytest
from anaxnet.globalview import GlobalView
from anaxnet.model import AnaXNet, CheXGCN, FasterRCNN

from harness.testing import conformance

TINY = {
    "depth": 18,
    "weights": "none",
    "norm": "group",
    "size": 64,
    "rois": 8,
    "proposals": 16,
    "confidence": 0.01,
    "detector_batch_size": 4,
    "detector_lr": 1e-3,
    "lr": 1e-3,
}


@conformance(AnaXNet(detector="torchvision", **TINY))
def test_conformance(check):
    check()


@pytest.mark.slow
@conformance(
    FasterRCNN(detector="torchvision", **TINY),
    CheXGCN(detector="torchvision", embedding="learned", **TINY),
    GlobalView(weights="none", size=64),
)
def test_conformance_of_the_other_heads(check):
    check()


@pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None, reason="detectron2 is not installed"
)
@conformance(
    AnaXNet(
        detector="detectron2",
        graph="random",
        combine="residual",
        missing_in_loss=False,
        **TINY | {"norm": "batch"},
    )
)
def test_conformance_on_detectron2(check):
    check()
