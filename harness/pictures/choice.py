"""Which test radiographs are pictured: the same ones for every model, whatever it says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.samples import Samples
from harness.errors import DataError

Rows = NDArray[np.int64]


def choose(samples: Samples, count: int) -> Rows:
    """Return the rows of up to ``count`` samples that show something, spread over the classes.

    These have a box; where no sample has one, a finding, or a finding in a region. The classes take
    turns, and each takes the sample whose name has the lowest hash.
    """
    shown = _shown(samples)
    hashes = [hashlib.sha256(str(name).encode()).hexdigest() for name in samples.names]
    order = np.argsort(hashes)
    waiting = [[int(row) for row in order if shown[row, c]] for c in range(shown.shape[1])]
    chosen: list[int] = []
    while any(waiting) and len(chosen) < count:
        for queue in waiting:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return np.array(chosen, dtype=np.int64)


def _shown(samples: Samples) -> NDArray[Any]:
    """Return which samples show which class (N, C)."""
    kinds, places = samples.column("box_classes"), np.arange(len(samples.space.classes))
    if kinds is not None and (kinds >= 0).any():
        return np.asarray((kinds[..., None] == places).any(axis=1))
    labels, regions = samples.labels, samples.column("region_labels")
    if labels is not None and (labels == 1).any():
        return np.asarray(labels == 1)
    if regions is not None and (regions == 1).any():
        return np.asarray((regions == 1).any(axis=1))
    return np.ones((len(samples), 1), dtype=np.bool_)


def named(samples: Samples, names: Sequence[str]) -> Rows:
    """Return the rows of samples by name.

    Raises:
        DataError: a name is none of theirs.
    """
    places = {str(name): row for row, name in enumerate(samples.names)}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise DataError(
            f"no test image of this run is called {', '.join(unknown)}; there are "
            f"{len(places):,}, e.g. {', '.join(list(places)[:3])}"
        )
    return np.array([places[name] for name in names], dtype=np.int64)
