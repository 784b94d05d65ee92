"""Print the tables of README.md from the records beside it: ``python results/tables.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from dm_attention.masks import DISEASES
from dm_attention.report import landmark_report
from scipy import stats

from harness.data.drawn import DrawnPhantom
from harness.data.phantom import FINDINGS
from harness.data.samples import Samples
from harness.metrics.boxes_report import of_boxes
from harness.metrics.compare import Spread
from harness.metrics.localization import Localized, box_means, localize, means_over_boxes
from harness.progress import muted
from harness.results.comparing import compared
from harness.results.records import find_records
from harness.results.rescore import stored

HERE = Path(__file__).parent
Record = Mapping[str, Any]
Rows = Iterator[tuple[str, ...]]
RECORDS = find_records(HERE)

SCHEMES = ("semi-supervised", "supervised", "unet")
SPREADS = (0.0, 0.5, 1.0, 2.0)
SEEDS = 3
LOCALIZERS = {  # rows of the study of alignment: method and what sets it apart
    "resnet50": ("resnet50", "augment", "none"),
    "resnet50[augment=affine]": ("resnet50", "augment", "affine"),
    "resnet50-aligned": ("resnet50-aligned", "perceptual", 0.0),
    "dm-attention": ("dm-attention", "masks", "disease"),
    "dm-attention[masks=pseudo]": ("dm-attention", "masks", "pseudo"),
    "dm-attention[masks=uniform]": ("dm-attention", "masks", "uniform"),
    "dm-prior": ("dm-prior", "masks", "disease"),
}


def runs(method: str, dataset: str = "phantom", **drawn: object) -> list[Record]:
    """Return the runs of a method on data drawn with these options, the first seed first."""
    fits = [
        record
        for record in RECORDS
        if record["method"] == method
        and record["dataset"]["name"] == dataset
        and drawn.items() <= dict(record["dataset"]["phantom"]).items()
    ]
    return sorted(fits, key=lambda record: int(record["seed"]))


def setting(record: Record, name: str) -> Any:  # noqa: ANN401
    """Return a hyperparameter."""
    return record["hyperparameters"][name]["value"]


def number(value: float, digits: int = 3, sign: str = "") -> str:
    """Write a number without the zero before its point."""
    text = f"{value:{sign}.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text


def between(value: float, low: float, high: float, digits: int = 3, sign: str = "") -> str:
    """Write a value with its interval."""
    return f"{number(value, digits, sign)} ({number(low, digits)} to {number(high, digits)})"


def plus_minus(values: Sequence[float], digits: int = 3) -> str:
    """Write the mean over seeds with their standard deviation."""
    assert len(values) == SEEDS
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    return f"{number(mean, digits)} ± {number(spread, digits)}"


def measured(entry: Mapping[str, float], digits: int = 3) -> str:
    """Write a measured value of a record with its interval."""
    return between(entry["value"], entry["low"], entry["high"], digits)


def difference(one: Record, two: Record) -> str:
    """Write by how much a mean AUROC is above another, one seed each, interval over patients."""
    mean = compared(HERE, one["folder"], two["folder"]).comparison.mean
    reach = 1.959964 * mean.patient_error
    return between(mean.value, mean.value - reach, mean.value + reach, sign="+")


def organs(record: Record, digits: int) -> Iterator[str]:
    """Yield Dice and boundary distance of lungs and heart."""
    for organ in ("lungs", "heart"):
        found = record["metrics"]["segmentation"][organ]
        yield from (measured(found["dice"]), measured(found["boundary"], digits))


def segmentation() -> Rows:
    """Yield Anatomy X-Net's segmenters on phantoms, without and with a shift of style."""
    every = runs("anatomy-xnet", size=128, images=1000)
    for shift in (False, True):
        for labelled in (200, 10):
            for scheme in SCHEMES:
                wanted = shift, labelled, scheme
                (record,) = (r for r in every if _segmented(r) == wanted)
                style = "shift" if shift else "none"
                yield style, str(labelled), f"`{scheme}`", *organs(record, 2)


def _segmented(record: Record) -> tuple[bool, int, str]:
    own = setting(record, "labelled_images"), setting(record, "segmentation")
    return bool(record["auxiliary"]), *own


def films() -> Rows:
    """Yield the segmenters on held-out films."""
    for record in sorted(runs("anatomy-xnet", "jsrt"), key=lambda r: setting(r, "segmentation")):
        yield f"`{setting(record, 'segmentation')}`", *organs(record, 1)


def graphs() -> Rows:
    """Yield AnaXNet and its controls where findings spread, and where they do not."""
    for method in ("anaxnet", "chexgcn", "faster-rcnn"):
        for graph in ("jaccard", "random", "identity") if method == "anaxnet" else ("",):
            both = [
                next(
                    r
                    for r in runs(method, neighbours=on)
                    if not graph or setting(r, "graph") == graph
                )
                for on in (True, False)
            ]
            entropies = [
                f"{r['kept']['attention']['entropy']:.3f}" for r in both if method == "anaxnet"
            ]
            yield (
                f"`{method}[graph={graph}]`" if graph in ("random", "identity") else f"`{method}`",
                *(measured(r["metrics"]["region_auroc"]["mean"]) for r in both),
                ", ".join(entropies),
            )


