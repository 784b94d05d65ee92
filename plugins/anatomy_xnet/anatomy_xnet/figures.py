"""Figures 4 and 5 of the paper, one picture per image; needs matplotlib."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from anatomy_xnet.model import ANATOMY, AnatomyXNet
from harness import Batch, Samples, center_crop
from harness.pictures.canvas import enlarged, in_bytes
from harness.pictures.figure import explain_boxes, list_findings, panels, short, show
from harness.pictures.overlay import TRUE, blended, grey, tinted, with_box

LUNGS, HEART = (80, 140, 255), (255, 80, 80)
TITLES = ("masks", "dense block 4", "after AAA", "after PWAP")


def picture(model: AnatomyXNet, batch: Batch, truth: Samples, row: int) -> Figure:
    """Return one picture of an image, by a trained model in evaluation mode.

    From left to right: the crop with the true boxes, its masks of lungs (blue) and heart (red), the
    mean over channels of dense block 4, of the attention module's output, and of dense block 4
    weighed by PWAP; then the findings of highest score, in red where the label says so.
    """
    scores, crop, maps = _look(model, batch.part(row, row + 1))
    image = in_bytes(enlarged(crop.images[0, 0].float().cpu().numpy()))
    lungs, heart = (enlarged(organ / 255) for organ in crop.spatial[ANATOMY][0].cpu().numpy())
    masked = tinted(tinted(grey(image), lungs, LUNGS), heart, HEART)
    heated = [blended(image, enlarged(values.float().cpu().numpy())) for values in maps]
    figure, axes = panels(6)
    show(axes[0], _boxed(image, model, truth, row), short(truth.names[row]))
    for axis, shown, title in zip(axes[1:], (masked, *heated), TITLES, strict=False):
        show(axis, shown, title)
    labels = truth.labels
    list_findings(axes[5], truth.space.classes, scores, None if labels is None else labels[row])
    explain_boxes(axes[5])
    return figure


def _look(model: AnatomyXNet, batch: Batch) -> tuple[np.ndarray, Batch, list[Tensor]]:
    """Return the scores (C,), the crop with its masks and the three maps (S, S)."""
    scores = model.predict(batch).scores
    assert scores is not None
    crop = center_crop(replace(batch, spatial={ANATOMY: model.anatomy(batch)}), model.crop)
    masks = model.masks_of(crop)
    assert masks is not None
    seen = model.network.explain(crop.images, masks)
    maps = [seen.feature[0], seen.recalibrated[0], seen.weighted[0]]
    return scores[0].float().cpu().numpy(), crop, maps


def _boxed(image: np.ndarray, model: AnatomyXNet, truth: Samples, row: int) -> np.ndarray:
    """Return the crop (H, W, 3) with the true boxes that lie in it."""
    crop = center_crop(truth.batch(np.array([row])), model.crop)
    shown = grey(image)
    if crop.boxes is not None and crop.box_classes is not None:
        for box in crop.boxes[0][crop.box_classes[0] >= 0].numpy():
            shown = with_box(shown, box * len(image) / model.crop, TRUE)
    return shown
