"""The harness's checks of every model that this plugin offers; the deepest wait for -m slow."""

import pytest
from baselines.model import AGCNN, DCNN, CheXNet, Metadata, SENet

from harness.testing import conformance

SMALL = {"size": 72, "crop": 64, "batch_size": 8, "epochs": 1, "weights": "none"}


@conformance(DCNN(**SMALL), Metadata(batch_size=8, epochs=1))
def test_conformance(check):
    check()


@pytest.mark.slow
@conformance(CheXNet(**SMALL), SENet(**SMALL), AGCNN(**SMALL, local_batch_size=8))
def test_conformance_of_the_deepest(check):
    check()
