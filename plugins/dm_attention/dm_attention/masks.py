"""Anchor and disease masks: what is learnt of the training images between two stages (Eq. 1 to 5).

Class activation maps are (B, C, p, p), masks (C, p, p) with values in [0, 1].
"""

from collections.abc import Iterable

import torch
from torch import Tensor

DISEASES = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
)  # the eight that have masks in the paper
ASYMMETRIC = ("Cardiomegaly",)  # m of Eq. 3
NEVER = -1.0  # stands in place of the probability of an image that may not enter a mask


def mean_image(batches: Iterable[Tensor]) -> Tensor:
    """Average images (B, 1, H, W), batch by batch, to the anchor (1, H, W)."""
    total: Tensor | None = None
    count = 0
    for images in batches:
        part = images.double().sum(0)
        total = part if total is None else total + part
        count += len(images)
    if total is None:
        raise ValueError("an anchor needs at least one image")
    return (total / count).float()


def min_max(maps: Tensor) -> Tensor:
    """Stretch each map (..., p, p) to [0, 1]; a constant map says nothing and becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).where(high > low, 1)


class MeanActivation:
    """The mean inside T(.) of Eq. 3, gathered batch by batch.

    A map enters where its class has probability `least` or more. A class with fewer than `fewest`
    such images takes its `fewest` most probable ones instead; `counts` (C,) says how many passed.
    """

    def __init__(self, symmetric: Tensor, *, least: float = 0.8, fewest: int = 20) -> None:
        """Add the mirrored map to the classes of symmetric (C,)."""
        self.symmetric, self.least, self.fewest = symmetric, least, fewest
        self.counts = torch.zeros(len(symmetric), dtype=torch.long)
        self._sum: Tensor | None = None
        self._best = torch.empty(0, len(symmetric))  # probabilities of the kept maps, falling
        self._best_maps: Tensor | None = None

    def update(self, maps: Tensor, probabilities: Tensor) -> None:
        """Add maps (B, C, p, p) of images with probabilities (B, C); NEVER keeps an image out."""
        both = torch.where(self.symmetric[:, None, None], maps + maps.flip(-1), maps)
        normal = min_max(both.double())
        passed = probabilities >= self.least
        part = (normal * passed[:, :, None, None]).sum(0)
        self._sum = part if self._sum is None else self._sum + part
        self.counts += passed.sum(0)
        self._keep_best(normal, probabilities)

    def _keep_best(self, normal: Tensor, probabilities: Tensor) -> None:
        known = normal[:0] if self._best_maps is None else self._best_maps
        scores, candidates = torch.cat([self._best, probabilities]), torch.cat([known, normal])
        order = scores.argsort(dim=0, descending=True, stable=True)[: self.fewest]
        self._best = scores.gather(0, order)
        places = order[:, :, None, None].expand(-1, -1, *candidates.shape[2:])
        self._best_maps = candidates.gather(0, places)

    def mean(self) -> Tensor:
        """Return the mean normalised maps (C, p, p); 0 for a class that no image may enter."""
        if self._sum is None or self._best_maps is None:
            raise ValueError("disease masks need at least one class activation map")
        passed = self._sum / self.counts.clamp(min=1)[:, None, None]
        eligible = (self._best != NEVER)[:, :, None, None]
        best = (self._best_maps * eligible).sum(0) / eligible.sum(0).clamp(min=1)
        return best.where((self.counts < self.fewest)[:, None, None], passed).float()


def threshold(mean: Tensor, *, level: float = 0.5, binary: bool = False) -> Tensor:
    """Apply T(.) of Eq. 3: stretch each mean map (C, p, p) to [0, 1] and zero what is below level.

    With binary, what remains becomes 1.
    """
    stretched = min_max(mean)
    high = stretched >= level
    return high.to(stretched) if binary else stretched * high


def uniform(masks: Tensor) -> Tensor:
    """Spread each mask (C, p, p) evenly: the same gain, no place. The control of the method."""
    return masks.mean((1, 2), keepdim=True).expand_as(masks)


def attention_mask(masks: Tensor, masked: Tensor, kind: str = "class") -> Tensor:
    """Turn masks (C, p, p) into psi (C, p, p) of Eq. 4 for the classes of masked (C,).

    "class" leaves each class its own mask and the others 0; "shared_max" and "shared_mean" make
    one mask of all, for every class, as one f'(x) for all classes would have it.
    """
    if kind == "class":
        return masks * masked[:, None, None]
    chosen = masks[masked]
    if kind == "shared_max":
        return chosen.amax(0).expand_as(masks)
    if kind == "shared_mean":
        return chosen.mean(0).expand_as(masks)
    raise ValueError(f"attention is 'class', 'shared_max' or 'shared_mean', not {kind!r}")
