"""Where predictions meet annotations: here, after the last prediction, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from harness.data.batch import compose, invert
from harness.data.samples import Samples
from harness.engine.evaluate import Predictions
from harness.engine.job import Rows
from harness.metrics.evaluated import Evaluated
from harness.metrics.segmentation import MEASURES, overlaps

Array = npt.NDArray[Any]


def detailed_rows(test: Samples) -> Rows:
    """Return the rows whose heat maps are kept: those with boxes."""
    classes = test.column("box_classes")
    if classes is None:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero((classes >= 0).any(axis=1))


def evaluated_of(said: Predictions, test: Samples, *, by_study: bool = False) -> Evaluated:
    """Let predictions and annotations meet: image by image, or study by study."""
    evaluated = _by_image(said, test)
    return _by_study(evaluated, test.need("study")) if by_study else evaluated


def _by_study(evaluated: Evaluated, studies: Array) -> Evaluated:
    """Return one row a study: the largest score and label of its images, as CheXpert is scored."""
    names, first, study = np.unique(studies, return_index=True, return_inverse=True)
    best: dict[str, Any] = {}
    for name in ("scores", "targets"):
        values = evaluated.need(name)
        best[name] = np.full((len(names), values.shape[1]), -np.inf, dtype=values.dtype)
        np.maximum.at(best[name], study.reshape(-1), np.where(np.isnan(values), -np.inf, values))
        best[name][np.isneginf(best[name])] = np.nan
    return Evaluated(names, evaluated.patients[first], evaluated.classes, **best)


def _by_image(said: Predictions, test: Samples) -> Evaluated:
    found = said.arrays
    maps = said.heavy.get("maps")
    measured = organ_overlaps(said, test)
    return Evaluated(
        names=test.names,
        patients=test.patients,
        classes=np.array(test.space.classes),
        targets=test.labels if said.scores is not None else None,
        scores=said.scores,
        metadata=test.column("metadata"),
        follow_up=test.column("follow_up"),
        sizes=test.column("sizes"),
        region_targets=test.column("region_labels") if "region_scores" in found else None,
        region_scores=found.get("region_scores"),
        region_present=found.get("region_present"),
        region_boxes=test.column("region_boxes") if "region_boxes" in found else None,
        found_boxes=found.get("region_boxes"),
        regions=np.array(test.space.regions) if test.space.regions else None,
        region_classes=np.array(test.space.region_classes) if test.space.regions else None,
        organs=None if measured is None else np.array(list(measured)),
        organ_overlaps=None if measured is None else np.stack(list(measured.values()), axis=1),
        boxes=test.column("boxes"),
        box_classes=test.column("box_classes"),
        to_original=found.get("to_original") if maps is not None else None,
        detailed=said.detailed if maps is not None else None,
        map_frame=np.array(said.map_frame) if maps is not None and said.map_frame else None,
        maps=maps,
    )


def organ_overlaps(said: Predictions, test: Samples) -> dict[str, Array] | None:
    """Return the overlap with the truth (N, 4) of each predicted organ that the dataset has.

    Image by image, over the field of the prediction; distances are in original pixels.
    """
    masks, truth = said.masks, test.columns.get("masks")
    places = {} if masks is None else _places(masks.organs, test.space.organs)
    if masks is None or truth is None or not places or said.map_frame is None:
        return None
    assert test.view is not None
    fields = torch.from_numpy(said.arrays["to_original"]).double()
    inner = compose(invert(test.view.to_original(test.need("sizes"))), fields).numpy()
    columns = [list(masks.organs).index(name) for name in places]
    height, width = masks[0].shape[1:]
    cell = said.map_frame[0] / height, said.map_frame[1] / width  # input pixels
    found = np.zeros((len(test), len(places), len(MEASURES)), dtype=np.float32)
    for row in range(len(test)):
        drawn = truth.gather(np.array([row]))[0]
        unions = [drawn[parts].max(axis=0) for parts in places.values()]
        true = [_seen(union, inner[row], said.map_frame, (height, width)) for union in unions]
        x, y = np.linalg.norm(fields[row, :, :2].numpy(), axis=0)  # original pixels an input pixel
        spacing = float(y) * cell[0], float(x) * cell[1]
        found[row] = overlaps(masks[row][columns], np.stack(true), spacing)
    return {name: found[:, m] for m, name in enumerate(places)}


def _places(organs: Mapping[str, tuple[str, ...]], known: tuple[str, ...]) -> dict[str, list[int]]:
    """Return, for each organ that the dataset's make up, which of them these are."""
    return {
        name: [known.index(part) for part in parts]
        for name, parts in organs.items()
        if set(parts) <= set(known)
    }


def _seen(mask: Array, inner: Array, frame: tuple[int, int], grid: tuple[int, int]) -> Array:
    """Return a mask of the view (S, S), uint8, as the model's input shows it: ``grid``, bool.

    ``inner`` (2, 3) maps input pixels to those of the view.
    """
    centred = inner.copy()
    centred[:, 2] += inner[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV's pixels have whole centres
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(mask, centred, frame[::-1], flags=flags)
    return np.asarray(cv2.resize(shown, grid[::-1], interpolation=cv2.INTER_AREA) >= 128)
