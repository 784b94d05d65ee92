"""The phantom as a dataset of its own: described when it is opened, drawn when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.phantom import (
    FINDINGS,
    LABELS9,
    ORGANS,
    REGIONS,
    Description,
    PhantomSettings,
    describe,
    draw,
)
from harness.data.samples import LabelSpace, Samples
from harness.errors import SettingError
from harness.seeds import derive

Array = npt.NDArray[Any]
_SHARES = {"test": 0.25, "validation": 0.125}  # of the patients


class DrawnPhantom(Dataset):
    """``images`` phantoms of one series; the other options are those of ``PhantomSettings``."""

    name: ClassVar[str] = "phantom"
    space = LabelSpace(FINDINGS, REGIONS, LABELS9, ORGANS)
    root = Path("(drawn)")

    def __init__(
        self,
        *,
        images: int = 1000,
        seed: int = 0,
        size: int = 256,
        pose_spread: float = 1.0,
        location_priors: bool = True,
        neighbours: bool = True,
        outside: float = 0.0,
        distractors: float = 1.0,
        style: str = "nih",
        label_noise: float = 0.1,
        enrich: float = 0.0,
        images_per_patient: float = 3.64,
    ) -> None:
        if images < 20:
            raise SettingError(f"phantom: images is {images}; three splits need at least 20")
        self.settings = PhantomSettings(
            seed,
            size,
            pose_spread,
            location_priors,
            neighbours,
            outside,
            distractors,
            style,
            label_noise,
            enrich,
            images_per_patient,
        )
        self.phantom = {"images": images, **self.settings.as_dict()}
        self.policy = {"labels": "drawn"}
        self.protocol = "phantom"
        self.samples = samples_of([describe(self.settings, row) for row in range(images)], size)
        self.splits = divided(self.samples.patients)

    def read(self, row: int) -> Array:
        """Draw one radiograph (S, S) uint8."""
        return np.asarray(draw(self.settings, row).image)

    def read_masks(self, row: int) -> Array:
        """Return left lung, right lung and heart (3, S, S) uint8, 255 inside."""
        return np.asarray(describe(self.settings, row).masks, dtype=np.uint8) * np.uint8(255)

    def stamp(self, row: int) -> str:
        """Return what the drawing depends on."""
        return f"{sorted(self.settings.as_dict().items())} {row}"


def samples_of(described: list[Description], size: int) -> Samples:
    """Return the annotations of phantoms, boxes padded to the most that one has."""
    most = max(1, *(len(one.boxes) for one in described))
    boxes = np.zeros((len(described), most, 4), dtype=np.float32)
    classes = np.full((len(described), most), -1, dtype=np.int64)
    for row, one in enumerate(described):
        boxes[row, : len(one.boxes)], classes[row, : len(one.boxes)] = one.boxes, one.box_classes
    return Samples.of(
        DrawnPhantom.space,
        names=[f"{one.patient:08d}_{one.follow_up:03d}" for one in described],
        patients=[f"{one.patient:08d}" for one in described],
        sizes=np.full((len(described), 2), size, dtype=np.int64),
        labels=np.stack([one.labels for one in described]).astype(np.float32),
        boxes=boxes,
        box_classes=classes,
        region_boxes=np.stack([one.regions for one in described]).astype(np.float32),
        region_labels=np.stack([one.region_labels for one in described]).astype(np.float32),
        metadata=np.array(
            [(one.age, one.sex == "M", one.view == "AP") for one in described], dtype=np.float32
        ),
        follow_up=np.array([one.follow_up for one in described], dtype=np.int64),
        pose=np.stack([one.pose for one in described]).astype(np.float64),
        landmarks=np.stack([one.landmarks for one in described]).astype(np.float32),
        true_labels=np.stack([one.true_labels for one in described]).astype(np.float32),
    )


def divided(patients: Array) -> dict[str, Array]:
    """Return rows of training, validation and test: patients in the order of a hash, none empty."""
    names, patient = np.unique(patients, return_inverse=True)
    rank = np.argsort(np.argsort([derive(0, "phantom-split", name) for name in names]))[patient]
    test = max(1, round(_SHARES["test"] * len(names)))
    validation = max(1, round(_SHARES["validation"] * len(names)))
    part = np.searchsorted([test, test + validation], rank, side="right")
    names_of_parts = ("test", "validation", "train")
    return {name: np.flatnonzero(part == p) for p, name in enumerate(names_of_parts)}
