import pytest
from dm_attention.aligned import ResNet50
from dm_attention.model import DMAttention, DMPrior

from harness.testing import conformance

CLASSIFIER = {"size": 64, "weights": "none", "epochs": 50, "batch_size": 8, "lr": 3e-3}
ALIGNED = {**CLASSIFIER, "alignment_weights": "none", "alignment_epochs": 5}


@pytest.mark.usefixtures("slim_networks")
@conformance(
    ResNet50(**CLASSIFIER, augment="affine"),
    DMAttention(**ALIGNED, retrain_epochs=10, require_label=True),
    DMAttention(**ALIGNED, retrain_epochs=10, masks="pseudo", alignment_optimizer="adam"),
)
def test_conformance(check):
    check()


@pytest.mark.usefixtures("slim_networks")
@conformance(
    DMPrior(**ALIGNED),
    expected={
        "same_seed_same_scores": "its scores are prevalences: no seed changes them",
        "learns": "it never looks at the image",
    },
)
def test_conformance_of_the_control(check):
    check()
