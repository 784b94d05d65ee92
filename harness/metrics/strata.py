"""Parts of a test split that are scored on their own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.ranking import Bools


def first_films(patients: NDArray[Any], order: NDArray[Any]) -> Bools:
    """Mark the first film of each patient (N,); `order` (N,) is the follow-up number or a date.

    Of films of equal order the one that comes first in the arrays is taken.
    """
    sequence = np.lexsort((np.arange(len(patients)), order, patients))
    ranked = patients[sequence]
    first = np.ones(len(patients), dtype=np.bool_)
    first[1:] = ranked[1:] != ranked[:-1]
    mask = np.zeros(len(patients), dtype=np.bool_)
    mask[sequence[first]] = True
    return mask


def strata(
    views: NDArray[Any] | None, patients: NDArray[Any], order: NDArray[Any] | None
) -> dict[str, Bools]:
    """Name the masks (N,) that the arrays allow: AP, PA (views (N,) of text), first film."""
    masks = {} if views is None else {view: np.asarray(views == view) for view in ("AP", "PA")}
    if order is not None:
        masks["first film"] = first_films(patients, order)
    return masks
