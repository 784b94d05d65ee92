"""Connected components of many masks at once, from runs of pixels instead of single pixels.

A mask is cut into horizontal runs; runs of adjacent rows that touch are edges of a graph whose
connected components are those of the mask. There are far fewer runs than pixels.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from harness.metrics.ranking import Bools, Ints


@dataclass(frozen=True)
class Components:
    """K components of a batch of masks, by mask, then by their first pixel in reading order."""

    mask: Ints  # (K,) index of the mask
    boxes: Ints  # (K, 4) x1, y1, x2, y2: pixel i covers [i, i + 1)
    area: Ints  # (K,) pixels


CACHED = 1 << 20
"""Pixels labelled together: few enough to stay in the processor's cache."""


def components(masks: Bools, diagonal: bool = False) -> Components:
    """Find the components of masks (n, h, w): neighbours share a side, or `diagonal` a corner."""
    n, h, w = masks.shape
    step = max(1, CACHED // max(1, h * w))
    parts = [_components(masks[i : i + step], diagonal) for i in range(0, n, step)]
    if not parts:
        return _components(masks, diagonal)
    return Components(
        np.concatenate([part.mask + step * i for i, part in enumerate(parts)]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.area for part in parts]),
    )


def _components(masks: Bools, diagonal: bool) -> Components:
    n, h, w = masks.shape
    padded = np.zeros((n, h + 1, w + 1), dtype=np.bool_)
    padded[:, :h, 1:] = masks
    changes = _changes(padded.reshape(-1))
    starts, ends = changes[::2], changes[1::2]
    if not len(starts):
        empty = np.zeros(0, dtype=np.int64)
        return Components(empty, empty.reshape(0, 4), empty)
    label = _label(starts, ends, w + 1, diagonal)
    row, left = np.divmod(starts, w + 1)
    mask, top = np.divmod(row, h + 1)
    order = np.argsort(label, kind="stable")
    first = np.flatnonzero(np.diff(label[order], prepend=-1))
    length = ends - starts
    bounds = [
        np.minimum.reduceat((left - 1)[order], first),
        np.minimum.reduceat(top[order], first),
        np.maximum.reduceat((left - 1 + length)[order], first),
        np.maximum.reduceat(top[order] + 1, first),
    ]
    area = np.add.reduceat(length[order], first)
    return Components(mask[order][first], np.stack(bounds, axis=1), area)


def _changes(pixels: Bools) -> Ints:
    """Give the positions whose pixel differs from the one before it.

    Changes are few, so words of eight pixels without one are passed over first.
    """
    changed = np.zeros(-(-len(pixels) // 8) * 8, dtype=np.bool_)
    np.not_equal(pixels[1:], pixels[:-1], out=changed[1 : len(pixels)])
    words = np.flatnonzero(changed.view(np.uint64) != 0)
    found = np.flatnonzero(changed.reshape(-1, 8)[words])
    return np.asarray(words[found >> 3] * 8 + (found & 7))


def _label(starts: Ints, ends: Ints, stride: int, diagonal: bool) -> Ints:
    """Give the component of each run [start, end) in a raster whose rows are `stride` apart.

    Run i touches the runs below that end after its start and start before its end; the blank
    column and the blank last row keep rows and masks apart. Numbers ascend with the first run.
    """
    low = np.searchsorted(ends, starts + stride, side="left" if diagonal else "right")
    high = np.searchsorted(starts, ends + stride, side="right" if diagonal else "left")
    touching = high - low
    above = np.repeat(np.arange(len(starts)), touching)
    offset = np.arange(len(above)) - np.repeat(np.cumsum(touching) - touching, touching)
    edges = (np.ones(len(above), dtype=np.bool_), (above, low[above] + offset))
    graph = sparse.coo_array(edges, shape=(len(starts), len(starts)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
