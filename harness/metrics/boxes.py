"""Overlap of boxes x1, y1, x2, y2 in continuous pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.metrics.ranking import Floats, Ints


@dataclass(frozen=True)
class Annotated:
    """Boxes drawn by radiologists, in the order of their file.

    Raises RecordError for a box without area.
    """

    boxes: NDArray[Any]  # (n, 4) x1, y1, x2, y2 in original pixels
    classes: Ints  # (n,) class index
    images: NDArray[Any]  # (n,) image names
    patients: NDArray[Any]  # (n,)

    def __post_init__(self) -> None:
        empty = ~(self.boxes[:, 2:] > self.boxes[:, :2]).all(axis=1)
        if empty.any():
            first = np.flatnonzero(empty)[0]
            raise RecordError(
                f"{empty.sum()} boxes have no area, first row {first}, image {self.images[first]}: "
                "boxes are x1, y1, x2, y2"
            )

    def take(self, rows: Ints) -> "Annotated":
        """Pick boxes by index (m,)."""
        return Annotated(
            self.boxes[rows], self.classes[rows], self.images[rows], self.patients[rows]
        )

    def findings(self) -> tuple[Ints, Ints]:
        """Give the first row of each image and class (f,), and which of these each row is (n,)."""
        _, image = np.unique(self.images, return_inverse=True)
        pairs = np.stack([image, self.classes], axis=1)
        _, first, finding = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        return first, finding.reshape(-1)


def area(boxes: NDArray[Any]) -> Floats:
    """Give the areas (...,) of boxes (..., 4)."""
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]), np.float64)


def intersection(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Give the shared areas (...,) of boxes (..., 4) that broadcast."""
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    return np.asarray(np.prod(np.maximum(sides, 0), axis=-1), np.float64)


def iou(predicted: NDArray[Any], truth: NDArray[Any]) -> Floats:
    """Give intersection over union (...,) of boxes (..., 4)."""
    shared = intersection(predicted, truth)
    return np.asarray(shared / (area(predicted) + area(truth) - shared))


def iobb(predicted: NDArray[Any], truth: NDArray[Any]) -> Floats:
    """Give intersection over the area of the predicted box (...,), ChestX-ray8's IoBB."""
    return np.asarray(intersection(predicted, truth) / area(predicted))
