import os
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PLUGINS = [path for path in sorted((REPO / "plugins").glob("*")) if (path / path.name).is_dir()]


@pytest.fixture(scope="session", autouse=True)
def _plugins_importable():
    sys.path.extend(str(path) for path in PLUGINS if str(path) not in sys.path)


@pytest.fixture(scope="session")
def tables() -> dict[str, str]:
    found = {}
    for plugin in PLUGINS:
        for path in sorted((plugin / plugin.name / "tables").glob("*.toml")):
            found[tomllib.loads(path.read_text())["name"]] = f"{plugin.name}:tables/{path.name}"
    for path in sorted((REPO / "harness" / "results" / "tables").glob("*.toml")):
        found[tomllib.loads(path.read_text())["name"]] = f"harness.results:tables/{path.name}"
    return found


@pytest.fixture(scope="session")
def papers() -> Path:
    shared = Path(os.environ.get("CXR_SHARED", REPO.parent / "shared"))
    if not (shared / "papers").is_dir():
        pytest.skip(f"the papers' texts are not at {shared / 'papers'}")
    return shared / "papers"


NIH = [
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    *("Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening"),
    "Hernia",
]
OFFICIAL = "38ca5ef7f7560929" + "0" * 48


def _entry(cells, half=0.004):
    """One metric of a record: cells with intervals of +-2 half, the mean with +-half."""
    mean = sum(cells.values()) / len(cells)
    classes = {
        name: {"value": value, "low": value - 2 * half, "high": value + 2 * half}
        for name, value in cells.items()
    }
    interval = {"value": mean, "low": mean - half, "high": mean + half}
    return {"mean": interval, "classes": classes, "undefined": [], "strata": {}}


@pytest.fixture
def record():
    """Make a record: ``record(method, cells or one value for all, ...)``."""

    def make(method="space-attention", cells=0.79, *, seed=0, metrics=None, dataset=None, **more):
        cells = cells if isinstance(cells, dict) else dict.fromkeys(NIH, cells)
        described = {
            "name": "nih",
            "protocol": "official",
            "fingerprints": {"train": "t", "validation": "v", "test": OFFICIAL},
            "counts": {},
            "policy": {},
            "phantom": None,
            "credentialed": False,
            "classes": list(cells),
        }
        return {
            "schema": 1,
            "id": f"{method}-{seed}-{len(more)}",
            "seed": seed,
            "method": method,
            "label": method,
            "kind": "measured",
            "dataset": described | (dataset or {}),
            "budget": "full",
            "recipe": "paper",
            "tta": "none",
            "hyperparameters": {"pool": {"value": "global", "origin": "default"}},
            "metrics": metrics or {"auroc": _entry(cells)},
            "throughput": {"train_images_per_s": 100.0, "inference_images_per_s": 400.0},
            "device": {"kind": "cpu", "name": "a CPU"},
            "stages": [],
            "versions": {},
            "git": {},
            "command": ["harness", "run"],
            "scores": None,
        } | more

    return make


@pytest.fixture
def entry():
    """Make one metric of a record from its cells."""
    return _entry


@pytest.fixture
def nih():
    """The 14 classes in the order of the data set."""
    return NIH
