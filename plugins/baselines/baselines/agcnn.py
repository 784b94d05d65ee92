"""AG-CNN of Guan et al. (2018, 2020): a global, a local and a fusion branch, trained in turn.

The heat map of the global branch says which part of the image the local branch sees in full size.
A branch is any network of images (B, 1, H, W) that gives `features(images)` (B, D, h, w) and, when
called, its logits and class maps as `Output` has them.
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F


class Output(NamedTuple):
    """Hold what a network says of B radiographs and C classes."""

    logits: Tensor  # (B, C)
    maps: Tensor  # (B, C, h, w), higher means more disease


def heat_map(features: Tensor) -> Tensor:
    """Return the largest magnitude over channels, (B, D, h, w) to (B, h, w)."""
    return features.abs().amax(1)


def largest_component(mask: Tensor) -> list[float]:
    """Return the box x1, y1, x2, y2 around the largest component of a mask (H, W).

    Positions that touch at a corner belong together. An empty mask gives the whole frame.
    """
    labels, count = ndimage.label(mask.cpu().numpy(), structure=np.ones((3, 3)))
    if count == 0:
        return [0.0, 0.0, float(mask.shape[1]), float(mask.shape[0])]
    largest = np.bincount(labels.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(labels)[largest]
    return [float(edge) for edge in (columns.start, rows.start, columns.stop, rows.stop)]


def attended_boxes(heat: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Return for each heat map (B, h, w) the box of its hottest part in an image, (B, 4) pixels.

    Maps are brought to `size` (height, width) and to [0, 1]; the part is the largest component
    above `threshold`, and the whole image where a map is constant.
    """
    heat = F.interpolate(heat[:, None].float(), size=size, mode="bilinear")[:, 0]
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    masks = heat - low > threshold * (high - low)
    return torch.tensor([largest_component(mask) for mask in masks], device=heat.device)


def crop_and_resize(images: Tensor, boxes: Tensor) -> Tensor:
    """Return the part of each image (B, 1, H, W) inside its box (B, 4), enlarged to H x W."""
    extent = boxes.new_tensor([images.shape[3], images.shape[2]])
    scale = (boxes[:, 2:] - boxes[:, :2]) / extent
    shift = (boxes[:, 2:] + boxes[:, :2]) / extent - 1
    affine = torch.cat([torch.diag_embed(scale), shift[:, :, None]], dim=2).to(images.dtype)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class LocalBranch(nn.Module):
    """Classify the part of an image to which a trained global branch attends.

    The global branch is not trained and stays in evaluation mode.
    """

    def __init__(self, guide: nn.Module, branch: nn.Module, threshold: float = 0.7) -> None:
        """Let `branch` see what the trained `guide` attends to; `threshold` is tau."""
        super().__init__()
        self.threshold = threshold
        self.guide = guide.requires_grad_(False)
        self.branch = branch

    def train(self, mode: bool = True) -> Self:
        """Set training mode of the local branch alone."""
        super().train(mode)
        self.guide.eval()
        return self

    @torch.no_grad()
    def crops(self, images: Tensor, features: Tensor) -> Tensor:
        """Return the attended parts (B, 1, H, W), given the global branch's feature maps."""
        size = (images.shape[2], images.shape[3])
        return crop_and_resize(images, attended_boxes(heat_map(features), size, self.threshold))

    def forward(self, images: Tensor) -> Output:
        """Return the local logits (B, C) and class maps, these over the crop."""
        return self.branch(self.crops(images, self.guide.features(images)))


class FusionBranch(nn.Module):
    """Classify the pooled features of both trained branches together.

    Only the classifier is trained; both branches stay in evaluation mode.
    """

    def __init__(self, classes: int, local: LocalBranch, channels: int = 1024) -> None:
        """Build the branch on a local branch and its guide, of `channels` features each."""
        super().__init__()
        self.local = local.requires_grad_(False)
        self.classifier = nn.Linear(2 * channels, classes)

    def train(self, mode: bool = True) -> Self:
        """Set training mode of the classifier alone."""
        super().train(mode)
        self.local.eval()
        return self

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and the class maps of the global features under their weights."""
        whole = self.local.guide.features(images)
        part = self.local.branch.features(self.local.crops(images, whole))
        logits = self.classifier(torch.cat([whole.mean((2, 3)), part.mean((2, 3))], dim=1))
        weight = self.classifier.weight[:, : whole.shape[1], None, None]
        return Output(logits, F.conv2d(whole, weight))
