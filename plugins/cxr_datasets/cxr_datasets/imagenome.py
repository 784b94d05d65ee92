"""Chest ImaGenome: scene graphs over the images of MIMIC-CXR-JPG."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from cxr_datasets import imagenome_layout
from cxr_datasets.phantoms import read_settings, settings_of, write_root
from cxr_datasets.scene_graphs import SUFFIX, Graphs, Rule, Vocabulary, open_graphs, parse_all
from cxr_datasets.tables import read_table
from harness import DataError, Dataset, LabelSpace, Samples, check_disjoint, protocol_of
from harness.data.images import read_image, stamp_file

Array = npt.NDArray[Any]
Fact = tuple[str, str, bool | None]

REGIONS = (
    # the 18 of AnaXNet, in its order
    "right lung", "right apical zone", "right upper lung zone", "right mid lung zone",
    "right lower lung zone", "right hilar structures", "right costophrenic angle", "left lung",
    "left apical zone", "left upper lung zone", "left mid lung zone", "left lower lung zone",
    "left hilar structures", "left costophrenic angle", "mediastinum", "upper mediastinum",
    "cardiac silhouette", "trachea",
    # with these the 29 that have both boxes and attributes
    "right hemidiaphragm", "left hemidiaphragm", "spine", "right clavicle", "left clavicle",
    "aortic arch", "svc", "cavoatrial junction", "right atrium", "carina", "abdomen",
    # with these all 36 that have boxes
    "right cardiophrenic angle", "left cardiophrenic angle", "right cardiac silhouette",
    "left cardiac silhouette", "descending aorta", "right upper abdomen", "left upper abdomen",
)  # fmt: skip
LABELS = (
    "lung opacity", "pleural effusion", "atelectasis", "enlarged cardiac silhouette",
    "pulmonary edema/hazy opacity", "pneumothorax", "consolidation",
    "fluid overload/heart failure", "pneumonia",
)  # fmt: skip
"""L1 to L9 of AnaXNet."""

FILES = {"train": "train.csv", "validation": "valid.csv", "test": "test.csv"}
OFFICIAL = {"train": 166_521, "validation": 23_953, "test": 47_393}
KNOWN_GAPS = 24  # images of the released lists that have no scene graph


class ImaGenome(Dataset):
    """One copy of Chest ImaGenome 1.0.0 with MIMIC-CXR-JPG.

    ``regions``: the first 18 (AnaXNet's), 29 or 36 of ``REGIONS``; ``rule``: how the sentences of a
    report are joined; ``images``: the folder of MIMIC-CXR-JPG where it lies outside the root.
    """

    name: ClassVar[str] = "imagenome"
    credentialed: ClassVar[bool] = True
    obtain: ClassVar[str] = (
        "Chest ImaGenome 1.0.0 and MIMIC-CXR-JPG 2.0.0 or later are distributed by PhysioNet to "
        "credentialed users under its credentialed health data licence; nothing of them may be "
        "passed on.\n"
        "Expected in the root: silver_dataset/ (also inside chest-imagenome-dataset-1.0.0/) with "
        "splits/train.csv, valid.csv, test.csv, images_to_avoid.csv and scene_graph/ or "
        "scene_graph.zip; and files/p10/... with mimic-cxr-2.0.0-metadata.csv.gz (also inside a "
        "folder mimic-cxr-jpg*, or elsewhere: --data images=DIR)."
    )

    def __init__(
        self,
        root: Path,
        *,
        regions: Literal["18", "29", "36"] = "18",
        rule: Rule = "last_wins",
        images: str = "",
    ) -> None:
        self.root = Path(root)
        self.phantom = read_settings(self.root)
        self._silver = _folder(self.root, "silver_dataset")
        self._mimic = Path(images) if images else None
        chosen = REGIONS[: int(regions)]
        self.space = LabelSpace(LABELS, regions=chosen, region_classes=LABELS)
        self.policy = {"regions": regions, "labels": rule}
        self._counts: dict[str, int] = {}
        listed = _read_splits(self._silver / "splits", self._counts)
        graphs, listed = self._parse(listed, Vocabulary(chosen, LABELS, rule))
        self._paths = listed["path"]
        self._join(graphs, listed)

    def _parse(
        self, listed: dict[str, Array], vocabulary: Vocabulary
    ) -> tuple[Graphs, dict[str, Array]]:
        """Return the graphs, and the listed images that have one.

        Raises:
            DataError: more lack one than in the release, or a graph is of another patient.
        """
        source = open_graphs(self._silver)
        there = set(source.names())
        has = np.array([name + SUFFIX in there for name in listed["dicom_id"].tolist()])
        missing = int((~has).sum())
        self._counts["images without scene graph"] = missing
        if missing > max(KNOWN_GAPS, len(has) // 1000):
            first = listed["dicom_id"][~has][0]
            raise DataError(
                f"{missing} listed images have no scene graph in {source.path}, first {first}; "
                "unpack scene_graph.zip completely"
            )
        listed = {key: values[has] for key, values in listed.items()}
        graphs = parse_all(source, listed["dicom_id"].tolist(), vocabulary)
        for row in np.flatnonzero(graphs.patients != listed["subject_id"]):
            raise DataError(
                f"{source.where(listed['dicom_id'][row] + SUFFIX)}: patient "
                f"{graphs.patients[row]}, but the split files say {listed['subject_id'][row]}"
            )
        return graphs, listed

    def _join(self, graphs: Graphs, listed: dict[str, Array]) -> None:
        sizes = self._sizes(listed["dicom_id"].tolist())
        views = {"AP": 1.0, "PA": 0.0}
        view = [views.get(text, np.nan) for text in listed["ViewPosition"].tolist()]
        labels = graphs.labels.astype(np.float32)
        self.samples = Samples.of(
            self.space,
            names=listed["dicom_id"].tolist(),
            patients=listed["subject_id"].tolist(),
            sizes=sizes,
            labels=labels.max(axis=1),
            region_boxes=self._inside(graphs.boxes, sizes),
            region_labels=labels,
            metadata=np.stack([graphs.ages, graphs.male, view], axis=1).astype(np.float32),
            study=listed["study_id"].astype(np.int64),
        )
        self._counts["images neither AP nor PA"] = int(np.isnan(view).sum())
        self._counts["boxes joined with another of the same region"] = int(graphs.doubled.sum())
        self._counts["boxes without four numbers"] = int(graphs.unusable.sum())
        self.protocol = self._protocol(listed)
        self.splits = {part: np.flatnonzero(listed["part"] == part) for part in FILES}
        check_disjoint(self.splits, self.samples.patients)

    def _protocol(self, listed: dict[str, Array]) -> str:
        """Return "official" when the split files have the released numbers of images."""
        counts = {part: self._counts[f"listed in {name}"] for part, name in FILES.items()}
        if counts == OFFICIAL:
            return "official"
        return protocol_of({part: listed["dicom_id"][listed["part"] == part] for part in FILES})

    def _inside(self, boxes: Array, sizes: Array) -> Array:
        """Return boxes cut to their images; those without area are NaN. Both are counted."""
        limit = np.concatenate([sizes[:, ::-1], sizes[:, ::-1]], axis=1)[:, None].astype(np.float32)
        cut = np.clip(boxes, 0, limit)
        found = ~np.isnan(boxes).any(axis=2)
        if not found.any():
            raise DataError(f"no scene graph of {self._silver} has a box of any known region")
        outside = found & (cut != boxes).any(axis=2)
        empty = found & ~((cut[..., 2] > cut[..., 0]) & (cut[..., 3] > cut[..., 1]))
        cut[empty] = np.nan
        self._counts["boxes cut at the image's border"] = int((outside & ~empty).sum())
        self._counts["boxes without area in the image"] = int(empty.sum())
        self._counts["regions without a box"] = int((~found).sum())
        return cut

    def _sizes(self, images: list[str]) -> Array:
        """Return height and width (N, 2) of images, from the metadata of MIMIC-CXR-JPG."""
        folder = self._images
        paths = sorted(folder.glob("mimic-cxr-2*-metadata.csv*"))
        if not paths:
            raise DataError(f"{folder} has no mimic-cxr-2.0.0-metadata.csv.gz: sizes are unknown")
        table = read_table(paths[0], ("dicom_id", "Rows", "Columns"))
        row_of = {name: row for row, name in enumerate(table.columns[0])}
        sizes = np.array([table.values(1, _length), table.values(2, _length)], dtype=np.int64).T
        for image in images:
            if image not in row_of:
                raise DataError(f"{paths[0]} has no row for {image} of the split files")
        return np.asarray(sizes[[row_of[image] for image in images]])

    @cached_property
    def _images(self) -> Path:
        return self._mimic or _folder(self.root, "files").parent

    def read(self, row: int) -> Array:
        """Return one radiograph (H, W) uint8."""
        return read_image(self._images / self._paths[row])

    def stamp(self, row: int) -> str:
        """Return name, size and time of the file behind a radiograph."""
        return stamp_file(self._images / self._paths[row])

    @classmethod
    def write_phantoms(cls, root: Path, images: int, switches: Mapping[str, object]) -> None:
        """Write phantoms as scene graphs, split files and images of MIMIC-CXR-JPG."""
        store, finish = imagenome_layout.store, imagenome_layout.finish
        write_root(cls, root, images, settings_of(switches), store, finish)

    def facts(self) -> list[Fact]:
        """Return counts against the release, and what was left out or repaired."""
        facts: list[Fact] = []
        for part, official in OFFICIAL.items():
            listed = self._counts[f"listed in {FILES[part]}"]
            said = f"{listed:,} of {official:,}"
            facts.append((f"listed in {FILES[part]}", said, True if listed == official else None))
        shown = {what: n for what, n in self._counts.items() if not what.startswith("listed in")}
        facts += [(what, f"{count:,}", None) for what, count in shown.items()]
        boxed = ~np.isnan(self.samples.need("region_boxes")[..., 0])
        for region, share in zip(self.space.regions, boxed.mean(axis=0), strict=True):
            if share < 0.5:
                facts.append((f"boxes of {region}", f"{share:.1%} of the images", False))
        return facts


def _folder(root: Path, name: str) -> Path:
    """Return the folder of this name in the root or in one of its folders."""
    for folder in [root / name, *sorted(root.glob(f"*/{name}"))]:
        if folder.is_dir():
            return folder
    raise DataError(f"{root} has no folder {name}, nor has any folder in it")


def _read_splits(folder: Path, counts: dict[str, int]) -> dict[str, Array]:
    """Return the listed images, column by column, without those to avoid.

    Those are the gold standard's, left out of training and validation.
    """
    columns = ("dicom_id", "subject_id", "study_id", "path", "ViewPosition")
    avoid = set(read_table(folder / "images_to_avoid.csv", columns[:1]).columns[0])
    kept: list[tuple[str, ...]] = []
    for part, name in FILES.items():
        table = read_table(folder / name, columns)
        counts[f"listed in {name}"] = len(table)
        paths = table.values(3, _jpg)
        table.values(2, int)
        rows = zip(*table.columns[:3], paths, table.columns[4], [part] * len(table), strict=True)
        before = len(kept)
        kept += [row for row in rows if part == "test" or row[0] not in avoid]
        counts[f"images to avoid in {name}"] = len(table) - (len(kept) - before)
    seen: dict[str, str] = {}
    for row in kept:
        if row[0] in seen:
            raise DataError(f"{row[0]} is listed in {FILES[seen[row[0]]]} and {FILES[row[5]]}")
        seen[row[0]] = row[5]
    found = [np.array(column, dtype=np.str_) for column in zip(*kept, strict=True)]
    if not found:
        raise DataError(f"the split files of {folder} list no images")
    return dict(zip((*columns, "part"), found, strict=True))


def _jpg(path: str) -> str:
    """Return the path of an image of MIMIC-CXR-JPG from that of its DICOM file."""
    if not (path.startswith("files/p") and path.endswith(".dcm")) or ".." in path:
        raise ValueError(f"{path!r} is not files/p10/p.../s.../<dicom_id>.dcm")
    return path.removesuffix(".dcm") + ".jpg"


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise ValueError(f"{text!r} is no number of pixels")
    return int(text)
