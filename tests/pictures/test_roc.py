"""ROC curves say what the record says."""

import io

import numpy as np
import pytest
from sklearn.metrics import auc

from harness.errors import RecordError
from harness.metrics.evaluated import Evaluated
from harness.metrics.report import auroc_report, region_report
from harness.pictures.roc import curves, roc_figure


def evaluated(count=60, **more):
    random = np.random.default_rng(0)
    names = np.array([str(row) for row in range(count)])
    targets = (random.random((count, 4)) < 0.4).astype(np.float32)
    targets[3, 0], targets[:, 2] = np.nan, 0  # one unknown; one class without positives
    scores = (targets + random.normal(0, 1.5, targets.shape)).astype(np.float32)
    scores = 1 / (1 + np.exp(-np.nan_to_num(scores)))
    return Evaluated(names, names, np.array(["a", "b", "c", "d"]), targets, scores, **more)


def regional(count=80):
    random = np.random.default_rng(1)
    names = np.array([str(row) for row in range(count)])
    targets = (random.random((count, 3, 2)) < 0.3).astype(np.float32)
    targets[:, 1, 1] = 0  # a pair without positives
    scores = 1 / (1 + np.exp(-(targets + random.normal(0, 1, targets.shape))))
    return Evaluated(
        names, names, np.array([]),
        region_targets=targets, region_scores=scores.astype(np.float32),
        regions=np.array(["x", "y", "z"]), region_classes=np.array(["l", "m"]),
    )  # fmt: skip


def legend(figure):
    found = figure.axes[0].get_legend()
    return found.get_title().get_text(), [text.get_text() for text in found.get_texts()]


def test_the_legend_has_the_areas_of_the_record():
    given = evaluated()
    record = auroc_report(given)
    figure = roc_figure(given, "a row")
    title, entries = legend(figure)
    assert title == f"AUROC, mean {record['mean']['value']:.4f}"
    values = {name: cell["value"] for name, cell in record["classes"].items()}
    assert entries == [
        f"{name} ({'undefined' if np.isnan(value) else f'{value:.4f}'})"
        for name, value in values.items()
    ]
    assert "c (undefined)" in entries
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    drawn = lines[entries[0]]
    assert auc(drawn.get_xdata(), drawn.get_ydata()) == pytest.approx(values["a"], abs=1e-12)
    assert not len(lines["c (undefined)"].get_xdata())
    figure.savefig(io.BytesIO(), format="png")


def test_curves_of_region_labels_are_means_over_regions():
    given = regional()
    record = region_report(given)
    found, mean = curves(given)
    assert mean == record["mean"]["value"]
    for curve in found:
        assert curve.area == record["classes"][curve.name]["value"]
        drawn = auc(curve.false_positive_rate, curve.true_positive_rate)
        assert drawn == pytest.approx(curve.area, abs=0.01)
    assert legend(roc_figure(given, ""))[1] == [f"{c.name} ({c.area:.4f})" for c in found]


def test_without_scores_there_is_no_curve():
    names = np.array(["a"])
    with pytest.raises(RecordError, match="no scores to draw"):
        curves(Evaluated(names, names, names))
