"""How fast a table over many records is, from the start of the process to its last line.

1,000 records of four seeds each, every one with predictions of its own at the size of NIH's test
split: what comparisons keep of them is written directly, since `bench_metrics` times the reduction
of one run (`test_measure_a_run`), which each new file of predictions costs once.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.files import write_json, write_npz
from harness.metrics.compare import measure
from harness.results.schema import SCHEMA

REPO = Path(__file__).parents[1]
IMAGES, PATIENTS, SEEDS = 25596, 2797, 4
CLASSES = [
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    *("Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening"),
    "Hernia",
]
OFFICIAL = "38ca5ef7f7560929" + "0" * 48


def draw():
    random = np.random.default_rng(0)
    targets = (random.random((IMAGES, 14)) < 0.05).astype(np.float32)
    scores = random.normal(size=targets.shape) + 1.2 * targets
    return measure(scores, targets, np.sort(random.integers(0, PATIENTS, IMAGES)))


def record(row, seed, digest, auroc):
    cells = {
        name: {"value": v, "low": v - 0.01, "high": v + 0.01, "images": IMAGES, "positives": 99}
        for name, v in zip(CLASSES, auroc.tolist(), strict=True)
    }
    strata = {name: {"mean": 0.8, "classes": dict.fromkeys(CLASSES, 0.8)} for name in "abcd"}
    mean = float(auroc.mean())
    return {
        "schema": SCHEMA,
        "id": f"{row:012x}",
        "seed": seed,
        "method": f"method-{row}",
        "label": f"method-{row}[size=128]",
        "kind": "measured",
        "dataset": {
            "name": "nih",
            "protocol": "official",
            "fingerprints": {"train": "t", "validation": "v", "test": OFFICIAL},
            "counts": {name: {"train": 1, "test": 1, "box": 0} for name in CLASSES},
            "policy": {"labels": "v2020"},
            "phantom": None,
            "credentialed": False,
            "classes": CLASSES,
        },
        "budget": "full",
        "recipe": "paper",
        "tta": "none",
        "hyperparameters": {f"h{k}": {"value": k, "origin": "default"} for k in range(12)},
        "metrics": {
            "auroc": {
                "mean": {"value": mean, "low": mean - 0.004, "high": mean + 0.004},
                "classes": cells,
                "undefined": [],
                "strata": strata,
            },
            "calibration": {"brier": dict.fromkeys(CLASSES, 0.1)},
            "localization": {
                boxes: {
                    f"iou>0.{k}": {"mean": cells["Mass"], "classes": cells} for k in range(1, 9)
                }
                for boxes in ("largest", "each", "hottest", "box 5", "box 6", "box 7", "box 8")
            },
        },
        "throughput": {"train_images_per_s": 100.0, "inference_images_per_s": 400.0},
        "device": {"kind": "cuda", "name": "a GPU"},
        "stages": [],
        "versions": {f"package{k}": "1.0" for k in range(9)},
        "git": {},
        "command": ["harness", "run"],
        "scores": {"file": "scores.npz", "sha256": digest},
    }


def write(results, home, records):
    """Write records, and what comparisons keep of their predictions, each another."""
    run, random = draw(), np.random.default_rng(1)
    for number in range(records):
        row, seed = divmod(number, SEEDS)
        shift = 0.01 * np.random.default_rng(row).normal() + 0.002 * random.normal(size=14)
        digest = f"{number:064x}"
        made = record(row, seed, digest, np.clip(run.auroc + shift, 0, 1))
        write_json(results / "nih" / f"method-{row}-{row:012x}-{seed}" / "record.json", made)
        noise = 1 + 0.3 * random.normal(size=run.influence.shape)
        kept = {
            "auroc": run.auroc + shift,
            "influence": (run.influence * noise).astype(np.float32),
            "draws": (run.draws + shift + 0.002 * random.normal(size=run.draws.shape)).astype(
                np.float32
            ),
            "classes": np.array(CLASSES),
            "ground": np.array("the same"),
        }
        write_npz(home / "comparisons" / f"{digest}.npz", kept)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return folders of results and of what is kept, for 1,000 records."""
    root = tmp_path_factory.mktemp("thousand")
    write(root / "results", root / "home", int(os.environ.get("RECORDS", "1000")))
    yield root / "results", root / "home"
    shutil.rmtree(root)


def table(places, *words):
    results, home = places
    command = [sys.executable, "-m", "harness", "table", "nih-auc", "--results", str(results)]
    environment = os.environ | {"HARNESS_HOME": str(home), "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def processor():
    """Return the seconds that the processes started so far have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_comparisons_not_made_before(benchmark, places):
    def forget():
        for path in (places[1] / "comparisons").glob("*.json"):
            path.unlink()

    benchmark.pedantic(table, args=(places,), setup=forget, rounds=1)


@pytest.mark.parametrize("form", ["terminal", "json", "md"])
def test_table_of_1000_records(benchmark, places, form):
    """Under 2 s, the start of Python included, once the comparisons were made.

    Held against the seconds of a processor, which are those of the clock on an idle machine.
    """
    table(places)
    before = processor()
    found = benchmark.pedantic(table, args=(places, "--format", form), rounds=5)
    assert "method-3" in found
    if form == "json":
        bold = [row["bold"] for row in json.loads(found)["rows"] if row["seeds"]]
        assert any(bold)
        assert not all(bold)
    benchmark.extra_info["processor, s"] = (processor() - before) / 5
    assert benchmark.extra_info["processor, s"] < 2
