"""The one sort behind AUROC, its bootstrap and its structural components."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """The n images whose label is known, by ascending score, with ties as groups."""

    images: Ints  # (n,) positions in the arrays that were ranked
    positive: Bools  # (n,)
    group: Ints  # (n,) 0, 1, ... : images of equal score share a group

    @property
    def defined(self) -> bool:
        """Whether both positives and negatives are known."""
        return bool(self.positive.any() and not self.positive.all())


def rank(scores: NDArray[Any], targets: NDArray[Any]) -> Ranking:
    """Sort the images of one class, scores (N,) finite and targets (N,) of 1, 0 and NaN."""
    known = np.flatnonzero(~np.isnan(targets))
    values = scores[known]
    order = np.argsort(values)
    values = values[order]
    images = known[order]
    group = np.zeros(len(images), dtype=np.int64)
    np.cumsum(values[1:] != values[:-1], out=group[1:])
    return Ranking(images, targets[images] == 1, group)


def check(scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str] | None = None) -> None:
    """Refuse scores (N, C) that are not finite and targets (N, C) other than 1, 0 and NaN.

    Raises RecordError that names the column, by `names` where given, and the first row.
    """
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise RecordError(
            f"scores {scores.shape} and targets {targets.shape} must both be (images, classes)"
        )
    _refuse(~np.isfinite(scores), "a score that is not a finite number", names)
    known = (targets == 0) | (targets == 1) | np.isnan(targets)
    _refuse(~known, "a target other than 0, 1 and NaN (unknown)", names)


def _refuse(wrong: Bools, what: str, names: Sequence[str] | None) -> None:
    if not wrong.any():
        return
    column = int(np.flatnonzero(wrong.any(axis=0))[0])
    rows = np.flatnonzero(wrong[:, column])
    name = names[column] if names is not None else str(column)
    raise RecordError(
        f"column {name} has {what} in {len(rows)} of {len(wrong)} rows, first in row {rows[0]}"
    )
