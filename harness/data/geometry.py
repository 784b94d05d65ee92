"""Geometry of a batch: images, masks, boxes, regions and ``to_original`` move together.

Crops and flips copy pixels exactly; only a rotation or a change of scale resamples. Spatial columns
of the image's size are cropped exactly, those of another size are resampled over the same field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from harness.data.batch import Batch, compose, exactly, invert, move_boxes
from harness.data.draws import Draws
from harness.errors import SettingError


def crop(batch: Batch, top: Tensor, left: Tensor, size: int) -> Batch:
    """Return squares of ``size`` pixels whose corners are ``top`` and ``left`` (B,) int64."""
    height, width = batch.images.shape[-2:]
    if size > min(height, width):
        raise SettingError(f"cannot crop {size} pixels out of {height} x {width}")
    shift = torch.stack([left, top], 1).to(batch.to_original)
    inner = torch.eye(2, 3).to(batch.to_original).repeat(len(batch), 1, 1)
    inner[:, :, 2] = shift
    spatial = {}
    for name, values in batch.spatial.items():
        if values.shape[-2:] == batch.images.shape[-2:]:
            spatial[name] = _cut(values, top, left, size)
        else:
            spatial[name] = _resample(values, inner, (height, width), size)
    images = _cut(batch.images, top, left, size)
    return _moved(batch, images, spatial, inner)


def _cut(values: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Copy one square of each image: slices on the CPU, one gather on an accelerator."""
    if values.device.type == "cpu":
        out = values.new_empty(*values.shape[:-2], size, size)
        before, after = values.numpy(), out.numpy()  # whose slices cost a quarter of torch's
        for row, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
            after[row] = before[row, :, y : y + size, x : x + size]
        return out
    steps = torch.arange(size, device=values.device)
    rows = (top.to(values.device)[:, None] + steps)[:, None, :, None]
    columns = (left.to(values.device)[:, None] + steps)[:, None, None, :]
    images = torch.arange(len(values), device=values.device)[:, None, None, None]
    channels = torch.arange(values.shape[1], device=values.device)[None, :, None, None]
    return values[images, channels, rows, columns]


