"""What is known of the data sets whatever a paper prints: counts, test lists, bands."""

from collections.abc import Mapping
from typing import Final

from harness.metrics.verdict import CLASS_AUROC, LOCALIZATION_ACCURACY, MEAN_AUROC

COUNTS: Final[Mapping[str, Mapping[str, float]]] = {
    "nih": {
        "images": 112_120,
        "patients": 30_805,
        "train_validation_images": 86_524,
        "test_images": 25_596,
        "test_percent": 22.8,
        "boxes": 984,
        "box_images": 880,
    },
    "chexpert": {"images": 224_316, "patients": 65_240},
}
"""Counted from the released lists (NIH) or stated by the data set's authors (CheXpert)."""

TEST_LISTS: Final[Mapping[tuple[str, str], str]] = {
    ("nih", "official"): "38ca5ef7f7560929",
    ("nih", "chexnet-random"): "a20c79828a7825d1",
}
"""Per (data set, split): the first 16 hexadecimal digits of the test list's fingerprint."""

TOLERANCE: Final[Mapping[str, float]] = {
    "auroc": MEAN_AUROC,
    "region_auroc": MEAN_AUROC,
    "localization": LOCALIZATION_ACCURACY,
}
"""Largest difference of means that still is a match, per metric; pinned before any result."""

CLASS_TOLERANCE: Final[Mapping[str, float]] = {
    "auroc": CLASS_AUROC,
    "region_auroc": CLASS_AUROC,
    "localization": LOCALIZATION_ACCURACY,
}
"""The same for one class."""

SIGNATURE_NOTE: Final = "split signature resembles a random patient split"

BOXES: Final[Mapping[str, Mapping[str, int]]] = {
    "nih": {
        "Atelectasis": 180,
        "Cardiomegaly": 146,
        "Effusion": 153,
        "Infiltration": 123,
        "Mass": 85,
        "Nodule": 79,
        "Pneumonia": 120,
        "Pneumothorax": 98,
    }
}
"""Annotated boxes per class, one for each image and class that has any (BBox_List_2017)."""
