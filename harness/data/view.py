"""The size and shape in which a model wants its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from harness.errors import SettingError

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class View:
    """A square of ``size`` pixels.

    ``stretch`` fills it, ``letterbox`` keeps the aspect and pads with black.
    """

    size: int = 224
    aspect: Literal["stretch", "letterbox"] = "stretch"

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SettingError(f"images of {self.size} pixels a side are too small: at least 8")
        if self.aspect not in ("stretch", "letterbox"):
            raise SettingError(f"the aspect is stretch or letterbox, not {self.aspect!r}")

    def placement(self, height: float, width: float) -> tuple[float, float, float, float]:
        """Return the scales (x, y) from original to view and the offsets (x, y) in view pixels."""
        if self.aspect == "stretch":
            return self.size / width, self.size / height, 0.0, 0.0
        inner_h, inner_w = self._inner(height, width)
        return (
            inner_w / width,
            inner_h / height,
            float((self.size - inner_w) // 2),
            float((self.size - inner_h) // 2),
        )

    def _inner(self, height: float, width: float) -> tuple[int, int]:
        scale = self.size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def resize(self, image: Array) -> Array:
        """Return an image (H, W) uint8 in this view (S, S).

        Averaged over areas when shrunk, linear when enlarged.
        """
        if self.aspect == "stretch":
            return _resized(image, self.size, self.size)
        inner_h, inner_w = self._inner(*image.shape)
        top, left = (self.size - inner_h) // 2, (self.size - inner_w) // 2
        canvas = np.zeros((self.size, self.size), dtype=image.dtype)
        canvas[top : top + inner_h, left : left + inner_w] = _resized(image, inner_h, inner_w)
        return canvas

    def to_original(self, sizes: Array) -> torch.Tensor:
        """Return the maps (B, 2, 3) float64 from view pixels to frames of ``sizes`` (B, 2)."""
        import torch

        unique, inverse = np.unique(
            np.asarray(sizes, dtype=np.float64), axis=0, return_inverse=True
        )
        maps = np.zeros((len(unique), 2, 3))
        for row, (height, width) in enumerate(unique):
            scale_x, scale_y, left, top = self.placement(height, width)
            maps[row] = [[1 / scale_x, 0, -left / scale_x], [0, 1 / scale_y, -top / scale_y]]
        return torch.from_numpy(maps[inverse.reshape(-1)])


def _resized(image: Array, height: int, width: int) -> Array:
    if image.shape == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method))
