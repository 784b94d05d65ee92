"""Fingerprints, the patient hash and the check for disjointness."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.splits import KNOWN, by_patient, check_disjoint, fingerprint, protocol_of
from harness.errors import DataError, SettingError


def test_fingerprint_is_of_sorted_unique_names():
    expected = hashlib.sha256(b"a.png\nb.png").hexdigest()[:16]
    assert fingerprint(["b.png", "a.png", "b.png"]) == expected
    assert fingerprint([]) == hashlib.sha256(b"").hexdigest()[:16]


def test_known_lists_add_up_to_nih():
    for protocol in ("official", "chexnet-random"):
        parts = [known for known in KNOWN.values() if known.protocol == protocol]
        whole = [known for known in parts if known.part in ("train", "validation", "test")]
        assert sum(known.images for known in whole) == 112_120
        assert sum(known.patients for known in whole) == 30_805


def test_protocol_is_custom_unless_every_part_is_known(monkeypatch):
    lists = {"train": ["a", "b"], "test": ["c"]}
    custom = protocol_of(lists)
    assert custom.startswith("custom:")
    assert custom != protocol_of({"train": ["a"], "test": ["c"]})
    assert custom != protocol_of({"train": ["c"], "test": ["a", "b"]})
    digests = {part: fingerprint(names) for part, names in lists.items()}
    known = [KNOWN["7265fa9efe68c5e8"], KNOWN["a20c79828a7825d1"]]  # random train, random test
    monkeypatch.setattr(
        "harness.data.splits.KNOWN", dict(zip(digests.values(), known, strict=True))
    )
    assert protocol_of(lists) == "chexnet-random"
    assert protocol_of({"test": ["a", "b"], "train": ["c"]}).startswith("custom:")
    assert protocol_of({"train": ["a", "b"], "test": ["d"]}).startswith("custom:")


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_patients_stay_together_and_others_do_not_matter(patients, share):
    many = [f"patient {number}" for number in range(2_000)]  # one of them is picked by its hash
    rows = by_patient([*many, *patients], "salt", share)[len(many) :]
    again = by_patient([*patients[:1], *many, *patients], "salt", share)
    assert again[0] == rows[0]
    assert np.array_equal(again[1 + len(many) :], rows)
    chosen = {patient for patient, inside in zip(patients, rows, strict=True) if inside}
    assert rows.tolist() == [patient in chosen for patient in patients]


def test_of_few_patients_the_lowest_hash_is_picked():
    few = ["a", "b", "b", "c"]
    lowest = min("abc", key=lambda p: hashlib.sha256(f"salt:{p}".encode()).digest()[:8])
    assert by_patient(few, "salt", 1e-9).tolist() == [patient == lowest for patient in few]
    assert by_patient([], "salt", 0.5).tolist() == []


def test_hash_by_hand_share_and_salt():
    first = int.from_bytes(hashlib.sha256(b"nih-166:00000001").digest()[:8], "big") / 2**64
    lower = next(
        str(k)
        for k in range(1000)
        if hashlib.sha256(f"nih-166:{k}".encode()).digest()[:8]
        < int(first * 0.9 * 2**64).to_bytes(8)
    )
    assert by_patient(["00000001", lower], "nih-166", first * 1.0001).tolist() == [True, True]
    assert by_patient(["00000001", lower], "nih-166", first * 0.9999).tolist() == [False, True]
    patients = [str(number) for number in range(20_000)]
    one, other = by_patient(patients, "a", 0.125), by_patient(patients, "b", 0.125)
    assert one.mean() == pytest.approx(0.125, abs=4 * (0.125 * 0.875 / 20_000) ** 0.5)
    assert (one & other).mean() == pytest.approx(0.125**2, abs=0.005)
    for share in (0, 1, -0.1):
        with pytest.raises(SettingError, match="share"):
            by_patient(patients, "a", share)


def test_a_patient_in_two_splits_is_named():
    patients = ["p1", "p1", "p2", "p3"]
    check_disjoint({"train": np.array([0, 1]), "test": np.array([2, 3])}, patients)
    with pytest.raises(DataError, match=r"patient p1 is in the splits 'train' and 'test'"):
        check_disjoint({"train": np.array([0]), "test": np.array([1, 2])}, patients)
