"""What can be said of any dataset's copy: counts, fingerprints, patients, labels, images."""

from __future__ import annotations

import numpy as np

from harness.data.dataset import Dataset
from harness.data.splits import KNOWN, fingerprint
from harness.data.store import all_cores
from harness.errors import DataError
from harness.progress import Bar

Fact = tuple[str, str, bool | None]


def about(dataset: Dataset) -> list[Fact]:
    """Return what a person should know of a copy, the dataset's own facts last."""
    phantom = "real radiographs" if dataset.phantom is None else f"phantoms: {dataset.phantom}"
    facts: list[Fact] = [("images are", phantom, None), ("split protocol", dataset.protocol, None)]
    for split, rows in dataset.splits.items():
        part = dataset.samples.take(np.asarray(rows))
        digest = fingerprint(part.names.tolist())
        known = KNOWN.get(digest)
        name = f", known as {known.protocol} {known.part}" if known else ""
        count = f"{len(part):,} images, {len(np.unique(part.patients)):,} patients"
        facts.append((f"{split} split", f"{count}, fingerprint {digest}{name}", len(part) > 0))
    facts += [
        ("patients in two splits", *_shared(dataset)),
        ("label policy", ", ".join(f"{k}: {v}" for k, v in dataset.policy.items()), None),
    ]
    return facts + dataset.facts()


def _shared(dataset: Dataset) -> tuple[str, bool]:
    patients = [set(dataset.part(split).patients.tolist()) for split in dataset.splits]
    several = sum(map(len, patients)) - len(set().union(*patients))
    return f"{several:,}", several == 0


def unreadable(dataset: Dataset) -> list[Fact]:
    """Return which images cannot be decoded, after trying every one on all cores."""
    rows = range(len(dataset.samples))

    def trouble(row: int) -> str | None:
        try:
            dataset.read(row)
        except DataError as error:
            return str(error)
        return None

    found = []
    with all_cores() as pool, Bar("reading", len(rows)) as bar:
        for message in pool.map(trouble, rows):
            bar.advance()
            if message:
                found.append(message)
    shown = "; ".join(found[:10])
    text = f"{len(found):,} of {len(rows):,}" + (f": {shown}" if found else "")
    return [("unreadable images", text, not found)]
