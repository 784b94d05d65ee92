"""The paper's pictures, from arrays; needs matplotlib, the extra `figures` of this distribution."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

Array = npt.NDArray[np.floating]


def _panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2 * columns, 2 * rows), layout="compressed")
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels:
        panel.set_axis_off()
    return figure, panels


def _radiograph(panel: Axes, image: Array) -> None:
    height, width = image.shape
    panel.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0))


def _overlay(panel: Axes, heat: Array, image: Array) -> None:
    height, width = image.shape
    panel.imshow(heat, cmap="jet", alpha=0.4, vmin=0, extent=(0, width, height, 0))


def alignment_figure(original: Array, aligned: Array) -> Figure:
    """Show images (N, H, W) in [0, 1] above the same images aligned (Fig. 4)."""
    figure, panels = _panels(2, len(original))
    for panel, image in zip(panels, (*original, *aligned), strict=True):
        _radiograph(panel, image)
    return figure


def masks_figure(anchor: Array, masks: Array, classes: Sequence[str]) -> Figure:
    """Show the anchor (H, W) and masks (C, p, p) over it, four to a row (Fig. 3 and 7)."""
    figure, panels = _panels(-(-(len(masks) + 1) // 4), 4)
    for panel, name in zip(panels, ("anchor", *classes), strict=False):
        _radiograph(panel, anchor)
        panel.set_title(name, fontsize="small")
    for panel, mask in zip(panels[1:], masks, strict=False):
        _overlay(panel, mask, anchor)
    return figure


def boxes_figure(
    images: Array, heats: Array, truths: Array, predictions: Array, titles: Sequence[str]
) -> Figure:
    """Show heat maps (N, H, W) on their images with true boxes red and predicted black (Fig. 6).

    Boxes (N, 4) are x1, y1, x2, y2 in pixels of the images; NaN where none was predicted.
    """
    figure, panels = _panels(1, len(images))
    for panel, image, heat, title in zip(panels, images, heats, titles, strict=True):
        _radiograph(panel, image)
        _overlay(panel, heat, image)
        panel.set_title(title, fontsize="small")
    for boxes, colour in ((truths, "red"), (predictions, "black")):
        for panel, (x1, y1, x2, y2) in zip(panels, boxes, strict=True):
            if not np.isnan(x1):
                panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=2))
    return figure
