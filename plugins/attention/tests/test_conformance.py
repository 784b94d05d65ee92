"""The harness's checks of every model that this plugin offers."""

from attention.model import AttentionGate, ResNet34, SpaceAttention

from harness.testing import conformance

SMALL = {"size": 64, "batch_size": 8, "epochs": 1, "weights": "none"}


@conformance(ResNet34(**SMALL), SpaceAttention(**SMALL), AttentionGate(**SMALL))
def test_conformance(check):
    check()
