"""Records with predictions, made by hand: what the page says can be worked out beside it."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.data.drawn import DrawnPhantom
from harness.metrics.evaluated import Evaluated, write_heavy
from harness.results.records import folder_of, write_record
from harness.results.rescore import metrics_of

CLASSES = ("Mass", "Nodule", "Hernia")
OPTIONS = {"images": 40, "size": 64}

TABLE = """
name = "toy-auc"
title = "Toys, Table 1"
paper = "Toys"
citation = "Table 1"
dataset = "nih"
metric = "auroc"
columns = ["Mass", "Nodule", "Hernia"]
[protocol]
split = "official"
[[rows]]
method = "Printed"
model = "toy"
cells = "0.8000 0.7000 0.6000 | 0.7000"
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Offer one table of one printed row, which the model ``toy`` regenerates."""
    package = tmp_path / "toy_tables"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "auc.toml").write_text(TABLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("harness.report.page.offered", lambda: {"toy-auc": "toy_tables:auc.toml"})
    yield
    sys.modules.pop("toy_tables", None)


@pytest.fixture
def predictions():
    """Make predictions of 300 images of 100 patients; Hernia has no positive image."""

    def make(seed=0, skill=1.0):
        random = np.random.default_rng(seed)
        targets = (np.random.default_rng(9).random((300, 3)) < 0.3).astype(np.float32)
        targets[:, 2] = 0
        logits = skill * targets + random.normal(size=targets.shape)
        return Evaluated(
            names=np.array([f"{i:08d}_000.png" for i in range(300)]),
            patients=np.array([f"patient-{i // 3}" for i in range(300)]),
            classes=np.array(CLASSES),
            targets=targets,
            scores=(1 / (1 + np.exp(-logits))).round(2).astype(np.float32),
        )

    return make


def history(epochs=3):
    rows = [
        {"epoch": i + 1, "steps": 10 * (i + 1), "bce": 1 / (i + 1), "dice": 0.5, "rate": 1e-3}
        for i in range(epochs)
    ]
    return [row | {"score": 0.6 + 0.01 * row["epoch"]} for row in rows]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a record of predictions: ``written(evaluated, method, ...)`` gives its folder."""
    monkeypatch.setenv("HARNESS_PLUGINS", "")
    results = tmp_path / "results"

    def write(evaluated, method="toy", *, seed=0, dataset=None, heavy=False, **more):
        stage = {
            "kind": "stage", "name": "classifier", "digest": f"{method}{seed}", "images": 700,
            "epochs": 3, "best_epoch": 2, "seconds": {"train": 8.0}, "history": history(),
        }  # fmt: skip
        about = {
            "name": "nih", "protocol": "official", "fingerprints": {"train": "t" * 16,
            "validation": "v" * 16, "test": "38ca5ef7f7560929"}, "counts": {"test": 300},
            "policy": {"labels": "v2020"}, "phantom": None, "credentialed": False,
            "classes": evaluated.classes.tolist(),
        }  # fmt: skip
        record = {
            "schema": 1, "id": f"{method}-id".replace("/", "-"), "seed": seed, "method": method,
            "label": method, "kind": "measured", "dataset": about | (dataset or {}),
            "budget": "full", "recipe": "paper", "tta": "none",
            "hyperparameters": {"rate": {"value": 0.1, "origin": "command line"}},
            "metrics": metrics_of(evaluated),
            "throughput": {"train_images_per_s": 50.0, "inference_images_per_s": 800.0,
            "training_device_seconds": 7200.0}, "device": {"kind": "cpu", "name": "a CPU"},
            "stages": [stage], "versions": {"torch": "2.8"}, "git": {"commit": "c0ffee"},
            "command": ["harness", "run", "--plugin", method], "scores": None,
        } | more  # fmt: skip
        secret = record["dataset"]["credentialed"]
        private = tmp_path / "home" / "private" / folder_of(record) if secret else None
        arrays = evaluated.arrays(heavy=False)
        folder = write_record(results, record, arrays, credentialed=secret, private=private)
        if heavy:
            write_heavy(folder, evaluated)
        return folder

    return write


@pytest.fixture
def phantoms():
    """Make predictions with heat maps of the test images of a small phantom, and its record."""

    def make(seed=0):
        data = DrawnPhantom(**OPTIONS)
        test = data.part("test")
        boxed = np.flatnonzero((test.need("box_classes") >= 0).any(axis=1))
        random = np.random.default_rng(seed)
        classes = len(data.space.classes)
        evaluated = Evaluated(
            names=test.names,
            patients=test.patients,
            classes=np.array(data.space.classes),
            targets=test.labels,
            scores=random.random((len(test), classes)).astype(np.float32),
        )
        heavy = {
            "maps": random.random((len(boxed), classes, 4, 4)).astype(np.float16),
            "map_frame": np.array([64, 64]),
            "to_original": np.tile(np.eye(2, 3, dtype=np.float32), (len(test), 1, 1)),
            "detailed": boxed,
        }
        columns = {name: test.column(name) for name in ("sizes", "boxes", "box_classes")}
        about = {
            "name": "phantom", "protocol": "phantom", "phantom": dict(data.phantom),
            "policy": dict(data.policy), "fingerprints": {"test": "p" * 16},
        }  # fmt: skip
        return replace(evaluated, **columns, **heavy), about

    return make


@pytest.fixture
def page(tables, tmp_path):
    """Write the page of the records there are and return its text."""
    from harness.report.page import Wanted, write_page

    def make(*rows, **more):
        path = tmp_path / "report.html"
        write_page(path, Wanted(Path(tmp_path / "results"), rows, **more))
        return path.read_text(encoding="utf-8")

    return make
