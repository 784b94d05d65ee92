"""Stored predictions and annotations of a test split: all that a metric may see."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.files import write_npz

Array = NDArray[Any]

RESAMPLES = 1000
"""Of patients, behind every interval where nobody asks for more."""


@dataclass(frozen=True)
class Evaluated:
    """N test radiographs; whatever the dataset or the model lacks is None.

    Always: ``names``, ``patients`` (N,) text, ``classes`` (C,) text. Image level: ``targets`` and
    ``scores`` (N, C). Regions: ``region_targets`` and ``region_scores`` (N, R, L), ``region_boxes``
    and ``found_boxes`` (N, R, 4) in original pixels. ``metadata`` (N, 3): age, sex (1 male), view
    (1 AP). ``sizes`` (N, 2). Organs: ``organ_overlaps`` (N, M, 4), the measures of
    ``segmentation.MEASURES`` of each image's masks of ``organs`` (M,). Boxes in original pixels:
    ``boxes`` (N, K, 4), ``box_classes`` (N, K), -1 pads. For the rows ``detailed`` (D,) also
    ``maps`` (D, C, h, w) whose input frame ``map_frame`` (2,) height and width ``to_original``
    (N, 2, 3) maps to original pixels. Intervals take ``resamples`` of the patients.
    """

    names: Array
    patients: Array
    classes: Array
    targets: Array | None = None
    scores: Array | None = None
    metadata: Array | None = None
    follow_up: Array | None = None
    sizes: Array | None = None
    region_targets: Array | None = None
    region_scores: Array | None = None
    region_present: Array | None = None
    region_boxes: Array | None = None
    found_boxes: Array | None = None
    regions: Array | None = None
    region_classes: Array | None = None
    organs: Array | None = None
    organ_overlaps: Array | None = None
    boxes: Array | None = None
    box_classes: Array | None = None
    to_original: Array | None = None
    detailed: Array | None = None
    maps: Array | None = None
    map_frame: Array | None = None
    resamples: int = RESAMPLES

    def arrays(self, *, heavy: bool) -> dict[str, Array]:
        """Return what there is: scores and annotations, or what belongs to heat maps."""
        found = {name: getattr(self, name) for name in _arrays()}
        return {
            name: np.asarray(value)
            for name, value in found.items()
            if value is not None and (name in HEAVY) == heavy
        }

    def need(self, name: str) -> Array:
        """Return an array that must be there.

        Raises:
            RecordError: it was not stored.
        """
        value = getattr(self, name)
        if value is None:
            raise RecordError(f"the stored predictions have no {name}")
        return np.asarray(value)


def _arrays() -> list[str]:
    return [entry.name for entry in fields(Evaluated) if entry.name != "resamples"]


HEAVY = ("maps", "detailed", "map_frame", "to_original")


def write_heavy(folder: Path, evaluated: Evaluated) -> None:
    """Write heat maps, where there are some, to ``maps.npz``."""
    if evaluated.maps is not None:
        write_npz(folder / "maps.npz", evaluated.arrays(heavy=True))


def read_evaluated(folder: Path) -> Evaluated:
    """Read stored predictions: ``scores.npz`` and, where it is, ``maps.npz``.

    Raises:
        RecordError: there are no stored predictions, or they cannot be read.
    """
    arrays: dict[str, Array] = {}
    for name in ("scores.npz", "maps.npz"):
        path = folder / name
        if not path.exists():
            if name == "scores.npz":
                raise RecordError(f"{folder} has no stored predictions ({name})")
            continue
        try:
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                arrays |= {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise RecordError(f"{path} cannot be read: {error}") from error
    known: dict[str, Any] = {name: arrays[name] for name in _arrays() if name in arrays}
    return Evaluated(**known)
