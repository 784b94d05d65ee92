"""What a model says of a batch of radiographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Whatever the model offers of B images.

    Probabilities are float32, taken to float32 before the sigmoid.

    ``scores`` (B, C) image-level probabilities; ``maps`` (B, C, h, w) heat maps, higher is more
    disease, over the field of the model's own input whose pixels ``to_original`` (B, 2, 3) maps to
    original ones for an input of ``map_frame`` (height, width) pixels; ``region_scores`` (B, R, L)
    with ``region_present`` (B, R) and ``region_boxes`` (B, R, 4) in original pixels; ``masks`` (B,
    M, h, w) organ probabilities over the same field, of the M ``organs``: a name for each, and the
    dataset's organs whose union it is, e.g. {"lungs": ("left_lung", "right_lung")}.
    """

    scores: Tensor | None = None
    maps: Tensor | None = None
    to_original: Tensor | None = None
    map_frame: tuple[int, int] | None = None
    region_scores: Tensor | None = None
    region_present: Tensor | None = None
    region_boxes: Tensor | None = None
    masks: Tensor | None = None
    organs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
