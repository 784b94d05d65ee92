import pytest
from dm_attention import network
from dm_attention.model import AlignedResNet50, DMAttention, DMPrior, ResNet50
from torchvision.models.resnet import BasicBlock, ResNet

from harness.testing import conformance

CLASSIFIER = {"size": 64, "weights": "none", "epochs": 1, "batch_size": 8}
ALIGNED = {**CLASSIFIER, "alignment_weights": "none", "alignment_epochs": 1}


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    """ResNet-10: what is checked is how stages and networks are joined, not the networks."""
    for name in ("resnet18", "resnet50"):
        monkeypatch.setattr(network, name, lambda weights: ResNet(BasicBlock, [1, 1, 1, 1]))


@conformance(
    ResNet50(**CLASSIFIER, augment="affine"),
    AlignedResNet50(**ALIGNED, alignment_optimizer="adam"),
    DMAttention(**ALIGNED, retrain_epochs=1, require_label=True),
)
def test_conformance(check):
    check()


@conformance(
    DMPrior(**ALIGNED),
    expected={
        "same_seed_same_scores": "its scores are prevalences: no seed changes them",
        "learns": "it never looks at the image",
    },
)
def test_conformance_of_the_control(check):
    check()
