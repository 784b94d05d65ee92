"""Draw one phantom, or describe it without drawing."""

from dataclasses import dataclass, fields

import numpy as np

from harness.data.phantom.cohort import Film, stream
from harness.data.phantom.frequencies import prevalences
from harness.data.phantom.names import CLASS, REGIONS
from harness.data.phantom.regions import diffuse_regions, labels9, region_boxes, regions_touched
from harness.data.phantom.rendering import render
from harness.data.phantom.scene import Scene, scene_at
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Bytes, Floats, Mask, box_of


@dataclass(frozen=True)
class Description:
    """Everything that is known of a phantom; coordinates are continuous pixels of its image."""

    masks: Mask
    """Organs of names.ORGANS (3, S, S): left lung, right lung, heart; the patient's left."""
    regions: Floats
    """Boxes (18, 4) float32 of names.REGIONS: x1, y1, x2, y2."""
    region_findings: Mask
    """(18, 14): the finding lies in the region."""
    region_labels: Mask
    """(18, 9): names.LABELS9 of the region."""
    boxes: Floats
    """Boxes (K, 4) float32 of the findings that have a local extent, one for each place."""
    box_classes: Floats
    """Finding of each box (K,) int64."""
    labels: Floats
    """(14,) float32, 1 or 0: what a data set says, with label noise."""
    true_labels: Floats
    """(14,) float32, 1 or 0: what is drawn; the union over regions."""
    patient: int
    follow_up: int
    """0 for a patient's first film."""
    view: str
    """"AP" or "PA"."""
    age: int
    sex: str
    """"M" or "F"."""
    pose: Floats
    """Affine (2, 3) from canonical pixels (those at pose_spread 0) to this image's."""
    landmarks: Floats
    """Points (6, 2) float32 of names.LANDMARKS."""


@dataclass(frozen=True)
class Drawing(Description):
    """A phantom: its image and everything that is known of it."""

    image: Bytes
    """Gray values (S, S)."""


def draw(settings: PhantomSettings, index: int) -> Drawing:
    """Return phantom `index` (0, 1, ...) of an endless series; it depends on nothing else.

    Consecutive indices are the follow-up films of one patient, then the next patient's.
    """
    scene = scene_at(settings, index)
    known = annotate(scene)
    values = {field.name: getattr(known, field.name) for field in fields(known)}
    return Drawing(**values, image=render(scene))


def describe(settings: PhantomSettings, index: int) -> Description:
    """Return what `draw` knows of phantom `index`, without its image."""
    return annotate(scene_at(settings, index))


def annotate(scene: Scene) -> Description:
    """Return the annotations of a scene."""
    settings, film = scene.settings, scene.film
    regions = region_boxes(scene.chest, scene.pose, settings.size)
    region_findings = np.zeros((len(REGIONS), 14), bool)
    if film.findings[CLASS["Emphysema"]]:
        region_findings[diffuse_regions(), CLASS["Emphysema"]] = True
    boxes, classes = [], []
    for lesion, support in zip(scene.lesions, scene.supports, strict=True):
        region_findings[regions_touched(lesion, support, regions), lesion.finding] = True
        box = box_of(support)
        if box is not None:
            boxes.append(box)
            classes.append(lesion.finding)
    truth: Mask = np.asarray(region_findings.any(axis=0))
    return Description(
        masks=scene.masks.astype(bool),
        regions=regions,
        region_findings=region_findings,
        region_labels=labels9(region_findings),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_classes=np.array(classes, np.int64),
        labels=np.asarray(noisy(settings, film, truth), np.float32),
        true_labels=np.asarray(truth, np.float32),
        patient=film.patient,
        follow_up=film.follow_up,
        view=film.view,
        age=film.age,
        sex=film.sex,
        pose=scene.pose,
        landmarks=scene.pixels(scene.chest.landmarks).astype(np.float32),
    )


def noisy(settings: PhantomSettings, film: Film, truth: Mask) -> Mask:
    """Return labels (14,) of which some positives are lost and as many negatives made positive."""
    chance = stream(settings, "labels", film.index).random(14)
    p = prevalences(settings.enrich)
    gained = settings.label_noise * p / (1 - p)
    flipped: Mask = np.where(truth, chance >= settings.label_noise, chance < gained)
    return flipped
