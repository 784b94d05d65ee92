"""A batch on its way to a network, and the geometry that moves everything in it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.errors import DataError


@dataclass(frozen=True)
class Batch:
    """B radiographs and what is known of them, on one device.

    ``images`` (B, 1, H, W) are float in [0, 1] for a network, uint8 while they are augmented;
    ``to_original`` (B, 2, 3) maps model-input pixels to original ones; ``index`` (B,) are rows of
    the samples. Annotations are None where the dataset lacks them: ``labels`` (B, C) of 1, 0, NaN;
    ``boxes`` (B, K, 4) and ``region_boxes`` (B, R, 4) in *input* pixels (box_classes -1, or NaN,
    where there is none); ``region_labels`` (B, R, L); ``metadata`` (B, 3): age, sex (1 male), view
    (1 AP), NaN unknown. ``columns`` has these and every mapped column by name; ``spatial`` those
    that follow the geometry, (B, M, h, w) over the same field as the image, floats in [0, 1] for a
    network where they were uint8. ``batch_labels`` (G, C) are the labels of the whole batch of
    one forward, over devices and micro-batches: what a loss that counts labels must count.
    """

    images: Tensor
    to_original: Tensor
    index: Tensor
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    spatial: Mapping[str, Tensor] = field(default_factory=dict)
    batch_labels: Tensor | None = None

    @classmethod
    def of(
        cls,
        images: Tensor,
        to_original: Tensor,
        index: Tensor,
        columns: Mapping[str, Tensor],
        spatial: Mapping[str, Tensor],
    ) -> Batch:
        """Return a batch whose boxes, given in original pixels, are brought into input pixels."""
        moved = dict(columns)
        for name in ("boxes", "region_boxes"):
            if name in moved:
                moved[name] = move_boxes(moved[name].double(), invert(to_original)).float()
        return cls(images, to_original, index, moved, dict(spatial))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, name: str) -> Tensor:
        """Return a column, spatial or not, by name.

        Raises:
            DataError: the dataset lacks it.
        """
        found = self.spatial.get(name, self.columns.get(name))
        if found is None:
            raise DataError(f"this method needs {name!r}, which the dataset does not have")
        return found

    @property
    def labels(self) -> Tensor | None:
        """(B, C) of 1, 0 and NaN."""
        return self.columns.get("labels")

    @property
    def boxes(self) -> Tensor | None:
        """(B, K, 4) in input pixels."""
        return self.columns.get("boxes")

    @property
    def box_classes(self) -> Tensor | None:
        """(B, K), -1 where there is no box."""
        return self.columns.get("box_classes")

    @property
    def region_boxes(self) -> Tensor | None:
        """(B, R, 4) in input pixels, NaN where a region is absent."""
        return self.columns.get("region_boxes")

    @property
    def region_labels(self) -> Tensor | None:
        """(B, R, L) of 1, 0 and NaN."""
        return self.columns.get("region_labels")

    @property
    def metadata(self) -> Tensor | None:
        """(B, 3): age in years, sex (1 male), view (1 AP); NaN unknown."""
        return self.columns.get("metadata")

    @property
    def masks(self) -> Tensor | None:
        """(B, M, h, w) organ masks."""
        return self.spatial.get("masks")

    def to(self, device: torch.device) -> Batch:
        """Return this batch on a device; host memory that is pinned is copied without waiting."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            to_original=self.to_original.to(device=device, dtype=torch.float32, non_blocking=True),
            index=self.index.to(device, non_blocking=True),
            columns={n: c.to(device, non_blocking=True) for n, c in self.columns.items()},
            spatial={n: c.to(device, non_blocking=True) for n, c in self.spatial.items()},
        )

    def floats(self) -> Batch:
        """Return this batch with uint8 images and spatial columns as floats in [0, 1]."""
        return replace(
            self,
            images=_unit(self.images),
            spatial={name: _unit(column) for name, column in self.spatial.items()},
        )

    def part(self, start: int, stop: int) -> Batch:
        """Return the images from ``start`` to ``stop``.

        ``batch_labels`` stay those of the whole.
        """
        return replace(
            self,
            images=self.images[start:stop],
            to_original=self.to_original[start:stop],
            index=self.index[start:stop],
            columns={name: column[start:stop] for name, column in self.columns.items()},
            spatial={name: column[start:stop] for name, column in self.spatial.items()},
        )


def _unit(values: Tensor) -> Tensor:
    return values.float().div_(255.0) if values.dtype == torch.uint8 else values


def exactly(tensor: Tensor) -> torch.autocast:
    """Return the block in which coordinates are computed as they are, also under autocast.

    Models crop and align while they predict, and bfloat16 puts a point of 1024 pixels two beside
    its place.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def invert(affine: Tensor) -> Tensor:
    """Return the inverse of affine maps (B, 2, 3)."""
    with exactly(affine):
        inverse = torch.linalg.inv(affine[:, :, :2])
        return torch.cat([inverse, -inverse @ affine[:, :, 2:]], dim=2)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the affine maps (B, 2, 3) that apply ``inner`` first, then ``outer``."""
    with exactly(outer):
        linear = outer[:, :, :2] @ inner[:, :, :2]
        shift = outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]
        return torch.cat([linear, shift], dim=2)


def move_boxes(boxes: Tensor, affine: Tensor) -> Tensor:
    """Return the upright rectangles (B, K, 4) around boxes moved by affine maps (B, 2, 3).

    NaN stays NaN.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    corners = torch.stack([torch.stack([x, y], -1) for x in (x1, x2) for y in (y1, y2)], dim=2)
    linear, shift = affine[:, None, None, :, :2], affine[:, None, None, :, 2]
    with exactly(affine):
        moved = (linear @ corners[..., None])[..., 0] + shift
    return torch.cat([moved.amin(dim=2), moved.amax(dim=2)], dim=-1)
