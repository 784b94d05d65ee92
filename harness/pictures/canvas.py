"""A radiograph on a canvas of its original proportions, where maps and boxes meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.metrics.heatmaps import in_original
from harness.pictures.overlay import Pixels

SIDE = 512  # pixels of a canvas's longer side


@dataclass(frozen=True)
class Canvas:
    """One radiograph as a model was given it, in the proportions of its original.

    ``radiograph`` (h, w) uint8; ``size`` height and width of the original.
    """

    radiograph: Pixels
    size: tuple[int, int]

    def heat(
        self, values: NDArray[Any], to_original: NDArray[Any], frame: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return a map over a model's input of ``frame`` pixels on this canvas (h, w)."""
        height, width = self.radiograph.shape
        return in_original(values, to_original, frame, self.size, (height, width))

    def box(self, box: NDArray[Any]) -> NDArray[np.float64]:
        """Return a box x1, y1, x2, y2 of original pixels in pixels of this canvas."""
        height, width = self.radiograph.shape
        return np.asarray(box * np.tile([width / self.size[1], height / self.size[0]], 2))


def enlarged(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values over a model's input (h, w) bilinearly at a canvas's size."""
    scale = SIDE / max(values.shape)
    size = round(values.shape[1] * scale), round(values.shape[0] * scale)
    large = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.float32)


def in_bytes(image: NDArray[Any]) -> Pixels:
    """Return an image (h, w) in [0, 1] as pixels."""
    return np.asarray(255 * image).clip(0, 255).round().astype(np.uint8)


def canvases(batch: Batch, truth: Samples) -> list[Canvas]:
    """Return each radiograph of a batch on a canvas; ``truth`` are its samples."""
    images = batch.images[:, 0].float().cpu().numpy()
    maps = batch.to_original.double().cpu().numpy()
    found = []
    for image, to_original, size in zip(images, maps, truth.need("sizes"), strict=True):
        height, width = (int(side) for side in size)
        scale = SIDE / max(height, width)
        grid = max(1, round(height * scale)), max(1, round(width * scale))
        frame = image.shape[0], image.shape[1]
        drawn = in_original(image, to_original, frame, (height, width), grid)
        found.append(Canvas(in_bytes(drawn), (height, width)))
    return found
