"""Figures 4 and 5 of the paper, one picture per image; needs matplotlib."""

from __future__ import annotations

from dataclasses import replace

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from anatomy_xnet.model import ANATOMY, AnatomyXNet
from harness import Batch, SettingError, center_crop

TOP = 5


def picture(model: AnatomyXNet, batch: Batch, classes: tuple[str, ...]) -> Figure:
    """Return one picture of the first image of a batch, by a trained model.

    From left to right: the crop, its masks of lungs (blue) and heart (red), the mean over channels
    of dense block 4, of the attention module's output, and of dense block 4 weighed by PWAP; then
    the findings of highest score, in red where the label says so.

    Raises:
        SettingError: the model has no attention to show.
    """
    if model.level == 0:
        raise SettingError("level=0 has no anatomy aware attention to draw")
    batch = batch.part(0, 1)
    crop, scores, maps = _look(model, batch)
    figure = Figure(figsize=(15, 2.8), layout="constrained")
    axes = figure.subplots(1, 6)
    image = crop.images[0, 0].cpu()
    axes[0].imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
    axes[1].imshow(_tinted(image, crop.spatial[ANATOMY][0].cpu() / 255).numpy())
    for axis, values in zip(axes[2:5], maps, strict=True):
        axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
        axis.imshow(_resized(values, len(image)).numpy(), cmap="jet", alpha=0.5, vmin=0, vmax=1)
    titles = ("image", "masks", "dense block 4", "after AAA", "after PWAP", "")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    labels = None if batch.labels is None else batch.labels[0].tolist()
    _list(axes[5], scores, labels, classes)
    return figure


def _list(axis: Axes, scores: Tensor, labels: list[float] | None, classes: tuple[str, ...]) -> None:
    """Write the findings of highest score, those that the labels confirm in red."""
    for line, place in enumerate(scores.argsort(descending=True)[:TOP].tolist()):
        true = labels is not None and labels[place] == 1
        text, colour = f"{classes[place]}  {scores[place]:.3f}", "tab:red" if true else "black"
        axis.text(0, 0.9 - 0.18 * line, text, color=colour, fontsize=9)


def _look(model: AnatomyXNet, batch: Batch) -> tuple[Batch, Tensor, list[Tensor]]:
    """Return the crop with its masks, the scores (C,) and the three maps (S, S)."""
    networks = (model.network, model.segmenter)
    modes = [network.training for network in networks]
    try:
        for network in networks:
            network.eval()
        with torch.inference_mode():
            scores = model.predict(batch).scores[0].cpu()
            masked = replace(batch, spatial={ANATOMY: model.anatomy(batch)})
            crop = center_crop(masked, model.crop)
            seen = model.network.explain(crop.images, model.masks_of(crop))
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)
    return crop, scores, [seen.feature[0], seen.recalibrated[0], seen.weighted[0]]


def _resized(values: Tensor, size: int) -> Tensor:
    """Return a map scaled to [0, 1] at (size, size)."""
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low).clamp(min=1e-12)
    return functional.interpolate(scaled[None, None].cpu(), size=(size, size), mode="bilinear")[
        0, 0
    ]


def _tinted(image: Tensor, masks: Tensor) -> Tensor:
    """Return the image (H, W, 3) with lungs in blue and the heart in red."""
    lungs, heart = 0.4 * masks
    shown = image[..., None].expand(-1, -1, 3) * (1 - lungs - heart).clamp(min=0)[..., None]
    return (shown + torch.stack([heart, torch.zeros_like(heart), lungs], -1)).clamp(0, 1)
