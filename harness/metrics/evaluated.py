"""Stored predictions and annotations of a test split: all that a metric may see."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.files import write_atomically

Array = NDArray[Any]


@dataclass(frozen=True)
class Evaluated:
    """N test radiographs; whatever the dataset or the model lacks is None.

    Always: ``names``, ``patients`` (N,) text, ``classes`` (C,) text. Image level: ``targets`` and
    ``scores`` (N, C). Regions: ``region_targets`` and ``region_scores`` (N, R, L), ``region_boxes``
    and ``found_boxes`` (N, R, 4) in original pixels. ``metadata`` (N, 3): age, sex (1 male), view
    (1 AP). ``sizes`` (N, 2). Boxes in original pixels: ``boxes`` (N, K, 4), ``box_classes`` (N, K),
    -1 pads. For the rows ``detailed`` (D,) also ``maps`` (D, C, h, w) whose input frame
    ``map_frame`` (2,) height and width ``to_original`` (N, 2, 3) maps to original pixels, and
    ``masks`` with ``mask_targets`` (D, M, h, w).
    """

    names: Array
    patients: Array
    classes: Array
    targets: Array | None = None
    scores: Array | None = None
    metadata: Array | None = None
    sizes: Array | None = None
    region_targets: Array | None = None
    region_scores: Array | None = None
    region_present: Array | None = None
    region_boxes: Array | None = None
    found_boxes: Array | None = None
    regions: Array | None = None
    region_classes: Array | None = None
    organs: Array | None = None
    boxes: Array | None = None
    box_classes: Array | None = None
    to_original: Array | None = None
    detailed: Array | None = None
    maps: Array | None = None
    map_frame: Array | None = None
    masks: Array | None = None
    mask_targets: Array | None = None

    def need(self, name: str) -> Array:
        """Return an array that must be there.

        Raises:
            RecordError: it was not stored.
        """
        value = getattr(self, name)
        if value is None:
            raise RecordError(f"the stored predictions have no {name}")
        return np.asarray(value)


HEAVY = ("maps", "masks", "mask_targets", "detailed", "map_frame", "to_original")


def write_evaluated(folder: Path, evaluated: Evaluated) -> None:
    """Write ``scores.npz`` and, where there are heat maps or masks, ``maps.npz`` beside it."""
    light: dict[str, Array] = {}
    heavy: dict[str, Array] = {}
    for entry in fields(evaluated):
        value = getattr(evaluated, entry.name)
        if value is not None:
            (heavy if entry.name in HEAVY else light)[entry.name] = np.asarray(value)
    write_npz(folder / "scores.npz", light)
    if "maps" in heavy or "masks" in heavy:
        write_npz(folder / "maps.npz", heavy)


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write named arrays, compressed, atomically; the same arrays give the same bytes."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    write_atomically(path, write)


def read_evaluated(folder: Path) -> Evaluated:
    """Read what ``write_evaluated`` wrote; heat maps are optional.

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
            with np.load(path, allow_pickle=False) as file:
                arrays |= {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise RecordError(f"{path} cannot be read: {error}") from error
    known = {entry.name for entry in fields(Evaluated)}
    return Evaluated(**{key: value for key, value in arrays.items() if key in known})
