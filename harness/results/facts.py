"""What is known of the data sets whatever a paper prints: counts, test lists, bands."""

from collections.abc import Mapping
from typing import Final

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
    "auroc": 0.010,
    "region_auroc": 0.010,
    "localization": 0.05,
}
"""Largest difference of means that still is a match, per metric; pinned before any result."""

CLASS_TOLERANCE: Final[Mapping[str, float]] = {
    "auroc": 0.020,
    "region_auroc": 0.020,
    "localization": 0.05,
}

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