def weightings() -> Rows:
    """Yield CXR-IRNet with no masks, its own and shuffled ones on three kinds of phantoms."""
    kinds = {
        "distractors (default)": {"distractors": 1.0, "outside": 0.0},
        "no distractors": {"distractors": 0.0},
        "distractors, half of the focal findings outside the masks": {"outside": 0.5},
    }
    for name, drawn in kinds.items():
        every = [r for r in runs("cxr-irnet", **drawn) if setting(r, "unet_epochs") == 4]
        plain = next(r for r in every if setting(r, "weighting") == "none")
        weighted = [r for r in every if setting(r, "weighting") != "none"]
        own = next(r for r in weighted if setting(r, "masks") != "shuffled")
        shuffled = next(r for r in weighted if setting(r, "masks") == "shuffled")
        found = own["metrics"]["segmentation"]
        dices = [number(found[o]["dice"]["value"], 2) for o in ("left_lung", "right_lung", "heart")]
        yield (
            name,
            *(measured(r["metrics"]["auroc"]["mean"]) for r in (plain, own, shuffled)),
            difference(own, plain),
            difference(own, shuffled),
            ", ".join(dices),
        )


def localizers(row: str, spread: float, priors: bool) -> list[Record]:
    """Return the runs of a row of the study of alignment, one a seed."""
    method, name, value = LOCALIZERS[row]
    every = runs(method, pose_spread=spread, location_priors=priors, size=160)
    fits = [r for r in every if setting(r, name) == value]
    return [r for r in fits if method == "resnet50" or setting(r, "alignment_epochs") == 12]


def localizer(row: str, spread: float, priors: bool) -> Record:
    """Return the run with the first seed."""
    return localizers(row, spread, priors)[0]


def landmarks() -> Rows:
    """Yield the landmark errors of validation images, as records have them."""
    for priors in (True, False):
        for spread in SPREADS:
            found = localizer("resnet50-aligned", spread, priors)["kept"]["landmarks"]
            steps = "error_before", "error_after", "scatter_before", "scatter_after"
            cells = (between(*found[step], digits=2) for step in steps)
            yield "on" if priors else "off", f"{spread:g}", *cells


def aligned() -> Rows:
    """Yield the landmark errors of test images over three seeds."""
    for spread in SPREADS:
        every = [tested(record) for record in localizers("resnet50-aligned", spread, True)]
        cells = []
        for measure in ("error", "apart"):
            before = every[0][f"{measure}_before"][0]
            after = [found[f"{measure}_after"][0] for found in every]
            left = plus_minus([one / before for one in after], 2) if before else "-"
            cells += [number(before, 2), plus_minus(after, 2), left]
        yield f"{spread:g}", *cells


def tested(record: Record) -> Mapping[str, Any]:
    """Return the landmark errors of test images, as a record has those of validation images."""
    _, evaluated = stored(HERE / record["folder"])
    drawn = record["dataset"]["phantom"]
    samples = _test_images(tuple(sorted((drawn | {"location_priors": True}).items())))
    assert np.array_equal(samples.names, evaluated.names)
    with muted():
        return landmark_report(samples, evaluated.need("to_original"), drawn["size"])


@cache
def _test_images(drawn: tuple[tuple[str, Any], ...]) -> Samples:
    """Describe test images again; where findings lie moves no landmark."""
    dataset = DrawnPhantom(**dict(drawn))
    return dataset.samples.take(dataset.splits["test"])


def localization(priors: bool, measure: str) -> Rows:
    """Yield what each row finds at each spread, the mean over classes."""
    for row in LOCALIZERS:
        found = (localizer(row, s, priors)["metrics"]["localization"] for s in SPREADS)
        yield f"`{row}`", *(measured(f["chestx-ray8"][measure]["mean"]) for f in found)


def aurocs(priors: bool) -> Rows:
    """Yield the mean AUROC of each row at each spread."""
    for row in LOCALIZERS:
        found = (localizer(row, s, priors)["metrics"]["auroc"]["mean"] for s in SPREADS)
        yield f"`{row}`", *(measured(mean) for mean in found)


CONTRASTS = (
    ("resnet50-aligned", "resnet50"),
    ("resnet50[augment=affine]", "resnet50"),
    ("resnet50-aligned", "resnet50[augment=affine]"),
    ("dm-attention", "resnet50-aligned"),
    ("dm-attention", "dm-attention[masks=uniform]"),
    ("dm-attention", "dm-attention[masks=pseudo]"),
    ("dm-attention", "dm-prior"),
)


def contrasts(priors: bool) -> Rows:
    """Yield how much more a row finds at IoU 0.3 than another, box by box."""
    for one, two in CONTRASTS:
        cells = []
        for spread in SPREADS:
            first, second = (_localized(localizer(r, spread, priors)["folder"]) for r in (one, two))
            gain = first.found(0.3).astype(float) - second.found(0.3)
            mean = box_means(gain, first.annotated, len(FINDINGS)).macro
            cells.append(between(mean.value, mean.low, mean.high, sign="+"))
        yield f"`{one}` - `{two}`", *cells


