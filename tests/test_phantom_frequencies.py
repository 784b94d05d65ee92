"""How the copula of harness.data.phantom.frequencies was computed from NIH's table, and its test.

`python tests/test_phantom_frequencies.py Data_Entry_2017_v2020.csv.gz` prints the constants.
"""

import csv
import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from harness.data.phantom import FINDINGS, PhantomSettings, frequencies
from harness.data.phantom.cohort import film_at

AGE_QUANTILES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)


def table_path():
    shared = os.environ.get("CXR_SHARED") or Path(__file__).resolve().parents[1].parent / "shared"
    return Path(shared) / "data/nih/Data_Entry_2017_v2020.csv.gz"


def read_table(path):
    """Return patients (N,), the 16 binary columns (findings, AP, male) (N, 16) and ages (N,)."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    patients = np.array([int(row["Patient ID"]) for row in rows])
    binary = [
        [
            *(name in row["Finding Labels"].split("|") for name in FINDINGS),
            row["View Position"] == "AP",
            row["Patient Gender"] == "M",
        ]
        for row in rows
    ]
    ages = np.array([float(row["Patient Age"]) for row in rows])
    return patients, np.array(binary, dtype=float), ages


def both_above(h, k, correlation, nodes=64):
    """Return P(X > h, Y > k) of a bivariate normal: its density integrated over the correlation."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    r = correlation[..., None] * (x + 1) / 2
    h, k = h[..., None], k[..., None]
    density = np.exp(-(h * h - 2 * r * h * k + k * k) / (2 * (1 - r * r)))
    density /= 2 * np.pi * np.sqrt(1 - r * r)
    area = correlation / 2 * (density * weight).sum(-1)
    return area + norm.sf(h[..., 0]) * norm.sf(k[..., 0])


def tetrachoric(p, joint):
    """Return the latent correlations (K, K) that give `joint` (K, K) to prevalences `p` (K,)."""
    h = norm.isf(p)
    h, k = np.broadcast_arrays(h[:, None], h[None, :])
    low, high = np.full(joint.shape, -0.995), np.full(joint.shape, 0.995)
    for _ in range(40):
        middle = (low + high) / 2
        above = both_above(h, k, middle) > joint
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def second_moments(patients, columns):
    """Return second moments (K, K) of `columns` (N, K) in one film, and across films of a patient.

    Across: over pairs of different films of one patient, so weighted that each film counts once;
    with it the means (K,) of the films that have another film beside them.
    """
    order = np.argsort(patients, kind="stable")
    columns = columns[order]
    _, first, count = np.unique(patients[order], return_index=True, return_counts=True)
    across = np.zeros((columns.shape[1],) * 2)
    for start, n in zip(first[count > 1], count[count > 1], strict=True):
        film = columns[start : start + n]
        total = film.sum(0)
        across += (np.outer(total, total) - film.T @ film) / (n - 1)
    repeated = np.repeat(count > 1, count)
    same = columns.T @ columns / len(columns)
    return same, across / repeated.sum(), columns[repeated].mean(0)


def nearest_psd(matrix, floor=0.004):
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors @ np.diag(np.maximum(values, floor)) @ vectors.T


def estimate(path):
    """Return (prevalence (16,), total (17, 17), between (17, 17), ages at AGE_QUANTILES).

    Order: 14 findings, AP, male, age. `total` is the latent correlation in one film; `between` is
    the part of it that all films of a patient share (age and sex entirely).
    """
    patients, binary, age = read_table(path)
    score = norm.ppf((rankdata(age) - 0.5) / len(age))
    same, across, repeated = second_moments(patients, np.column_stack([binary, score]))
    p = binary.mean(0)
    total, between = np.eye(17), np.eye(17)
    total[:16, :16] = tetrachoric(p, same[:16, :16])
    between[:16, :16] = tetrachoric(repeated[:16], across[:16, :16])
    total[16, :16] = total[:16, 16] = same[16, :16] / norm.pdf(norm.isf(p))
    np.fill_diagonal(total, 1)
    total = nearest_psd(total)
    scale = 1 / np.sqrt(np.diag(total))
    total = total * scale[:, None] * scale
    between[15:, :], between[:, 15:] = total[15:, :], total[:, 15:]
    # The film's own part must be a covariance without age and sex, and so must the shared part.
    own = nearest_psd((total - nearest_psd(between))[:15, :15])
    between = total.copy()
    between[:15, :15] -= own
    return p, total, between, np.quantile(age, AGE_QUANTILES)


@pytest.fixture(scope="module")
def estimated():
    path = table_path()
    if not path.exists():
        pytest.skip(
            f"NIH's real table is not at {path}; set CXR_SHARED to the folder that holds data/nih/"
        )
    return estimate(path)


