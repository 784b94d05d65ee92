"""The paper's Figures 3, 4 and 7, from arrays; needs matplotlib, the extra `figures`."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure

from harness.pictures.canvas import enlarged, in_bytes
from harness.pictures.figure import panels, show
from harness.pictures.overlay import blended

Array = npt.NDArray[Any]
MOST = 8  # images in one figure


def alignment_figure(original: Array, aligned: Array, anchor: Array) -> Figure:
    """Show images (N, H, W) in [0, 1] above the same images aligned, the anchor last (Fig. 4)."""
    count = min(MOST, len(original))
    figure, axes = panels(count + 1, rows=2)
    for row, (images, what) in enumerate(((original, "original"), (aligned, "aligned"))):
        for axis, image in zip(axes[row * (count + 1) :], images[:count], strict=False):
            show(axis, in_bytes(enlarged(image)), what)
    show(axes[-1], in_bytes(enlarged(anchor)), "anchor")
    return figure


def masks_figure(anchor: Array, masks: Array, classes: Sequence[str]) -> Figure:
    """Show the anchor (H, W) and masks (C, p, p) over it, five to a row (Fig. 3 and 7)."""
    columns = 5
    figure, axes = panels(columns, rows=-(-(len(masks) + 1) // columns))
    shown = in_bytes(enlarged(anchor))
    show(axes[0], shown, "anchor")
    for axis, mask, name in zip(axes[1:], masks, classes, strict=False):
        show(axis, blended(shown, enlarged(mask)), name)
    return figure