def seeds(value: Callable[[Record], float]) -> Rows:
    """Yield the mean of a value over three seeds of each row, and their standard deviation."""
    for row in LOCALIZERS:
        cells = []
        for spread in SPREADS:
            cells.append(plus_minus([value(r) for r in localizers(row, spread, True)]))
        yield f"`{row}`", *cells


def found_more(
    got: Callable[[Localized], Any],
    contrasts: Sequence[tuple[str, str]] = CONTRASTS,
    classes: int = len(FINDINGS),
) -> Rows:
    """Yield how much more a row gets than another, over patients and over the seeds of both.

    The seeds are pairs; the error of the patients is that of the mean over seeds, box by box. Only
    the first ``classes`` count.
    """
    for one, two in contrasts:
        cells = []
        for spread in SPREADS:
            pairs = zip(*(localizers(row, spread, True) for row in (one, two)), strict=True)
            both = [[_localized(record["folder"]) for record in pair] for pair in pairs]
            kept = np.flatnonzero(both[0][0].annotated.classes < classes)
            gains = np.stack([(got(a).astype(np.float64) - got(b))[kept] for a, b in both])
            annotated = both[0][0].annotated.take(kept)
            *each, mean = means_over_boxes(
                np.vstack([gains, gains.mean(axis=0)]), annotated, classes
            )
            variance = np.var([found.macro.value for found in each], ddof=1)
            patients = (mean.macro.high - mean.macro.low) / 2 / stats.norm.ppf(0.975)
            error, df = Spread(np.array([patients**2]), [(np.array([variance]), SEEDS)]).errors()
            reach = float(stats.t.ppf(0.975, df[0]) * error[0])
            value = mean.macro.value
            cells.append(between(value, value - reach, value + reach, sign="+"))
        yield f"`{one}` - `{two}`", *cells


def ranked_more() -> Rows:
    """Yield by how much the mean AUROC of a row is above another's, over patients and seeds."""
    for one, two in CONTRASTS[:-1]:
        cells = []
        for spread in SPREADS:
            ids = (localizer(row, spread, True)["id"] for row in (one, two))
            found = compared(HERE, *ids).comparison.mean
            cells.append(between(found.value, found.low, found.high, sign="+"))
        yield f"`{one}` - `{two}`", *cells


@cache
def _localized(folder: str) -> Localized:
    _, evaluated = stored(HERE / folder)
    return localize("chestx-ray8", *of_boxes(evaluated))


def markdown(head: str, rows: Rows) -> str:
    """Write a table; the cells of its head are given between bars."""
    lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([f"| {head} |", "|" + "---|" * len(head.split("|")), *lines])


def from_records() -> Iterator[str]:
    """Yield the tables whose numbers records hold."""
    organ = "lungs, Dice | lungs, boundary | heart, Dice | heart, boundary"
    yield markdown(f"style shift | labelled | method | {organ}", segmentation())
    yield markdown(f"method | {organ}", films())
    yield markdown("row | spread | independent | attention's entropy", graphs())
    yield markdown(
        "phantom | `weighting=none` | own masks | `masks=shuffled` | own minus none | "
        "own minus shuffled | Dice of the masks: lungs, heart",
        weightings(),
    )
    steps = "error before | error after | scatter before | scatter after"
    yield markdown(f"class priors | pose spread | {steps}", landmarks())
    for measure in ("iou>0.3", "pointing"):
        yield markdown(f"row | {_spreads()}", seeds(partial(_localization, measure=measure)))
    yield markdown(
        f"row | {_spreads()}", seeds(lambda r: float(r["metrics"]["auroc"]["mean"]["value"]))
    )
    yield markdown(f"difference | {_spreads()}", ranked_more())
    for measure in ("iou>0.3", "pointing"):
        yield markdown(f"row | {_spreads()}", localization(False, measure))
    yield markdown(f"row | {_spreads()}", aurocs(False))


def from_predictions() -> Iterator[str]:
    """Yield the tables that ask every heat map or radiograph again, which takes minutes."""
    steps = "error before | error after | left | apart before | apart after | left"
    yield markdown(f"pose spread | {steps}", aligned())
    yield markdown(f"difference | {_spreads()}", found_more(lambda found: found.found(0.3)))
    yield markdown(f"difference | {_spreads()}", found_more(lambda found: found.pointing))
    above = [(row, "dm-prior") for row in list(LOCALIZERS)[:4]]
    masked = len(DISEASES)
    yield markdown(
        f"difference | {_spreads()}", found_more(lambda found: found.pointing, above, masked)
    )
    yield markdown(f"difference | {_spreads()}", contrasts(False))


def _localization(record: Record, measure: str) -> float:
    return float(record["metrics"]["localization"]["chestx-ray8"][measure]["mean"]["value"])


def _spreads() -> str:
    return " | ".join(f"spread {spread:g}" for spread in SPREADS)


if __name__ == "__main__":
    print("\n\n".join(chain(from_records(), from_predictions())))
