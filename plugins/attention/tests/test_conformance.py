"""The harness's checks of every model that this plugin offers, two of them with -m slow."""

import pytest
from attention.model import AttentionGate, ResNet34, SpaceAttention

from harness.testing import conformance

SMALL = {"size": 64, "batch_size": 8, "epochs": 1, "weights": "none"}


@conformance(SpaceAttention(**SMALL))
def test_conformance(check):
    check()


@pytest.mark.slow
@conformance(ResNet34(**SMALL), AttentionGate(**SMALL))
def test_conformance_of_the_others(check):
    check()
