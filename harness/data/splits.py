"""Splits as facts: fingerprints of known lists, the patient hash, and the check that none leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, SettingError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class KnownList:
    """A list of images that is known by its fingerprint: which part of which protocol it is."""

    protocol: str
    part: str
    images: int
    patients: int
    note: str = ""


OFFICIAL = "official"
CHEXNET_RANDOM = "chexnet-random"
_HASHED = "the harness's own division of the official train_val list, by salted patient hash"

KNOWN: Mapping[str, KnownList] = {
    "61fbe896321c1c1c": KnownList(OFFICIAL, "train_val", 86_524, 28_008),
    "38ca5ef7f7560929": KnownList(OFFICIAL, "test", 25_596, 2_797),
    "182ff97f6478bd69": KnownList(OFFICIAL, "train", 75_250, 24_530, _HASHED),
    "22f853533eab3b0c": KnownList(OFFICIAL, "validation", 11_274, 3_478, _HASHED),
    "7265fa9efe68c5e8": KnownList(
        CHEXNET_RANDOM,
        "train",
        78_468,
        21_528,
        "17,920 of its images (70.0 % of the official test list) are official test images, 606 of "
        "the 880 images with boxes among them: a model trained on it has seen the official test",
    ),
    "65fd487c51e6316d": KnownList(
        CHEXNET_RANDOM, "validation", 11_219, 3_090, "2,463 of its images are official test images"
    ),
    "a20c79828a7825d1": KnownList(
        CHEXNET_RANDOM, "test", 22_433, 6_187, "5,213 of its images are official test images"
    ),
}
"""Lists of NIH ChestX-ray14 by fingerprint: the official two and how the harness divides the first,
and the three of the random split by patient that CheXNet re-implementations share and later
collections copied."""


def fingerprint(names: Iterable[str]) -> str:
    """Return 16 hex digits of sha256 over the sorted unique names joined by newline."""
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()[:16]


def known_list(names: Iterable[str]) -> KnownList | None:
    """Return which known list these names are, or None."""
    return KNOWN.get(fingerprint(names))


def protocol_of(lists: Mapping[str, Iterable[str]]) -> str:
    """Return the name of the protocol that these lists are, part by part.

    ``custom:<fingerprint>``, over parts and their fingerprints, where no known protocol has them.
    """
    found = {part: fingerprint(names) for part, names in lists.items()}
    known = [(part, KNOWN.get(digest)) for part, digest in found.items()]
    protocols = {entry.protocol for part, entry in known if entry and entry.part == part}
    if len(protocols) == 1 and all(entry and entry.part == part for part, entry in known):
        return protocols.pop()
    return f"custom:{fingerprint(f'{part} {digest}' for part, digest in found.items())}"


def by_patient(patients: Sequence[str] | Array, salt: str, share: float) -> npt.NDArray[np.bool_]:
    """Return which rows (N,) belong to the ``share`` of patients that a salted hash picks.

    A patient is picked when the first 64 bits of sha256 of ``salt:patient``, as a fraction, lie
    below ``share``: all rows of a patient go together, and adding patients moves no other. Where
    that picks nobody, among few patients, the one with the lowest hash is picked.
    """
    if not 0 < share < 1:
        raise SettingError(f"share is {share}; give a number between 0 and 1")
    unique, inverse = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    prefix = hashlib.sha256(f"{salt}:".encode())
    hashes = np.zeros(len(unique), dtype=np.uint64)
    for row, patient in enumerate(unique.tolist()):
        digest = prefix.copy()
        digest.update(patient.encode())
        hashes[row] = int.from_bytes(digest.digest()[:8], "big")
    limit = max(int(share * 2**64), int(hashes.min(initial=2**64 - 1)) + 1)
    return np.asarray((hashes < np.uint64(min(limit, 2**64 - 1)))[inverse.reshape(-1)])


def check_disjoint(splits: Mapping[str, Array], patients: Sequence[str] | Array) -> None:
    """Check that no patient, and so no radiograph, lies in two splits (rows of ``patients``).

    Raises:
        DataError: one does; it is named with both splits.
    """
    every = np.asarray(patients, dtype=np.str_)
    owner: dict[str, str] = {}
    for split, rows in splits.items():
        for patient in np.unique(every[np.asarray(rows, dtype=np.int64)]).tolist():
            other = owner.setdefault(patient, split)
            if other != split:
                raise DataError(
                    f"patient {patient} is in the splits {other!r} and {split!r}; "
                    "a split must be disjoint by patient: correct the lists"
                )
