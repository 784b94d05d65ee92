"""ROC curves of all classes with their areas, from stored scores (Fig. 3 of CXR-IRNet)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.metrics.auroc import auroc, macro, roc_curve
from harness.metrics.evaluated import Evaluated
from harness.metrics.regions import region_auroc
from harness.pictures.figure import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
GRID = np.linspace(0, 1, 501)  # false positive rates at which regions' curves are averaged


class Curve(NamedTuple):
    """The curve of one class; without points where the class has one outcome only."""

    name: str
    false_positive_rate: Array
    true_positive_rate: Array
    area: float


def curves(evaluated: Evaluated) -> tuple[list[Curve], float]:
    """Return the curve of each class and the mean of their areas.

    Of region scores, the curve of a label is the mean over its regions at each false positive rate.

    Raises:
        RecordError: there are no scores.
    """
    if evaluated.scores is not None and evaluated.targets is not None:
        scores, targets = evaluated.scores, evaluated.targets
        areas = auroc(scores, targets)
        found = []
        for c, name in enumerate(evaluated.classes):
            one = roc_curve(scores[:, c], targets[:, c])
            found.append(
                Curve(str(name), one.false_positive_rate, one.true_positive_rate, float(areas[c]))
            )
        return found, macro(areas)[0]
    if evaluated.region_scores is None or evaluated.region_targets is None:
        raise RecordError("the stored predictions have no scores to draw ROC curves of")
    return _of_regions(evaluated, evaluated.region_scores, evaluated.region_targets)


def _of_regions(evaluated: Evaluated, scores: Array, targets: Array) -> tuple[list[Curve], float]:
    areas = region_auroc(scores, targets)
    found = []
    for c, name in enumerate(evaluated.need("region_classes")):
        valid = np.flatnonzero(~np.isnan(areas.pairs[:, c]))
        ones = [roc_curve(scores[:, r, c], targets[:, r, c]) for r in valid]
        at = [np.interp(GRID, one.false_positive_rate, one.true_positive_rate) for one in ones]
        rates = np.mean(at, axis=0) if at else np.full(len(GRID), np.nan)
        found.append(Curve(str(name), GRID, rates, float(areas.labels[c])))
    return found, areas.mean


def roc_figure(evaluated: Evaluated, title: str) -> Figure:
    """Return one plot of all curves, with the area of each in the legend.

    Raises:
        RecordError: there are no scores.
    """
    found, mean = curves(evaluated)
    figure, (axis,) = panels(1, title)
    figure.set_size_inches(6.4, 4.2)
    axis.set_axis_on()
    for place, curve in enumerate(found):
        undefined = np.isnan(curve.area)
        axis.plot(
            [] if undefined else curve.false_positive_rate,
            [] if undefined else curve.true_positive_rate,
            color=f"C{place % 10}",
            linestyle=("-", "--", ":")[place // 10 % 3],
            linewidth=1.2,
            label=f"{curve.name} ({'undefined' if undefined else f'{curve.area:.4f}'})",
        )
    axis.plot([0, 1], [0, 1], color="0.8", linewidth=0.8, zorder=0)
    axis.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axis.legend(
        title=f"AUROC, mean {mean:.4f}",
        fontsize=8,
        title_fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        frameon=False,
    )
    return figure
