from functools import partial

from anatomy_xnet.model import AnatomyXNet

from harness.testing import conformance

small = partial(
    AnatomyXNet,
    size=48,
    crop=32,
    mask_size=14,
    batch_size=8,
    accumulate=1,
    learning_rate=1e-3,
    reduction=8.0,
    weights="none",
    segmentation_width=4,
    segmentation_blocks=1,
)


@conformance(small(), small(level=0), small(level=1, masks="shuffled", tta="ten-crop"))
def test_conformance(check):
    check()
