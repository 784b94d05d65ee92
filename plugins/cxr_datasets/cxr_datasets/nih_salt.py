"""Choose the salt of NIH's validation patients: ``python -m cxr_datasets.nih_salt ROOT``."""

import sys
from pathlib import Path

import numpy as np

from cxr_datasets import nih_tables as tables
from cxr_datasets.nih import SHARE
from cxr_datasets.tables import read_lines
from harness import by_patient

CANDIDATES = 1_000


def deviations(root: Path, candidates: int = CANDIDATES) -> dict[str, float]:
    """Return for each salt how far its shares are from 12.5 %: the largest over 17 shares.

    These are the shares of patients with a positive image in each of the 14 classes, of patients
    without any, of all patients and of all images of train_val.
    """
    table = tables.read_entries(root, "v2020")
    listed = set(read_lines(root / "train_val_list.txt"))
    inside = np.array([name in listed for name in table.columns[tables.IMAGE]])
    patients, of_image = np.unique(tables.patient_ids(table)[inside], return_inverse=True)
    positive = np.zeros((len(patients), len(tables.CLASSES)))
    np.maximum.at(positive, of_image, tables.labels(table)[inside])
    counted = np.column_stack(
        [positive, ~positive.any(axis=1), np.ones(len(patients)), np.bincount(of_image)]
    )
    shares = {}
    for number in range(candidates):
        chosen = by_patient(patients, f"nih-{number}", SHARE)
        found = counted[chosen].sum(axis=0) / counted.sum(axis=0)
        shares[f"nih-{number}"] = float(np.abs(found - SHARE).max())
    return shares


if __name__ == "__main__":
    found = deviations(Path(sys.argv[1]))
    for salt in sorted(found, key=lambda salt: found[salt])[:5]:
        print(f"{salt}  largest deviation {found[salt]:.5f}")
