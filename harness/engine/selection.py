"""The one score by which weights are selected on the validation split."""

from __future__ import annotations

import numpy as np

from harness.data.samples import Samples
from harness.engine.evaluate import Predictions
from harness.errors import DataError
from harness.metrics.auroc import auroc
from harness.metrics.regions import region_auroc

POSITIVES = 50


def selection_score(predictions: Predictions, samples: Samples) -> tuple[float, str]:
    """Return the score and the rule by which it was made.

    The mean AUROC over classes with at least 50 positives; where no class has as many, over all
    that have both kinds. Without image scores, the localized AUROC of the regions.

    Raises:
        DataError: no class has positives and negatives among these samples.
    """
    scores, labels = predictions.scores, samples.labels
    if scores is None or labels is None:
        return _regions(predictions, samples)
    values = auroc(scores, labels)
    enough = (labels == 1).sum(axis=0) >= POSITIVES
    rule = f"classes with {POSITIVES} positives"
    if not np.isfinite(values[enough]).any():
        enough, rule = np.ones_like(enough), "all classes with both kinds"
    if not np.isfinite(values[enough]).any():
        raise DataError(
            "no class of the validation split has positives and negatives: none to select by"
        )
    return float(np.nanmean(values[enough])), rule


def _regions(predictions: Predictions, samples: Samples) -> tuple[float, str]:
    regions, labels = predictions.arrays.get("region_scores"), samples.column("region_labels")
    if regions is None or labels is None:
        raise DataError("the model offers neither image nor region scores for the labels there are")
    value = region_auroc(regions, labels).mean
    if not np.isfinite(value):
        raise DataError("no region label of the validation split has positives and negatives")
    return float(value), "localized AUROC"
