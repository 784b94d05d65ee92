"""What the heads get of a detector's findings: one half precision row per region.

A row is the region's 1024 features, its box as shares of the view, its score and whether it was
found; features and box are zero where it was not.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anaxnet.detectors.interface import FEATURES, Detections
from harness import Samples, View

COLUMN = "regions"
ROW = FEATURES + 6


class Regions(NamedTuple):
    """The rows of B images taken apart, in float32."""

    features: Tensor  # (B, R, 1024)
    boxes: Tensor  # (B, R, 4) in pixels of the view, NaN where nothing was found
    scores: Tensor  # (B, R)
    present: Tensor  # (B, R) bool


def pack(found: Detections, size: int) -> Tensor:
    """Turn detections in a view of `size` pixels into rows (B, R, 1030), float16."""
    flags = torch.stack([found.scores, found.present.float()], dim=-1)
    rows = torch.cat([found.features, found.boxes / size, flags], dim=-1)
    return rows.clamp(max=torch.finfo(torch.float16).max).half()


def unpack(rows: Tensor, size: int) -> Regions:
    """Turn rows (B, R, 1030) into regions in a view of `size` pixels."""
    features, boxes, flags = rows.float().split([FEATURES, 4, 2], dim=-1)
    present = flags[..., 1] > 0.5
    return Regions(
        features, (boxes * size).where(present[..., None], torch.nan), flags[..., 0], present
    )


def gather(samples: Samples, index: Tensor) -> Tensor:
    """Return the rows (B, R, 1030) that a detector left of the samples at `index` (B,)."""
    return torch.from_numpy(samples.columns[COLUMN].gather(index.cpu().numpy()))


def find_again(samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
    """Return the boxes (N, R, 4) in original pixels, scores and presence (N, R) of samples."""
    column = samples.columns[COLUMN]
    few = torch.from_numpy(column.values[:, :, FEATURES:][column.rows]).double()
    view = samples.view or View()
    maps = view.to_original(samples.need("sizes"))
    return in_original(few[..., :4] * view.size, maps), few[..., 4], few[..., 5] > 0.5


def in_original(boxes: Tensor, to_original: Tensor) -> Tensor:
    """Bring upright boxes (B, R, 4) of a view into original pixels by maps (B, 2, 3)."""
    scale = torch.diagonal(to_original[:, :, :2], dim1=1, dim2=2)
    return boxes * scale.repeat(1, 2)[:, None] + to_original[:, :, 2].repeat(1, 2)[:, None]


def rows_only(samples: Samples) -> Samples:
    """Return samples whose images are blank, so that training on rows reads no image store."""
    blank = np.broadcast_to(np.zeros((1, 8, 8), dtype=np.uint8), (len(samples), 8, 8))
    bare = samples.with_column("images", blank, digest="blank")
    return Samples(bare.columns, bare.space, View(8))
