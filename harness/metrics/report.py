"""What a record says of stored predictions: each report is {} where they do not allow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.auroc import auroc, macro
from harness.metrics.bootstrap import Interval, counts, intervals
from harness.metrics.calibration import brier, expected_calibration_error
from harness.metrics.evaluated import Evaluated
from harness.metrics.regions import label_means, region_auroc
from harness.metrics.segmentation import organ_means
from harness.metrics.strata import strata

Array = NDArray[Any]
Report = Mapping[str, Any]


def auroc_report(evaluated: Evaluated) -> Report:
    """AUROC of each class and their mean, 95 % intervals over patients, counts and strata."""
    scores, targets = evaluated.scores, evaluated.targets
    if scores is None or targets is None:
        return {}
    names = evaluated.classes.tolist()
    found = intervals(scores, targets, evaluated.patients, evaluated.resamples, names=names)
    numbers = counts(targets, evaluated.patients)
    classes = {
        name: {
            **interval(found.classes[c]),
            "images": int(numbers.known[c]),
            "positives": int(numbers.positive[c]),
            "positive_patients": int(numbers.positive_patients[c]),
        }
        for c, name in enumerate(names)
    }
    undefined = [name for name in names if not np.isfinite(classes[name]["value"])]
    return {
        "mean": interval(found.mean),
        "classes": classes,
        "undefined": undefined,
        "strata": _strata(evaluated, scores, targets),
    }


def interval(found: Interval) -> dict[str, Any]:
    """Return a value with its interval and the resamples that did not define it."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "undefined_resamples": found.undefined,
    }


def _strata(evaluated: Evaluated, scores: Array, targets: Array) -> dict[str, Any]:
    """AUROC by view, and of each patient's first film."""
    views = None
    if evaluated.metadata is not None:
        views = np.select(
            [evaluated.metadata[:, 2] == 1, evaluated.metadata[:, 2] == 0], ["AP", "PA"], "?"
        )
    report = {}
    for name, mask in strata(views, evaluated.patients, evaluated.follow_up).items():
        if not mask.any():
            continue
        values = auroc(scores[mask], targets[mask])
        mean, undefined = macro(values)
        report[name] = {
            "mean": mean,
            "images": int(mask.sum()),
            "classes": dict(zip(evaluated.classes.tolist(), values.tolist(), strict=True)),
            "undefined": [str(evaluated.classes[c]) for c in undefined],
        }
    return report


def calibration_report(evaluated: Evaluated) -> Report:
    """Brier score and expected calibration error of each class."""
    scores, targets = evaluated.scores, evaluated.targets
    if scores is None or targets is None:
        return {}
    names = evaluated.classes.tolist()
    briers = brier(scores, targets, names)
    gaps = expected_calibration_error(scores, targets, names)
    return {
        "brier": {"mean": macro(briers)[0], **dict(zip(names, briers.tolist(), strict=True))},
        "expected_error": {"mean": macro(gaps)[0], **dict(zip(names, gaps.tolist(), strict=True))},
    }


def region_report(evaluated: Evaluated) -> Report:
    """Localized AUROC of each label over regions, with the valid regions counted."""
    scores, targets = evaluated.region_scores, evaluated.region_targets
    if scores is None or targets is None:
        return {}
    found = region_auroc(scores, targets)
    low, high, classes = _region_intervals(evaluated, scores, targets, found.labels)
    names = evaluated.need("region_classes").tolist()
    regions = evaluated.need("regions").tolist()
    return {
        "mean": {"value": found.mean, "low": low, "high": high},
        "classes": {
            name: {**classes[c], "valid_regions": int(found.valid[c])}
            for c, name in enumerate(names)
        },
        "undefined_pairs": int(np.isnan(found.pairs).sum()),
        "pairs": {
            region: dict(zip(names, row, strict=True))
            for region, row in zip(regions, found.pairs.tolist(), strict=True)
        },
    }


def _region_intervals(
    evaluated: Evaluated, scores: Array, targets: Array, labels: Array
) -> tuple[float, float, list[dict[str, float]]]:
    """Percentile intervals over patients of each label's mean and of the mean over labels."""
    from harness.metrics.bootstrap import resampled_auroc

    images, regions, count = scores.shape
    flat = (images, regions * count)
    draws = resampled_auroc(
        scores.reshape(flat), targets.reshape(flat), evaluated.patients, evaluated.resamples
    )
    each = label_means(draws.reshape(-1, regions, count))
    defined = each[:, np.isfinite(labels)]
    limits = [_limits(each[:, c]) for c in range(count)]
    classes = [
        {"value": float(labels[c]), "low": limits[c][0], "high": limits[c][1]} for c in range(count)
    ]
    return *_limits(defined.mean(axis=1)), classes


def _limits(draws: Array) -> tuple[float, float]:
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def segmentation_report(evaluated: Evaluated) -> Report:
    """Dice, IoU and boundary distance in original pixels of each organ, at a threshold of 0.5."""
    if evaluated.organ_overlaps is None:
        return {}
    found = organ_means(evaluated.organ_overlaps, evaluated.patients, evaluated.resamples)
    return {
        str(name): {
            **{measure: interval(mean) for measure, mean in organ.means.items()},
            "images": organ.images,
            "both_empty": organ.both_empty,
            "one_empty": organ.one_empty,
        }
        for name, organ in zip(evaluated.need("organs"), found, strict=True)
    }
