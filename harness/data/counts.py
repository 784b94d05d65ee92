"""How often each label occurs in a whole dataset: what the papers' tables of their data count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.dataset import Dataset
from harness.data.samples import Samples

Array = npt.NDArray[Any]
Counts = dict[str, dict[str, int]]


def label_counts(dataset: Dataset) -> Counts:
    """Return the counts behind paper 004's Table 1 and, with regions, paper 001's Table 1.

    For each class {"train", "test", "box"}: images, the validation part counted as training, and
    annotated boxes; with "Multi-label Totals", "Finding", "No Finding" and "Totals". For each
    region label {"images", "boxes"}: images and regions that have it, over all splits.
    """
    rows = {split: np.asarray(where) for split, where in dataset.splits.items()}
    parts = {
        "train": dataset.samples.take(np.concatenate([rows["train"], rows["validation"]])),
        "test": dataset.samples.take(rows["test"]),
    }
    counts = _classes(dataset, parts)
    if "region_labels" in dataset.samples.columns:
        counts |= _regions(dataset)
    return counts


def _classes(dataset: Dataset, parts: dict[str, Samples]) -> Counts:
    names = dataset.space.classes
    boxes = _boxes(dataset)
    counts: Counts = {name: {"box": boxes[c]} for c, name in enumerate(names)}
    totals = ("Multi-label Totals", "Finding", "No Finding", "Totals")
    counts |= {total: {"box": 0 if total == "No Finding" else sum(boxes)} for total in totals}
    findings = [c for c, name in enumerate(names) if name != "No Finding"]
    for part, samples in parts.items():
        labels = samples.labels
        positive = np.zeros((0, len(names)), bool) if labels is None else np.asarray(labels == 1)
        for c, name in enumerate(names):
            counts[name][part] = int(positive[:, c].sum())
        some = positive[:, findings].any(axis=1)
        numbers = (positive[:, findings].sum(), some.sum(), (~some).sum(), len(samples))
        for total, number in zip(totals, numbers, strict=True):
            counts[total][part] = int(number)
    return counts


def _boxes(dataset: Dataset) -> list[int]:
    classes = dataset.samples.column("box_classes")
    count = len(dataset.space.classes)
    if classes is None:
        return [0] * count
    return [int(number) for number in np.bincount(classes[classes >= 0], minlength=count)]


def _regions(dataset: Dataset) -> Counts:
    every = np.concatenate([np.asarray(rows) for rows in dataset.splits.values()])
    part = dataset.samples.take(every)
    positive = np.asarray(part.need("region_labels") == 1)
    counts = {
        name: {
            "images": int(np.any(positive[:, :, c], axis=1).sum()),
            "boxes": int(positive[:, :, c].sum()),
        }
        for c, name in enumerate(dataset.space.region_classes)
    }
    found = np.isfinite(part.need("region_boxes")).all(axis=-1)
    any_label = np.asarray(positive.any(axis=2))
    counts["any of the nine"] = {
        "images": int(np.any(any_label, axis=1).sum()),
        "boxes": int(any_label.sum()),
    }
    counts["total"] = {"images": len(part), "boxes": int(found.sum())}
    return counts
