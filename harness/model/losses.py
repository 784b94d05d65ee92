"""Losses that several papers share, all blind to unknown (NaN) labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over known labels, a mean over images first.

    ``logits`` and ``labels`` are (B, ...), labels in [0, 1] or NaN. Each image weighs the same, so
    that the loss of a batch is the mean of the losses of its parts; images without any known label
    count as zero.
    """
    known = ~labels.isnan()
    losses = binary_cross_entropy_with_logits(logits.float(), labels.nan_to_num(), reduction="none")
    return ((losses * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)).mean()


def batch_weighted_bce(
    logits: Tensor, labels: Tensor, batch_labels: Tensor | None = None
) -> Tensor:
    """Return the weighted cross-entropy of ChestX-ray8.

    Positives weigh (|P|+|N|)/|P|, negatives (|P|+|N|)/|N|.

    |P| and |N| count ones and zeros over the whole optimiser batch, ``batch_labels`` (G, C), by
    default ``labels`` (B, C); an empty side counts as one. Summed over classes, divided by the
    images (papers 002, Eq. 10, and 003, Eq. 1).
    """
    counted = labels if batch_labels is None else batch_labels
    positive, negative = (counted == 1).sum().clamp(min=1), (counted == 0).sum().clamp(min=1)
    total = ((counted == 1) | (counted == 0)).sum()
    logits = logits.float()
    losses = -(total / positive) * logsigmoid(logits) * (labels == 1)
    losses = losses - (total / negative) * logsigmoid(-logits) * (labels == 0)
    return losses.sum() / len(labels)


def soft_dice_loss(probabilities: Tensor, masks: Tensor, smoothing: float = 1.0) -> Tensor:
    """Return one minus the soft Dice coefficient, mean over images and masks.

    Both (B, M, h, w) in [0, 1].
    """
    probabilities = probabilities.float()
    overlap = (probabilities * masks).sum(dim=(2, 3))
    total = probabilities.sum(dim=(2, 3)) + masks.sum(dim=(2, 3))
    return (1 - (2 * overlap + smoothing) / (total + smoothing)).mean()


def all_finite(losses: Tensor) -> bool:
    """Return whether every number is finite."""
    return bool(torch.isfinite(losses).all())