@pytest.fixture(scope="module")
def described():
    """True findings (N, 16: with AP and male), ages and patients of 8,000 phantoms."""
    settings = PhantomSettings(size=64)
    films = [film_at(settings, index) for index in range(8000)]
    columns = [[*film.findings, film.view == "AP", film.sex == "M"] for film in films]
    return (
        np.array(columns, dtype=float),
        np.array([film.age for film in films]),
        np.array([film.patient for film in films]),
    )


def test_tetrachoric_inverts_the_bivariate_normal():
    p = np.array([0.1, 0.4])
    h = norm.isf(p)
    joint = both_above(h[:, None], h[None, :], np.array([[0.0, 0.6], [0.6, -0.3]]))
    np.testing.assert_allclose(tetrachoric(p, joint), [[0.0, 0.6], [0.6, -0.3]], atol=1e-8)
    # Independent: P(X > h, Y > k) is the product.
    np.testing.assert_allclose(joint[0, 0], 0.01, atol=1e-12)


def test_constants_are_those_of_the_real_table(estimated):
    p, total, between, ages = estimated
    np.testing.assert_allclose(frequencies.PREVALENCE, p, atol=6e-6)
    np.testing.assert_allclose(frequencies.TOTAL, total, atol=0.0051)
    np.testing.assert_allclose(frequencies.BETWEEN, between, atol=0.0051)
    np.testing.assert_allclose(frequencies.AGES, ages)


def test_square_roots_give_the_covariances_back():
    shared, own = frequencies.PATIENT_ROOT, frequencies.FILM_ROOT
    np.testing.assert_allclose(shared @ shared, frequencies.BETWEEN, atol=0.02)
    np.testing.assert_allclose(own @ own + shared @ shared, frequencies.TOTAL, atol=0.02)


def test_phantoms_are_as_frequent_as_nih(described):
    findings, ages, patients = described
    p = np.array(frequencies.PREVALENCE)
    # Films of a patient are alike: count a quarter of them as independent.
    error = np.sqrt(p * (1 - p) / (len(findings) / 4))
    assert (np.abs(findings.mean(0) - p) < 4 * error).all()
    assert abs(np.median(ages) - 49) < 3
    films = np.unique(patients, return_counts=True)[1]
    assert abs(films.mean() - 3.64) < 0.35
    assert 0.45 < (films == 1).mean() < 0.65  # 57 % in NIH


def test_phantoms_co_occur_as_in_nih(described):
    findings, _, _ = described
    path = table_path()
    if not path.exists():
        pytest.skip(
            f"NIH's real table is not at {path}; set CXR_SHARED to the folder that holds data/nih/"
        )
    _, real, _ = read_table(path)
    together = findings.T @ findings / len(findings)
    expected = real.T @ real / len(real)
    error = np.sqrt(expected / (len(findings) / 4)) + 0.002
    assert (np.abs(together - expected) < 4 * error)[~np.eye(16, dtype=bool)].all()
    none = (findings[:, :14].sum(1) == 0).mean()
    assert abs(none - (real[:, :14].sum(1) == 0).mean()) < 0.05


def test_films_of_a_patient_resemble_each_other(described):
    findings, _, patients = described
    again = patients[1:] == patients[:-1]
    first, second = findings[:-1][again], findings[1:][again]
    for name in ("Mass", "Pneumothorax", "Effusion", "Nodule"):
        index = FINDINGS.index(name)
        repeated = second[first[:, index] == 1, index].mean()
        assert repeated > 2 * findings[:, index].mean(), name
    np.testing.assert_array_equal(first[:, 15], second[:, 15])  # sex


def test_age_and_view_go_with_findings_as_in_nih(described):
    findings, ages, _ = described
    ap = findings[:, 14] == 1
    for name, older in (("Fibrosis", 3), ("Atelectasis", 1)):
        ill = findings[:, FINDINGS.index(name)] == 1
        assert ages[ill].mean() > ages[~ill].mean() + older
    for name in ("Edema", "Consolidation", "Infiltration"):
        index = FINDINGS.index(name)
        assert findings[ap, index].mean() > 1.5 * findings[~ap, index].mean()


def test_enrich_raises_rare_findings_to_the_commonest():
    np.testing.assert_allclose(frequencies.prevalences(0), frequencies.PREVALENCE[:14])
    np.testing.assert_allclose(frequencies.prevalences(1), 0.17743)
    half = frequencies.prevalences(0.5)
    assert abs(half[13] - np.sqrt(0.00202 * 0.17743)) < 1e-9


if __name__ == "__main__":
    p, total, between, ages = estimate(sys.argv[1])
    print("PREVALENCE =", [round(float(v), 5) for v in p])
    print("AGES =", [float(a) for a in ages])
    print(np.linalg.eigvalsh(total).min(), np.linalg.eigvalsh(between).min())
    for name, matrix in (("TOTAL", total), ("BETWEEN", between)):
        print(name, "=")
        for row, values in enumerate(matrix):
            print([round(float(v), 2) for v in values[: row + 1]])
