"""Where predictions meet annotations: here, after the last prediction, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.data.samples import Samples
from harness.engine.evaluate import Predictions
from harness.engine.job import Rows
from harness.metrics.evaluated import Evaluated

Array = npt.NDArray[Any]


def detailed_rows(test: Samples) -> Rows:
    """Return the rows whose heat maps and masks are kept: those with boxes, else with masks."""
    classes = test.column("box_classes")
    if classes is not None:
        return np.flatnonzero((classes >= 0).any(axis=1))
    return np.arange(len(test) if "masks" in test.columns else 0, dtype=np.int64)


def evaluated_of(said: Predictions, test: Samples, *, by_study: bool = False) -> Evaluated:
    """Let predictions and annotations meet: image by image, or study by study."""
    evaluated = _by_image(said, test)
    return _by_study(evaluated, test.need("study")) if by_study else evaluated


def _by_study(evaluated: Evaluated, studies: Array) -> Evaluated:
    """Return one row a study: the largest score and label of its images, as CheXpert is scored."""
    names, first, study = np.unique(studies, return_index=True, return_inverse=True)
    best = {}
    for name in ("scores", "targets"):
        values = evaluated.need(name)
        best[name] = np.full((len(names), values.shape[1]), -np.inf, dtype=values.dtype)
        np.maximum.at(best[name], study.reshape(-1), np.where(np.isnan(values), -np.inf, values))
        best[name][np.isneginf(best[name])] = np.nan
    return Evaluated(names, evaluated.patients[first], evaluated.classes, **best)


def _by_image(said: Predictions, test: Samples) -> Evaluated:
    found = said.arrays
    heavy = {name: said.heavy.get(name) for name in ("maps", "masks")}
    kept = any(value is not None for value in heavy.values())
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
        organs=np.array(test.space.organs) if test.space.organs else None,
        boxes=test.column("boxes"),
        box_classes=test.column("box_classes"),
        to_original=found.get("to_original") if kept else None,
        detailed=said.detailed if kept else None,
        map_frame=np.array(said.map_frame) if said.map_frame else None,
        mask_targets=_true_masks(test, said) if heavy["masks"] is not None else None,
        **heavy,
    )


def _true_masks(test: Samples, said: Predictions) -> Any:  # noqa: ANN401
    found = test.take(said.detailed).column("masks")
    masks = said.heavy["masks"]
    if found is None or found.shape[1] != masks.shape[1]:
        return None
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(found).float() / 255, masks.shape[-2:], mode="area"
    )
    return (resized.numpy() >= 0.5).astype(np.uint8)
