"""Published predictions of a CheXNet re-implementation, joined with NIH's revised labels."""

import csv
import gzip

import numpy as np
import pytest

from harness.metrics.auroc import auroc
from harness.metrics.clustered import (
    clustered_variance,
    components,
    delong_covariance,
    patient_sums,
)
from harness.metrics.verdict import OFFICIAL_BAND, RANDOM_BAND, signature


@pytest.fixture(scope="module")
def predictions(shared):
    """Scores (22433, 14), targets, patients, membership in the official test list, and AUCs."""
    folder = shared / "data"
    with (folder / "chexnet_preds/preds.csv").open() as file:
        names, *rows = csv.reader(file)
    classes = [name.removeprefix("prob_") for name in names[1:]]
    with gzip.open(folder / "nih/Data_Entry_2017_v2020.csv.gz", "rt") as file:
        entries = {row[0]: row for row in csv.reader(file)}
    labels = [entries[row[0]][1].split("|") for row in rows]
    with (folder / "chexnet_preds/aucs.csv").open() as file:
        published = {row["label"]: float(row["auc"]) for row in csv.DictReader(file)}
    official = set((folder / "nih/test_list.txt").read_text().split())
    return {
        "scores": np.array([row[1:] for row in rows], dtype=np.float64),
        "targets": np.array([[name in found for name in classes] for found in labels], float),
        "patients": np.array([entries[row[0]][3] for row in rows]),
        "official": np.array([row[0] in official for row in rows]),
        "published": np.array([published[name] for name in classes]),
        "classes": classes,
    }


def test_published_aucs_come_out(predictions):
    areas = auroc(predictions["scores"], predictions["targets"])
    np.testing.assert_allclose(areas, predictions["published"], atol=1e-12, rtol=0)


def test_images_of_one_patient_are_not_independent(predictions):
    part = predictions["official"]
    scores, targets = predictions["scores"][part], predictions["targets"][part]
    _, sums = patient_sums(components(scores, targets).psi, predictions["patients"][part])
    image_wise = [
        delong_covariance(scores[:, [c]], targets[:, c])[1][0, 0] for c in range(len(targets.T))
    ]
    ratio = np.sqrt(clustered_variance(sums) / image_wise)
    assert np.median(ratio) == pytest.approx(1.53, abs=0.01)


def test_the_signature_separates_the_two_test_populations(predictions):
    found = {}
    for official in (True, False):
        part = predictions["official"] == official
        areas = auroc(predictions["scores"][part], predictions["targets"][part])
        found[official] = signature(dict(zip(predictions["classes"], areas, strict=True)))
    assert predictions["official"].sum() == 5213
    assert found[True] == pytest.approx(-0.050, abs=0.0005)
    assert found[False] == pytest.approx(0.022, abs=0.0005)
    assert OFFICIAL_BAND[0] <= found[True] <= OFFICIAL_BAND[1]
    assert RANDOM_BAND[0] <= found[False] <= RANDOM_BAND[1]
