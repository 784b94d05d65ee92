"""A measured row against the printed row that it regenerates."""

from collections.abc import Mapping, Sequence

from harness.results.blocks import other_images
from harness.results.facts import CLASS_TOLERANCE, TOLERANCE
from harness.results.measured import Runs, Scores, weighted_mean
from harness.results.pages import Page, Printed, decimals, number
from harness.results.signature import looks_random, signature
from harness.results.verdicts import Spread, Verdict, not_comparable, pooled_spread, verdict

NOT_STATED = "not stated"


def recomputed_mean(row: Printed) -> float | None:
    """Return the mean of a printed row's cells, None where a cell is missing or none is printed."""
    values = [number(mark) for mark in row.cells.values() if mark is not None]
    if not values or len(values) < len(row.cells):
        return None
    return weighted_mean(values, row.section.weights)


def printed_signature(page: Page, row: Printed) -> float | None:
    """Return the split signature of a printed NIH row, None where it has none."""
    if (page.dataset, row.metric) != ("nih", "auroc"):
        return None
    return signature({c: number(mark) if mark else None for c, mark in row.cells.items()})


def flagged(page: Page, row: Printed) -> bool:
    """Whether a row claims the official split and looks like a random one."""
    official = row.protocol.get("split") == "official"
    return official and looks_random(printed_signature(page, row), recomputed_mean(row))


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


def compare(
    page: Page, row: Printed, runs: Runs, scores: Scores, spread: Spread | None
) -> Verdict | None:
    """Return the verdict on a measured row, None where the paper prints no mean and no cells."""
    reasons = differences(page, row, runs)
    if reasons:
        return not_comparable(reasons)
    printed = recomputed_mean(row)
    marks = [mark for mark in row.cells.values() if mark is not None]
    if printed is None and row.mean is not None:
        printed, marks = number(row.mean), [row.mean]
    if printed is None or not scores.by_seed:
        return None
    unit = 0.5 * 10.0 ** -max(decimals(mark) for mark in marks)
    return verdict(scores.by_seed, printed, unit, spread, TOLERANCE[row.metric])


def inside(row: Printed, cells: Mapping[str, float | None]) -> str | None:
    """Say how many classes lie within the tolerance of their printed cells."""
    pairs = [
        (number(mark), cells[column])
        for column, mark in row.cells.items()
        if mark is not None and cells.get(column) is not None
    ]
    if not pairs:
        return None
    tolerance = CLASS_TOLERANCE[row.metric]
    near = sum(abs(printed - (found or 0.0)) <= tolerance for printed, found in pairs)
    return f"{near} of {len(pairs)} classes inside ±{tolerance:.3f}"


def spread_of(runs: Runs, groups: Sequence[tuple[Runs, Scores]]) -> Spread | None:
    """Pool the seed spread of all rows of the same data set and budget as ``runs``."""

    def kin(each: Runs) -> bool:
        a, b = each.first, runs.first
        real = (a["dataset"]["phantom"] is None) == (b["dataset"]["phantom"] is None)
        return real and (a["dataset"]["name"], a["budget"]) == (b["dataset"]["name"], b["budget"])

    return pooled_spread(scores.by_seed for each, scores in groups if kin(each))
