"""NIH ChestX-ray14: both label tables, the official lists, boxes, folders or archives of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from cxr_datasets import nih_layout
from cxr_datasets import nih_tables as tables
from cxr_datasets.archives import Folder, Source, open_archives
from cxr_datasets.phantoms import read_settings, settings_of, write_root
from cxr_datasets.tables import find_file, read_lines
from harness import (
    DataError,
    Dataset,
    LabelSpace,
    Samples,
    by_patient,
    check_disjoint,
    known_list,
    protocol_of,
)
from harness.data.images import decode

Array = npt.NDArray[Any]
Fact = tuple[str, str, bool | None]
Lists = Mapping[str, list[str]]

SALT = "nih-166"
SHARE = 0.125
"""The validation patients of the official train_val list: those that ``by_patient`` picks with this
salt. It was chosen once, among 1,000, by ``python -m cxr_datasets.nih_salt``, for shares of
positive patients closest to 12.5 % in every class."""

OFFICIAL_IMAGES = 112_120
CHEXNET_RANDOM = "chexnet-random"


class NIH(Dataset):
    """One copy of ChestX-ray14; the revised label table is taken where both lie there.

    ``version`` takes one label table instead; ``split`` demands a protocol; ``lists`` is a folder
    with the lists of a split (train, val and test, or train_val and test), recognised by their
    fingerprints, else the protocol is called custom.
    """

    name: ClassVar[str] = "nih"
    obtain: ClassVar[str] = (
        "NIH ChestX-ray14 is distributed by the NIH Clinical Center (its Box folder "
        "ChestXray-NIHCC) without restriction on use, with attribution to the NIH Clinical Center "
        "and to Wang et al., CVPR 2017.\n"
        "Expected in the root: Data_Entry_2017_v2020.csv (or Data_Entry_2017.csv), "
        "train_val_list.txt, test_list.txt, BBox_List_2017.csv (for localization), and the images "
        "as images_001/images/*.png to images_012, as images/*.png, or as the downloaded "
        "images_01.tar.gz to images_12.tar.gz or a zip file, in the root or in images/. "
        "Csv files may be gzipped."
    )
    space = LabelSpace(tables.CLASSES)

    def __init__(
        self,
        root: Path,
        *,
        split: Literal["official", "chexnet-random"] = "official",
        lists: str = "",
        version: Literal["auto", "2017", "v2020"] = "auto",
    ) -> None:
        self.root = Path(root)
        self.phantom = read_settings(self.root)
        self.entries = tables.read_entries(self.root, version)
        self._row = {name: row for row, name in enumerate(self.entries.columns[tables.IMAGE])}
        patients = tables.patient_ids(self.entries)
        self.samples = Samples.of(
            self.space, names=list(self._row), patients=patients.tolist(), **self._columns()
        )
        self._choose(self._folder(split, lists), split, patients)
        self.policy = {
            "labels": tables.label_version(self.entries),
            "csv": self.entries.digest,
            "validation": f"by_patient({SALT!r}, {SHARE})" if self._hashed else "list",
        }

    def _columns(self) -> dict[str, Array]:
        metadata, self._implausible = tables.metadata(self.entries)
        follow_up = self.entries.values(tables.FOLLOW_UP, tables.whole_number)
        columns = {
            "sizes": np.full((len(self._row), 2), tables.FRAME, dtype=np.int64),
            "labels": tables.labels(self.entries),
            "metadata": metadata,
            "follow_up": np.array(follow_up, dtype=np.int64),
        }
        boxes = tables.read_boxes(self.root, self._row)
        if boxes is not None:
            columns["boxes"], columns["box_classes"], self._foreign_boxes = boxes
        adjudicated = tables.read_adjudicated(self.root, self._row)
        if adjudicated is not None:
            columns["adjudicated"] = adjudicated
        return columns

    def _folder(self, split: str, lists: str) -> Path:
        if lists:
            return Path(lists)
        return self.root / "chexnet_random" if split == CHEXNET_RANDOM else self.root

    def _choose(self, folder: Path, split: str, patients: Array) -> None:
        """Set splits and protocol from the lists in a folder."""
        lists = _read_lists(folder)
        whole = protocol_of(lists)
        if split == CHEXNET_RANDOM and whole != CHEXNET_RANDOM:
            raise DataError(f"the lists in {folder} are not those of {split}, but {whole}")
        present = self._present(lists, folder)
        self.protocol = whole
        if sum(map(len, present.values())) < sum(map(len, lists.values())):
            known = "custom" if whole.startswith("custom:") else f"{whole}-subset"
            self.protocol = protocol_of(present).replace("custom", known)
        rows = {
            part: np.sort(np.array([self._row[name] for name in names], dtype=np.int64))
            for part, names in present.items()
        }
        self._hashed = "train_val" in rows
        if self._hashed:
            together = rows.pop("train_val")
            chosen = by_patient(patients[together], SALT, SHARE)
            rows = {"train": together[~chosen], "validation": together[chosen], **rows}
        check_disjoint(rows, patients)
        self.splits = rows

    def _present(self, lists: Lists, folder: Path) -> Lists:
        """Return the lists without images that neither the table nor the root has: a subset.

        Raises:
            DataError: an image is in the root and in a list but has no row, or has a row and is in
                neither of the official lists.
        """
        listed = Counter(name for names in lists.values() for name in names)
        for name, times in listed.items():
            if times > 1:
                inside = [f"the {part} list" for part, names in lists.items() if name in names]
                where = " and in ".join(inside) if len(inside) > 1 else f"{inside[0]} {times} times"
                raise DataError(f"{folder}: {name} is in {where}; an image is in one list, once")
        self._unlisted = [name for name in self._row if name not in listed]
        if "train_val" in lists and self._unlisted:
            raise DataError(
                f"{self._unlisted[0]} ({len(self._unlisted)} images in all) is in "
                f"{self.entries.path}, but in no list of {folder}"
            )
        self._rowless = [name for name in listed if name not in self._row]
        for name in self._rowless:
            if name in self._sources or not self._sources:
                raise DataError(
                    f"{name} ({len(self._rowless)} images in all) is in a list of {folder}, but "
                    f"has no row in {self.entries.path}: the table is cut short, or a subset whose "
                    "lists must be cut down, too"
                )
        return {
            part: [name for name in names if name in self._row] for part, names in lists.items()
        }

    def read(self, row: int) -> Array:
        """Return one radiograph (H, W) uint8, whatever the number of channels in its file."""
        name = self.entries.columns[tables.IMAGE][row]
        source = self._source(name)
        return decode(source.read(name), source.where(name))

    def stamp(self, row: int) -> str:
        """Return name, size and time (or checksum) of the file behind a radiograph."""
        name = self.entries.columns[tables.IMAGE][row]
        return self._source(name).stamp(name)

    def _source(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            raise DataError(
                f"{name} is listed in {self.entries.path} but absent from {self.root} "
                f"({len(self._sources):,} images found in its folders and archives)"
            )
        return source

    @cached_property
    def _sources(self) -> Mapping[str, Source]:
        """Where each image lies; folders before archives."""
        places = [self.root, *self.root.glob("images*"), *self.root.glob("images_*/images")]
        folders = [Folder(place, ".png") for place in sorted(places) if place.is_dir()]
        archives = [
            path
            for place in (self.root, self.root / "images")
            for pattern in ("*.zip", "*.tar", "*.tar.gz", "*.tgz")
            for path in sorted(place.glob(pattern))
        ]
        found: dict[str, Source] = {}
        for source in [*folders, *open_archives(archives, ".png")]:
            for name in source.names():
                first = found.setdefault(name, source)
                if first is not source and isinstance(source, Folder):
                    raise DataError(
                        f"{name} lies in {first.path} and in {source.path}; remove one of them"
                    )
        return found

    @classmethod
    def write_phantoms(cls, root: Path, images: int, switches: Mapping[str, object]) -> None:
        """Write phantoms as numbered folders, v2020 table, lists and boxes of the test list."""
        write_root(cls, root, images, settings_of(switches), nih_layout.store, nih_layout.finish)

    def facts(self) -> list[Fact]:
        """Return what distinguishes this copy from the official one."""
        version = tables.DIGESTS.get(self.entries.digest)
        official = f"the official table ({version})" if version else "not an official file"
        missing = [name for name in self._row if name not in self._sources]
        places = {source.path for source in self._sources.values()}
        layout = ", ".join(sorted(str(place.relative_to(self.root)) for place in places))
        return [
            ("label table", f"{self.entries.path.name}: {official}", True if version else None),
            ("rows", f"{len(self._row):,} of {OFFICIAL_IMAGES:,}", None),
            ("images in", layout or "no folder or archive", None),
            ("image files absent", f"{len(missing):,}{_first(missing)}", not missing),
            *self._list_facts(),
            *self._box_facts(),
            ("ages", f"{self._implausible} above {tables.OLDEST} years, taken as unknown", None),
        ]

    def _list_facts(self) -> list[Fact]:
        facts: list[Fact] = []
        for part, rows in self.splits.items():
            known = known_list(self.samples.names[rows].tolist())
            if known and known.note:
                facts.append((f"about the {part} list", known.note, None))
        facts.append(("in a list, not in the table", f"{len(self._rowless):,} images", None))
        facts.append(("in the table, in no list", f"{len(self._unlisted):,} images", None))
        return facts

    def _box_facts(self) -> list[Fact]:
        classes = self.samples.column("box_classes")
        if classes is None:
            return [("boxes", f"no {tables.BOX_TABLE}: no localization", None)]
        boxed = np.asarray((classes >= 0).any(axis=1))
        outside = int(boxed[self.splits["train"]].sum() + boxed[self.splits["validation"]].sum())
        return [
            ("boxes", f"{int((classes >= 0).sum()):,} on {int(boxed.sum()):,} images", None),
            ("boxes of images without row", f"{self._foreign_boxes:,}", self._foreign_boxes == 0),
            ("images with boxes outside the test split", f"{outside:,}", outside == 0),
        ]


def _read_lists(folder: Path) -> Lists:
    """Return the lists of a folder: train_val and test, or train, validation and test.

    Raises:
        DataError: they are not there.
    """
    for parts in (
        {"train_val": "train_val", "test": "test"},
        {"train": "train", "validation": "val", "test": "test"},
    ):
        paths = {part: find_file(folder, f"{stem}_list.txt") for part, stem in parts.items()}
        if all(paths.values()):
            return {part: read_lines(path) for part, path in paths.items() if path}
    raise DataError(
        f"{folder} has no lists; expected train_val_list.txt and test_list.txt, "
        "or train_list.txt, val_list.txt and test_list.txt"
    )


def _first(names: list[str]) -> str:
    return f", first {names[0]}" if names else ""
