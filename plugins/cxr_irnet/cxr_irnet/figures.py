"""Organ masks and what they do to the features (Fig. 2); needs matplotlib."""

from collections.abc import Iterator

from matplotlib.figure import Figure
from torch import Tensor

from harness.pictures.canvas import enlarged, in_bytes
from harness.pictures.figure import panels, short, show
from harness.pictures.overlay import blended, grey, tinted

from .network import CXRIRNet, mask_weights

COLOURS = ((80, 140, 255), (80, 220, 140), (255, 80, 80))  # left lung, right lung, heart


def mask_figures(
    network: CXRIRNet, images: Tensor, organs: Tensor, weighing: Tensor, names: list[str]
) -> Iterator[tuple[str, Figure]]:
    """Yield a picture for each of the images (B, 1, H, W) with its `organs` (B, 3, H, W).

    From left to right: the crop; left lung (blue), right lung (green) and heart (red); the weights
    M_g of Eq. 3; the mean over channels of the features before and after weighting. `weighing` are
    the masks (B, M, H, W) that weigh: the image's own, or those of another.
    """
    features = network.feature_act(network.backbone(network.attention(network.normalise(images))))
    size = (features.shape[2], features.shape[3])
    weights = mask_weights(weighing, size, hard=network.weighting == "hard")
    maps = [features.mean(1), (features * weights).mean(1)]
    cells = weights[:, 0].float().cpu().numpy()
    for row, name in enumerate(names):
        image = in_bytes(enlarged(images[row, 0].float().cpu().numpy()))
        masked = grey(image)
        for organ, colour in zip(organs[row].float().cpu().numpy(), COLOURS, strict=True):
            masked = tinted(masked, enlarged(organ) > 0.5, colour)
        figure, axes = panels(5)
        show(axes[0], image, short(name))
        show(axes[1], masked, "masks")
        show(axes[2], in_bytes(cells[row]), "weights of cells")
        for axis, heat, title in zip(axes[3:], maps, ("features", "weighted"), strict=True):
            show(axis, blended(image, enlarged(heat[row].float().cpu().numpy())), title)
        yield f"{name}-masks", figure