def center_crop(batch: Batch, size: int) -> Batch:
    """Return the central square of ``size`` pixels of each image."""
    height, width = batch.images.shape[-2:]
    corner = torch.ones(len(batch), dtype=torch.int64)
    return crop(batch, corner * ((height - size) // 2), corner * ((width - size) // 2), size)


def random_crop(batch: Batch, draws: Draws, size: int) -> Batch:
    """Return a square of ``size`` pixels at a uniformly drawn place of each image."""
    height, width = batch.images.shape[-2:]
    return crop(batch, draws.integers(height - size + 1), draws.integers(width - size + 1), size)


def flip(batch: Batch, mirrored: Tensor) -> Batch:
    """Return the images with those where ``mirrored`` (B,) bool mirrored left to right."""
    width = float(batch.images.shape[-1])
    inner = torch.eye(2, 3).to(batch.to_original).repeat(len(batch), 1, 1)
    which = mirrored.to(inner.device)
    inner[which, 0, 0], inner[which, 0, 2] = -1.0, width
    spatial = {name: _mirror(values, mirrored) for name, values in batch.spatial.items()}
    return _moved(batch, _mirror(batch.images, mirrored), spatial, inner)


def _mirror(values: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror some images: bytes on the CPU by OpenCV, which is ten times faster at it."""
    rows = mirrored.nonzero().flatten().to(values.device)
    if values.dtype != torch.uint8 or values.device.type != "cpu":
        return values.index_copy(0, rows, values[rows].flip(-1))
    out = values.clone(memory_format=torch.contiguous_format)
    width = values.shape[-1]
    for row in rows.tolist():
        lines = values[row].reshape(-1, width).numpy()
        cv2.flip(lines, 1, out[row].view(-1, width).numpy())
    return out


def random_flip(batch: Batch, draws: Draws, probability: float = 0.5) -> Batch:
    """Return each image mirrored with this probability."""
    return flip(batch, draws.chance(probability))


def affine(batch: Batch, inner: Tensor, size: int | None = None) -> Batch:
    """Return the batch resampled: ``inner`` (B, 2, 3) maps new pixels to present ones.

    Bilinear, black outside; the output is ``size`` pixels square, by default as before.
    """
    frame = (batch.images.shape[-2], batch.images.shape[-1])
    size = size or frame[0]
    inner = inner.to(batch.to_original)
    spatial = {n: _resample(v, inner, frame, size) for n, v in batch.spatial.items()}
    return _moved(batch, _resample(batch.images, inner, frame, size), spatial, inner)


def random_affine(
    batch: Batch,
    draws: Draws,
    degrees: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shift: float = 0.0,
) -> Batch:
    """Return each image turned, scaled and shifted by up to a share of its size, at random."""
    size = batch.images.shape[-1]
    angle = torch.deg2rad(draws.uniform(-degrees, degrees))
    zoom = 1 / draws.uniform(*scale)
    move = torch.stack([draws.uniform(-shift, shift), draws.uniform(-shift, shift)], 1) * size
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    center = torch.full((len(batch), 2, 1), size / 2)
    with exactly(linear):
        offset = center - linear @ (center + move[:, :, None])
    return affine(batch, torch.cat([linear, offset], 2))


def ten_crop(batch: Batch, size: int) -> list[Batch]:
    """Return the four corners and the centre, and the mirror image of each."""
    height, width = batch.images.shape[-2:]
    ones = torch.ones(len(batch), dtype=torch.int64)
    low, right = height - size, width - size
    corners = [(0, 0), (0, right), (low, 0), (low, right), (low // 2, right // 2)]
    crops = [crop(batch, ones * y, ones * x, size) for y, x in corners]
    return crops + [flip(cropped, ones.bool()) for cropped in crops]


def _resample(values: Tensor, inner: Tensor, frame: tuple[int, int], size: int) -> Tensor:
    """Sample values that cover a ``frame`` at the pixels of a new square."""
    steps = torch.arange(size, device=values.device, dtype=torch.float32) + 0.5
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 2)
    linear, offset = inner[:, :, :2].float(), inner[:, :, 2].float()
    extent = torch.tensor([frame[1], frame[0]], device=values.device, dtype=torch.float32)
    with exactly(values):
        points = grid @ linear.transpose(1, 2) + offset[:, None]
        points = (2 * points / extent - 1).view(len(values), size, size, 2)
        sampled = grid_sample(values.float(), points, align_corners=False)
    return sampled.round().to(values.dtype) if values.dtype == torch.uint8 else sampled


def _moved(batch: Batch, images: Tensor, spatial: Mapping[str, Tensor], inner: Tensor) -> Batch:
    """Put new pixels in place, and boxes and ``to_original`` where they belong."""
    columns = dict(batch.columns)
    for name in ("boxes", "region_boxes"):
        if name in columns:
            moved = move_boxes(columns[name].to(inner), invert(inner)).to(columns[name])
            columns[name] = _clipped(moved, images.shape[-1], images.shape[-2])
    if "boxes" in columns:
        gone = columns["boxes"].isnan().any(-1)
        columns["boxes"] = columns["boxes"].nan_to_num()
        columns["box_classes"] = columns["box_classes"].masked_fill(gone, -1)
    to_original = compose(batch.to_original, inner)
    return replace(
        batch, images=images, spatial=dict(spatial), columns=columns, to_original=to_original
    )


def _clipped(boxes: Tensor, width: int, height: int) -> Tensor:
    """Clip boxes to the frame; what lies outside it altogether becomes NaN."""
    limit = boxes.new_tensor([width, height, width, height])
    clipped = torch.minimum(boxes.clamp(min=0), limit)
    empty = (clipped[..., 2] <= clipped[..., 0]) | (clipped[..., 3] <= clipped[..., 1])
    return clipped.masked_fill(empty[..., None], float("nan"))
