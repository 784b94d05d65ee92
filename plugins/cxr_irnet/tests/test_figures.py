import numpy as np
import pytest
import torch

figures = pytest.importorskip("cxr_irnet.figures")

from cxr_irnet.network import CXRIRNet  # noqa: E402


@pytest.mark.parametrize("weighting", ["soft", "hard"])
def test_masks_and_weights_lie_over_the_image(weighting):
    network = CXRIRNet(2, weighting=weighting).eval()
    organs = torch.zeros(2, 3, 64, 64)
    organs[0, 2, :32, 32:] = 1  # the heart fills the right upper quarter, as cell 0, 1 of 2 x 2
    organs[0, 0, 32:48, :32] = 1  # the left lung half of the left lower one
    with torch.inference_mode():
        made = list(
            figures.mask_figures(network, torch.zeros(2, 1, 64, 64), organs, organs, ["a", "b"])
        )
    assert [name for name, _ in made] == ["a-masks", "b-masks"]
    image, masks, weights, *_ = (axis.images[0].get_array() for axis in made[0][1].axes)
    assert (image == 0).all()
    side = len(masks)
    assert (masks[side // 8, 7 * side // 8] == np.round(0.4 * np.array(figures.COLOURS[2]))).all()
    assert (masks[5 * side // 8, side // 8] == np.round(0.4 * np.array(figures.COLOURS[0]))).all()
    assert (masks[7 * side // 8] == 0).all()
    half = 128 if weighting == "soft" else 255
    assert weights.tolist() == [[0, 255], [half, 0]]
