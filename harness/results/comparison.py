"""A measured row against the printed row that it regenerates."""

from collections.abc import Mapping, Sequence
from math import isnan, nan

import numpy as np

from harness.metrics.verdict import (
    Pooled,
    Verdict,
    inside,
    pool,
    resembles_random_split,
    signature,
    verdict,
)
from harness.results.blocks import other_images
from harness.results.facts import CLASS_TOLERANCE, TOLERANCE
from harness.results.measured import Runs, Scores, weighted_mean
from harness.results.pages import Page, Printed, decimals, number

NOT_STATED = "not stated"


def recomputed_mean(row: Printed) -> float | None:
    """Return the mean of a printed row's cells, None where a cell is missing or none is printed."""
    values = [number(mark) for mark in row.cells.values() if mark is not None]
    if not values or len(values) < len(row.cells):
        return None
    return weighted_mean(values, row.section.weights)


def signature_of(cells: Mapping[str, float | None]) -> float | None:
    """Return the split signature of a row, None where one of its classes is missing."""
    k = signature(_numbers(cells))
    return None if isnan(k) else k


def printed_signature(page: Page, row: Printed) -> float | None:
    """Return the split signature of a printed NIH row, None where it has none."""
    if (page.dataset, row.metric) != ("nih", "auroc"):
        return None
    return signature_of(values(row))


def flagged(page: Page, row: Printed) -> bool:
    """Whether a row claims the official split and looks like a random one."""
    mean, k = recomputed_mean(row), printed_signature(page, row)
    claimed = row.protocol.get("split") == "official" and mean is not None and k is not None
    return claimed and resembles_random_split(_numbers(values(row)), mean or 0.0)


def values(row: Printed) -> dict[str, float | None]:
    """Return the printed cells as numbers."""
    return {column: number(mark) if mark else None for column, mark in row.cells.items()}


def _numbers(cells: Mapping[str, float | None]) -> dict[str, float]:
    return {column: nan if value is None else value for column, value in cells.items()}


def differences(page: Page, row: Printed, runs: Runs) -> list[str]:
    """Say in what, other than training, a run differs from what a row claims."""
    record, dataset, claims = runs.first, runs.first["dataset"], row.protocol
    found = ["phantom data"] if dataset["phantom"] is not None else []
    if dataset["protocol"] != claims.get("split") or other_images(dataset):
        found.append("split")
    for key, value in claims.get("policy", {}).items():
        if dataset["policy"].get(key) != value:
            found.append(
                f"label policy: {key} {dataset['policy'].get(key, NOT_STATED)}, not {value}"
            )
    if claims.get("tta", NOT_STATED) not in {NOT_STATED, record["tta"]}:
        found.append(f"TTA {record['tta']}, not {claims['tta']}")
    if record["budget"] != "full":
        found.append(f"{record['budget']} budget")
    if record["recipe"] != "paper":
        found.append(f"{record['recipe']} recipe")
    return found + (["signature"] if flagged(page, row) else [])


def compare(page: Page, row: Printed, runs: Runs, scores: Scores, spread: Pooled) -> Verdict | None:
    """Return the verdict on a measured row, None where the paper prints no mean and no cells."""
    printed = recomputed_mean(row)
    marks = [mark for mark in row.cells.values() if mark is not None]
    if printed is None and row.mean is not None:
        printed, marks = number(row.mean), [row.mean]
    if printed is None or not scores.by_seed:
        return None
    digits = max(decimals(mark) for mark in marks)
    reasons = ", ".join(differences(page, row, runs))
    return verdict(scores.by_seed, printed, digits, spread, TOLERANCE[row.metric], reasons)


def inside_text(row: Printed, cells: Mapping[str, float | None]) -> str | None:
    """Say how many classes lie within the tolerance of their printed cells."""
    printed, delta = _numbers(values(row)), CLASS_TOLERANCE[row.metric]
    measured = _numbers({column: cells.get(column) for column in printed})
    near, both = inside(np.array([*measured.values()]), np.array([*printed.values()]), delta)
    return f"{near} of {both} classes inside ±{delta:.3f}." if both else None


def spread_of(runs: Runs, groups: Sequence[tuple[Runs, Scores]]) -> Pooled:
    """Pool the seed spread of all rows of the same data set and budget as ``runs``."""

    def kin(each: Runs) -> bool:
        a, b = each.first, runs.first
        real = (a["dataset"]["phantom"] is None) == (b["dataset"]["phantom"] is None)
        return real and (a["dataset"]["name"], a["budget"]) == (b["dataset"]["name"], b["budget"])

    return pool([scores.by_seed for each, scores in groups if kin(each) and scores.by_seed])
