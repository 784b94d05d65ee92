"""The harness's checks of the model; with shuffled masks and without any, -m slow."""

import pytest
from cxr_irnet.model import CXRIRNet

from harness.testing import conformance

SMALL = {
    "size": 72,
    "crop": 64,
    "batch_size": 8,
    "epochs": 1,
    "unet_batch_size": 4,
    "unet_epochs": 1,
    "weights": "none",
}


@conformance(CXRIRNet(**SMALL))
def test_conformance(check):
    check()


@pytest.mark.slow
@conformance(
    CXRIRNet(**SMALL, masks="shuffled", weighting="hard"),
    CXRIRNet(**SMALL, weighting="none"),
)
def test_conformance_of_the_controls(check):
    check()
