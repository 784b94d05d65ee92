"""What a dataset is.

Radiographs with annotations, official splits, a label space and one on-disk layout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.samples import LabelSpace, Samples
from harness.errors import SettingError

Array = npt.NDArray[Any]


class Dataset(ABC):
    """One copy of a dataset on disk, its annotations parsed, no image read yet.

    A subclass is constructed as ``NIH(root, **options)``; its keyword-only options (label policy,
    protocol) are what ``--data key=value`` sets. The constructor reads annotations only and raises
    DataError where the layout is not what it should be, naming file and row.
    """

    name: ClassVar[str]
    credentialed: ClassVar[bool] = (
        False  # True: no image, id or per-image score may leave the machine
    )
    obtain: ClassVar[str] = (
        ""  # where the data can be had, under which licence, and the expected layout
    )

    root_is: ClassVar[str] = "DIR"  # what a root is called in messages: DIR or FILE
    phantom_images: ClassVar[int] = 1000  # how many `harness data phantom` draws by itself

    root: Path
    space: LabelSpace
    samples: Samples  # every radiograph with its annotations, without images
    splits: Mapping[
        str, Array
    ]  # "train", "validation", "test" to rows of samples, disjoint by patient
    protocol: str = "official"  # the name of the split
    policy: Mapping[
        str, object
    ]  # everything that decides a label: csv version, uncertain labels, ...
    phantom: Mapping[str, object] | None = (
        None  # the settings of the phantom, when these are no real radiographs
    )

    @abstractmethod
    def read(self, row: int) -> Array:
        """Return one radiograph (H, W) uint8; called from several threads.

        Raises:
            DataError: the file is missing or cannot be decoded.
        """

    @abstractmethod
    def stamp(self, row: int) -> str:
        """Return what changes when the file behind a radiograph changes, without reading it.

        Name, size, time.
        """

    def read_masks(self, row: int) -> Array | None:
        """Return organ masks (M, H, W) uint8, 255 inside, in the frame of the image.

        None where there are none.
        """
        return None

    def facts(self) -> list[tuple[str, str, bool | None]]:
        """Return what ``harness data verify`` should say beyond counts.

        (what, finding, fine or not or merely told).
        """
        return []

    @classmethod
    def write_phantoms(cls, root: Path, images: int, switches: Mapping[str, object]) -> None:
        """Write phantoms in this dataset's layout; read back, they have the same annotations.

        ``switches`` are fields of PhantomSettings. The root is new or empty before, and whole or
        not there after.

        Raises:
            SettingError: this dataset writes none, a switch is wrong, or the root is not empty.
        """
        raise SettingError(f"{cls.name} does not write phantoms")

    def part(self, split: str) -> Samples:
        """Return one split, without images."""
        return self.samples.take(np.asarray(self.splits[split]))
