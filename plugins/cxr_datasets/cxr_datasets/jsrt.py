"""JSRT: nodules on digitised films, with the organ masks of SCR."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from cxr_datasets import jsrt_layout
from cxr_datasets.gif import read_gif
from cxr_datasets.phantoms import read_settings, settings_of, write_root
from cxr_datasets.tables import read_content
from harness import (
    DataError,
    Dataset,
    LabelSpace,
    Samples,
    SettingError,
    by_patient,
    check_disjoint,
)
from harness.data.images import read_file, stamp_file

Array = npt.NDArray[Any]
Fact = tuple[str, str, bool | None]

SIDE = 2048  # pixels
BRIGHTEST = 4095  # 12 bits; high values are dark film
SPACING = 0.175  # mm a pixel
MASK_SIDE = 1024
ORGANS = {"left_lung": "left lung", "right_lung": "right lung", "heart": "heart"}
"""Masks and their folders; left and right are the patient's."""

SALT, SHARE = "jsrt", 0.1
"""Validation: the images of the training fold that ``by_patient`` picks with this salt."""

OFFICIAL = {"N": 93, "L": 154}
_NAME = re.compile(r"JPC([LN])N(\d{3})", re.IGNORECASE)
_GRAYS = ((BRIGHTEST - np.arange(BRIGHTEST + 1)) * 255 + BRIGHTEST // 2) // BRIGHTEST


class JSRT(Dataset):
    """One copy of the JSRT database, every film of another patient; with SCR's masks, if there.

    ``test_fold``: SCR's fold (1 the odd-numbered, 2 the even-numbered films) that is the test;
    ``masks``: the folder with fold1/masks/... where it lies elsewhere.
    """

    name: ClassVar[str] = "jsrt"
    phantom_images: ClassVar[int] = 60
    obtain: ClassVar[str] = (
        "The JSRT database is distributed by the Japanese Society of Radiological Technology, and "
        "the SCR masks by its authors (Image Sciences Institute, Utrecht), each to registered "
        "users for research; neither may be passed on.\n"
        "Expected in the root: All247images/JPCLN001.IMG ... (or the .IMG files themselves), "
        "CLNDAT_EN.txt and CNNDAT_EN.TXT (for nodules, ages and sex), and scratch/fold1/masks/"
        "{heart,left lung,right lung}/JPCLN001.gif ... with fold2 (or elsewhere: --data masks=DIR)."
    )

    def __init__(self, root: Path, *, test_fold: Literal["1", "2"] = "2", masks: str = "") -> None:
        self.root = Path(root)
        self.phantom = read_settings(self.root)
        self._films = _films(self.root)
        self._masks = _mask_folders(self.root, masks)
        self.space = LabelSpace(("Nodule",), organs=tuple(ORGANS) if self._masks else ())
        self.policy = {"validation": f"by_patient({SALT!r}, {SHARE})"}
        self.protocol = f"scr-test-fold{test_fold}"
        names = list(self._films)
        clinical = _clinical(self.root, "CLNDAT_EN.txt") | _clinical(self.root, "CNNDAT_EN.txt")
        self._told = [clinical.get(name, {}) for name in names]
        boxes = np.array([_box(told) for told in self._told], dtype=np.float32).reshape(-1, 1, 4)
        boxed = ~np.isnan(boxes).any(axis=2)
        known = [(told.get("age", np.nan), told.get("sex", np.nan), 0.0) for told in self._told]
        self.samples = Samples.of(
            self.space,
            names=names,
            patients=names,
            sizes=np.full((len(names), 2), SIDE, dtype=np.int64),
            labels=np.array([[_kind(name) == "L"] for name in names], dtype=np.float32),
            boxes=np.nan_to_num(boxes),
            box_classes=np.where(boxed, 0, -1).astype(np.int64),
            metadata=np.array(known, dtype=np.float32),
        )
        self._divide(np.array([2 - int(name[-3:]) % 2 for name in names]), int(test_fold))

    def _divide(self, fold: Array, test: int) -> None:
        rest = np.flatnonzero(fold != test)
        chosen = by_patient(self.samples.patients[rest], SALT, SHARE)
        self.splits = {
            "train": rest[~chosen],
            "validation": rest[chosen],
            "test": np.flatnonzero(fold == test),
        }
        check_disjoint(self.splits, self.samples.patients)

    def read(self, row: int) -> Array:
        """Return one radiograph (2048, 2048) uint8: 12 bits, inverted, to 8 bits."""
        path = self._films[self.samples.columns["names"].values[row]]
        content = read_file(path)
        if len(content) != 2 * SIDE * SIDE:
            raise DataError(f"{path} has {len(content):,} bytes; {2 * SIDE * SIDE:,} are expected")
        film = np.frombuffer(content, dtype=">u2").reshape(SIDE, SIDE)
        if film.max() > BRIGHTEST:
            raise DataError(f"{path} has values up to {film.max()}; big-endian 12 bits expected")
        return np.asarray(_GRAYS.astype(np.uint8)[film])

    def read_masks(self, row: int) -> Array | None:
        """Return left lung, right lung and heart (3, 2048, 2048) uint8, 255 inside."""
        if not self._masks:
            return None
        masks = [self._read_mask(path) for path in self._mask_files(row)]
        return np.stack([np.kron(mask, np.ones((2, 2), np.uint8)) for mask in masks])

    def _read_mask(self, path: Path) -> Array:
        try:
            mask = read_gif(read_file(path))
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
        if mask.shape != (MASK_SIDE, MASK_SIDE):
            raise DataError(f"{path} is {mask.shape[1]} x {mask.shape[0]}; 1024 x 1024 expected")
        return np.where(mask > 0, np.uint8(255), np.uint8(0))

    def _mask_files(self, row: int) -> list[Path]:
        name = str(self.samples.columns["names"].values[row])
        folder = self._masks[2 - int(name[-3:]) % 2]
        return [folder / organ / f"{name}.gif" for organ in ORGANS.values()]

    def stamp(self, row: int) -> str:
        """Return name, size and time of the film's file and of its masks'."""
        film = self._films[self.samples.columns["names"].values[row]]
        return " ".join(map(stamp_file, [film, *(self._mask_files(row) if self._masks else [])]))

    @classmethod
    def write_phantoms(cls, root: Path, images: int, switches: Mapping[str, object]) -> None:
        """Write phantoms as .IMG films, one a patient, in the rendering of JSRT, with masks."""
        if images > 999:
            raise SettingError(f"JSRT's names count to 999; {images} phantoms do not fit")
        settings = settings_of(switches, style="jsrt", images_per_patient=1.0)
        if settings.images_per_patient != 1:
            raise SettingError("every film of JSRT is of another patient: images_per_patient is 1")
        write_root(cls, root, images, settings, jsrt_layout.store, jsrt_layout.finish)

    def facts(self) -> list[Fact]:
        """Return counts against the release, and what is known of the films."""
        kinds = {kind: sum(_kind(name) == kind for name in self._films) for kind in OFFICIAL}
        boxes = int((self.samples.need("box_classes") >= 0).sum())
        nodules = int(self.samples.need("labels").sum())
        ages = int(np.isfinite(self.samples.need("metadata")[:, 0]).sum())
        return [
            ("films with a nodule", f"{kinds['L']} of {OFFICIAL['L']}", _same(kinds, "L")),
            ("films without", f"{kinds['N']} of {OFFICIAL['N']}", _same(kinds, "N")),
            ("nodules with a place", f"{boxes} of {nodules}", True if boxes == nodules else None),
            ("films with an age", f"{ages} of {len(self._films)}", None),
            ("organ masks", "SCR's" if self._masks else "none: no fold1/masks found", None),
        ]


def _same(kinds: Mapping[str, int], kind: str) -> bool | None:
    return True if kinds[kind] == OFFICIAL[kind] else None


def _kind(name: str) -> str:
    return name[3]


def _films(root: Path) -> dict[str, Path]:
    """Return the .IMG files by name, sorted.

    Raises:
        DataError: there are none, or one has another name.
    """
    found: dict[str, Path] = {}
    for path in sorted([*root.glob("*.[Ii][Mm][Gg]"), *root.glob("*/*.[Ii][Mm][Gg]")]):
        if not _NAME.fullmatch(path.stem):
            raise DataError(f"{path} is not named JPCLN001.IMG or JPCNN001.IMG")
        first = found.setdefault(path.stem.upper(), path)
        if first != path:
            raise DataError(f"{path.stem} lies in {first.parent} and in {path.parent}")
    if not found:
        raise DataError(f"{root} has no JPCLN001.IMG ..., nor has any folder in it")
    return dict(sorted(found.items()))


def _mask_folders(root: Path, given: str) -> dict[int, Path]:
    """Return fold to its folder of masks; empty where there are none and none were asked for."""
    places = [Path(given)] if given else [root, *sorted(root.glob("*/"))]
    for place in places:
        folders = {fold: place / f"fold{fold}" / "masks" for fold in (1, 2)}
        if all(folder.is_dir() for folder in folders.values()):
            return folders
    if given:
        raise DataError(f"{given} has no fold1/masks and fold2/masks")
    return {}


def _clinical(root: Path, name: str) -> dict[str, dict[str, float]]:
    """Return age, sex (1 male) and nodule (x, y in pixels, size in mm) by film, as far as told.

    Fields are separated by tabs, lines end as on any machine; "?" is unknown. With nodule: file,
    subtlety, size, age, sex, x, y, ...; without: file, age, sex, ...
    """
    found = [
        path
        for folder in [root, *sorted(root.glob("*/"))]
        for path in sorted(folder.glob("*.[Tt][Xx][Tt]"))
        if path.name.lower() == name.lower()
    ]
    told: dict[str, dict[str, float]] = {}
    nodules = name.startswith("CLN")
    fields = ("", "size", "age", "sex", "x", "y") if nodules else ("age", "sex")
    for path in found[:1]:
        for number, line in enumerate(read_content(path).decode("latin-1").splitlines(), 1):
            film, *values = [value.strip() for value in line.split("\t")]
            if not film:
                continue
            stem = film.upper().removesuffix(".IMG")
            if not _NAME.fullmatch(stem) or len(values) < len(fields):
                raise DataError(f"{path}, line {number} ({film}): not the fields of a film")
            try:
                told[stem] = {key: _value(key, v) for key, v in zip(fields, values) if key}  # noqa: B905
            except ValueError as error:
                raise DataError(f"{path}, line {number} ({film}): {error}") from None
    return told


def _value(key: str, text: str) -> float:
    if text == "?":
        return np.nan
    if key == "sex":
        sexes = {"male": 1.0, "m": 1.0, "female": 0.0, "f": 0.0}
        if text.lower() not in sexes:
            raise ValueError(f"{text!r} is neither male nor female")
        return sexes[text.lower()]
    limit = {"age": 120, "size": 200}.get(key, SIDE)
    if not 0 <= float(text) <= limit:
        raise ValueError(f"{key} {text} is not between 0 and {limit}")
    return float(text)


def _box(told: Mapping[str, float]) -> tuple[float, ...]:
    """Return the square around a nodule, cut at the film's border; NaN where none is told."""
    x, y, half = (told.get(key, np.nan) for key in ("x", "y", "size"))
    half /= 2 * SPACING
    return tuple(np.clip((x - half, y - half, x + half, y + half), 0, SIDE))
