"""The 18 regions of a chest, which finding lies in which, and their 9 labels."""

from typing import Final

import numpy as np

from harness.data.phantom.anatomy import Anatomy, Lung
from harness.data.phantom.lesions import MIDDLE, OUTSIDE, Lesion
from harness.data.phantom.names import CLASS, LABELS9, REGION, REGIONS
from harness.data.phantom.seats import ZONES
from harness.data.phantom.shapes import Bytes, Floats, Mask, apply_affine

APICAL: Final = 0.16
UPPER: Final = 0.36
MID: Final = 0.64
"""Lower ends of the apical (part of the upper), upper and mid zone, of a lung's height."""

SHARE: Final = 0.35
"""A finding is in a region that holds this share of it, or of which it takes this share."""

LUNG_REGIONS: Final = (slice(0, 7), slice(7, 14))
MIDDLE_REGIONS: Final = tuple(
    REGION[name] for name in ("mediastinum", "upper mediastinum", "cardiac silhouette")
)
DIFFUSE: Final = ("lung", "apical zone", "upper lung zone", "mid lung zone", "lower lung zone")

IMPLIES: Final = {
    "lung opacity": (
        "Atelectasis", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
        "Consolidation", "Edema", "Fibrosis",
    ),
    "pleural effusion": ("Effusion",),
    "atelectasis": ("Atelectasis",),
    "enlarged cardiac silhouette": ("Cardiomegaly",),
    "pulmonary edema/hazy opacity": ("Edema", "Infiltration"),
    "pneumothorax": ("Pneumothorax",),
    "consolidation": ("Consolidation",),
    "fluid overload/heart failure": (),
    "pneumonia": ("Pneumonia",),
}  # fmt: skip
"""Region labels by the findings of the same region. Heart failure: edema in the region of an image
that also has cardiomegaly or effusion. Emphysema, pleural thickening and hernia imply none."""


def region_points(chest: Anatomy) -> list[Floats]:
    """Return, for each of the 18 regions, canonical points (N, 2) that its box encloses."""
    points = []
    for lung, hilum in zip(chest.lungs, chest.hila, strict=True):
        points += lung_regions(lung, hilum)
    mediastinum, heart, carina = chest.mediastinum, chest.heart, chest.carina
    upper = mediastinum[mediastinum[:, 1] <= carina[1] + 0.02]
    trachea = carina + np.array([(-0.028, 0.0), (0.028, 0.0), (-0.022, -0.27), (0.022, -0.27)])
    heart_top = heart[heart[:, 1] <= np.median(heart[:, 1])]
    points += [np.concatenate([mediastinum, heart_top]), upper, heart, trachea]
    return points


def lung_regions(lung: Lung, hilum: Floats) -> list[Floats]:
    """Return the points of a lung's seven regions, in the order of names.REGIONS."""
    half = np.array((0.055, 0.065))
    inward = np.sign(lung.inner[0] - lung.outer[0])
    angle = np.stack([lung.angle, lung.angle + np.array((inward * 0.09, -0.10))])
    return [
        np.concatenate([lung.strip(0, 1), lung.angle[None]]),
        lung.strip(0, APICAL),
        lung.strip(0, UPPER),
        lung.strip(UPPER, MID),
        lung.strip(MID, 1),
        np.stack([hilum - half, hilum + half]),
        angle,
    ]


def region_boxes(chest: Anatomy, pose: Floats, size: int) -> Floats:
    """Return the regions as boxes (18, 4) in image pixels, cut at the image's border."""
    points = region_points(chest)
    starts = np.cumsum([0, *(len(group) for group in points[:-1])])
    moved = apply_affine(pose, np.concatenate(points) * size)
    corners = [np.minimum.reduceat(moved, starts), np.maximum.reduceat(moved, starts)]
    return np.concatenate(corners, axis=1).clip(0, size).astype(np.float32)


def candidates(lesion: Lesion) -> list[int]:
    """Return the regions in which a lesion can be counted: those of its side, or the middle's."""
    if lesion.side == OUTSIDE:
        return list(range(len(REGIONS)))
    if lesion.finding == CLASS["Cardiomegaly"]:
        return [REGION["cardiac silhouette"]]
    if lesion.side == MIDDLE:
        return list(MIDDLE_REGIONS)
    return list(range(len(REGIONS))[LUNG_REGIONS[lesion.side]])


def regions_touched(lesion: Lesion, support: Bytes, boxes: Floats) -> list[int]:
    """Return the regions that a lesion with this support (H, W) lies in, at least one."""
    area = max(int(np.count_nonzero(support)), 1)
    allowed = candidates(lesion)
    shares = []
    for index in allowed:
        x1, y1, x2, y2 = np.rint(boxes[index]).astype(int)
        inside = int(np.count_nonzero(support[y1:y2, x1:x2]))
        shares.append(max(inside / area, inside / max((x2 - x1) * (y2 - y1), 1)))
    touched = {index for index, share in zip(allowed, shares, strict=True) if share >= SHARE}
    touched.add(allowed[int(np.argmax(shares))])
    if lesion.zone >= 0 and lesion.side != OUTSIDE:
        side, level = ZONES[lesion.zone]
        zone = ("upper", "mid", "lower")[level]
        touched |= {REGION[f"{side} lung"], REGION[f"{side} {zone} lung zone"]}
    elif lesion.side < MIDDLE:
        touched.add(LUNG_REGIONS[lesion.side].start)
    return sorted(touched)


def diffuse_regions() -> list[int]:
    """Return the regions of a finding of both whole lungs (emphysema)."""
    return [REGION[f"{side} {part}"] for side in ("right", "left") for part in DIFFUSE]


def labels9(region_findings: Mask) -> Mask:
    """Return the labels L1 to L9 of the regions (18, 9) from their findings (18, 14)."""
    labels = np.zeros((len(REGIONS), len(LABELS9)), bool)
    for column, name in enumerate(LABELS9):
        classes = [CLASS[finding] for finding in IMPLIES[name]]
        labels[:, column] = region_findings[:, classes].any(axis=1)
    if region_findings[:, [CLASS["Cardiomegaly"], CLASS["Effusion"]]].any():
        failure = LABELS9.index("fluid overload/heart failure")
        labels[:, failure] = region_findings[:, CLASS["Edema"]]
    return labels
