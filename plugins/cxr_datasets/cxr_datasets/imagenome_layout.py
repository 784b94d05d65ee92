"""Phantoms as Chest ImaGenome over MIMIC-CXR-JPG: scene graphs, split files, metadata, images."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_datasets.phantoms import csv_text, write_image
from harness import Description, Drawing, PhantomSettings, by_patient
from harness.data.phantom import LABELS9, REGIONS

Array = npt.NDArray[Any]

SILVER = Path("chest-imagenome-dataset-1.0.0", "silver_dataset")
MIMIC = Path("mimic-cxr-jpg-2.0.0")
FRAME = 224  # of the coordinates x1 to y2: the image shrunk into a square of this many pixels
QUALITY = 95
DISEASES = ("fluid overload/heart failure", "pneumonia")
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.125  # of patients; of the rest: 70/10/20 together


def ids(film: Description) -> tuple[str, str, str]:
    """Return subject, study and DICOM identifiers in the form of MIMIC-CXR's."""
    subject = str(10_000_000 + film.patient)
    study = str(50_000_000 + film.patient + film.follow_up)
    digest = hashlib.sha256(study.encode()).hexdigest()
    return subject, study, "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def path_of(film: Description, suffix: str) -> str:
    """Return the path of an image inside MIMIC-CXR(-JPG)."""
    subject, study, dicom = ids(film)
    return f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}{suffix}"


def store(folder: Path, index: int, drawing: Drawing) -> None:
    """Write the image and the scene graph of one phantom."""
    write_image(folder / MIMIC / path_of(drawing, ".jpg"), drawing.image, QUALITY)
    graphs = folder / SILVER / "scene_graph"
    graphs.mkdir(parents=True, exist_ok=True)
    graph = scene_graph(drawing, drawing.image.shape[0])
    (graphs / f"{ids(drawing)[2]}_SceneGraph.json").write_text(json.dumps(graph))


def scene_graph(film: Description, size: int) -> dict[str, Any]:
    """Return the scene graph of a phantom: whole-pixel boxes, sentences about its findings."""
    subject, study, dicom = ids(film)
    decade = film.age // 10 * 10
    said = [_attributes(dicom, study, region, film) for region in range(len(REGIONS))]
    return {
        "image_id": dicom,
        "viewpoint": film.view,
        "patient_id": int(subject),
        "study_id": int(study),
        "gender": film.sex,
        "age_decile": f"{decade}-{decade + 10}",
        "reason_for_exam": "a phantom",
        "StudyOrder": film.follow_up + 1,
        "StudyDateTime": f"{2100 + film.follow_up}-01-01 00:00:00 UTC",
        "objects": [_object(dicom, k, film.regions[k], size) for k in range(len(REGIONS))],
        "attributes": [entry for entry in said if entry],
        "relationships": [],
    }


def _object(dicom: str, region: int, box: Any, size: int) -> dict[str, Any]:  # noqa: ANN401
    name = REGIONS[region]
    corners = np.rint(np.asarray(box, dtype=float)).astype(int).tolist()
    small = np.rint(np.asarray(box, dtype=float) * FRAME / size).astype(int).tolist()
    return {
        "object_id": f"{dicom}_{name}",
        **_extent("", small),
        "bbox_name": name,
        "synsets": [],
        "name": name.capitalize(),
        **_extent("original_", corners),
    }


def _extent(prefix: str, corners: Sequence[int]) -> dict[str, int]:
    x1, y1, x2, y2 = corners
    values = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "width": x2 - x1, "height": y2 - y1}
    return {prefix + key: value for key, value in values.items()}


def _attributes(dicom: str, study: str, region: int, film: Description) -> Mapping[str, Any]:
    """Return what a report says of a region: a sentence for each finding, some after a denial.

    Denials come first, so that both ways of joining sentences find the same.
    """
    name, sentences = REGIONS[region], []
    for label in range(len(LABELS9)):
        present = bool(film.region_labels[region, label])
        if not present and (film.patient + region + label) % 3:
            continue
        sentences.append([_statement(label, "no"), "nlp|yes|normal"])
        if present:
            sentences.append([_statement(label, "yes"), "nlp|yes|abnormal"])
    if not sentences:
        return {}
    count = len(sentences)
    return {
        name: True,
        "bbox_name": name,
        "object_id": f"{dicom}_{name}",
        "synsets": [],
        "name": name.capitalize(),
        "attributes": sentences,
        "attributes_ids": [[""] * len(sentence) for sentence in sentences],
        "phrases": [f"A drawn sentence about the {name}." for _ in sentences],
        "phrase_IDs": [f"{study}|{k}" for k in range(count)],
        "sections": ["finalreport"] * count,
        "comparison_cues": [[] for _ in sentences],
        "temporal_cues": [[] for _ in sentences],
        "severity_cues": [[] for _ in sentences],
        "texture_cues": [[] for _ in sentences],
    }


def _statement(label: int, polarity: str) -> str:
    category = "disease" if LABELS9[label] in DISEASES else "anatomicalfinding"
    return f"{category}|{polarity}|{LABELS9[label]}"


def finish(folder: Path, films: Sequence[Description], settings: PhantomSettings) -> None:
    """Write the split files of both datasets and the metadata of MIMIC-CXR-JPG."""
    parts = _parts(np.array([str(film.patient) for film in films]))
    columns = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
    rows = [(*ids(film), path_of(film, ".dcm"), film.view) for film in films]
    splits = folder / SILVER / "splits"
    splits.mkdir(parents=True, exist_ok=True)
    for part in ("train", "valid", "test"):
        own = [row for row, its in zip(rows, parts, strict=True) if its == part]
        text = csv_text(("", *columns), [(k, *row) for k, row in enumerate(own)])
        (splits / f"{part}.csv").write_text(text)
    (splits / "images_to_avoid.csv").write_text(csv_text(columns, []))
    mimic = {"train": "train", "valid": "validate", "test": "test"}
    _gzipped(
        folder / MIMIC / "mimic-cxr-2.0.0-split.csv.gz",
        csv_text(
            ("dicom_id", "study_id", "subject_id", "split"),
            [(*row[2::-1], mimic[part]) for row, part in zip(rows, parts, strict=True)],
        ),
    )
    _gzipped(
        folder / MIMIC / "mimic-cxr-2.0.0-metadata.csv.gz",
        csv_text(
            ("dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns"),
            [(row[2], row[0], row[1], row[4], settings.size, settings.size) for row in rows],
        ),
    )


def _parts(patients: Array) -> list[str]:
    """Return "train", "valid" or "test" for each film, by hashes of its patient."""
    parts = np.full(len(patients), "train")
    test = by_patient(patients, "imagenome-phantom-test", TEST_SHARE)
    rest = np.flatnonzero(~test)
    chosen = by_patient(patients[rest], "imagenome-phantom-validation", VALIDATION_SHARE)
    parts[test], parts[rest[chosen]] = "test", "valid"
    return [str(part) for part in parts]


def _gzipped(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))
