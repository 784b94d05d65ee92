"""The harness's checks of every model that this plugin offers."""

from baselines.model import AGCNN, DCNN, CheXNet, Metadata, SENet

from harness.testing import conformance

SMALL = {"size": 72, "crop": 64, "batch_size": 8, "epochs": 1, "weights": "none"}


@conformance(
    DCNN(**SMALL),
    CheXNet(**SMALL),
    SENet(**SMALL),
    AGCNN(**SMALL, local_batch_size=8),
    Metadata(batch_size=8, epochs=1),
)
def test_conformance(check):
    check()
