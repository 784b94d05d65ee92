"""The real metadata and the real images of NIH ChestX-ray14."""

import csv
import gzip
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cxr_datasets.nih import NIH
from cxr_datasets.nih_salt import deviations
from sklearn.metrics import roc_auc_score

from harness.data.splits import KNOWN, fingerprint

# Paper 004 (CXR-IRNet), Table 1: train, test, box; in the order of the classes.
TRAIN = (8280, 1707, 8659, 13782, 4034, 4708, 876, 2637, 2852, 1378, 1423, 1251, 2242, 141)
TEST = (3279, 1069, 4658, 6112, 1748, 1623, 555, 2665, 1815, 925, 1093, 435, 1143, 86)
BOX = (180, 146, 153, 123, 85, 79, 120, 98, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def nih(shared):
    return NIH(shared / "nih")


def official(nih):
    train_val = np.concatenate([nih.splits["train"], nih.splits["validation"]])
    return nih.samples.labels[train_val], nih.samples.labels[nih.splits["test"]]


def test_every_figure_of_table_1(nih):
    train, test = official(nih)
    assert tuple(train.sum(0)) == TRAIN
    assert tuple(test.sum(0)) == TEST
    assert (train.sum(), test.sum()) == (53_970, 27_206)
    assert (train.any(1).sum(), test.any(1).sum()) == (36_024, 15_735)
    assert ((~train.any(1)).sum(), (~test.any(1)).sum()) == (50_500, 9_861)
    assert (len(train), len(test)) == (86_524, 25_596)
    kinds = nih.samples.column("box_classes")
    assert tuple(np.bincount(kinds[kinds >= 0], minlength=14)) == BOX
    assert (kinds >= 0).sum() == 984
    assert (kinds >= 0).any(1).sum() == 880


def test_boxes_lie_in_the_test_list_inside_the_frame_and_are_labelled(nih):
    kinds, boxes = nih.samples.column("box_classes"), nih.samples.column("boxes")
    image, slot = np.nonzero(kinds >= 0)
    assert set(image) <= set(nih.splits["test"])
    assert nih.samples.labels[image, kinds[image, slot]].all()
    corners = boxes[image, slot]
    assert corners.min() >= 0
    assert corners.max() == pytest.approx(1022.1, abs=0.1)
    first = nih.samples.names[image] == "00013118_008.png"
    assert corners[first][0] == pytest.approx(
        [225.084745762712, 547.019216763771, 225.084745762712 + 86.7796610169491,
         547.019216763771 + 79.1864406779661], rel=1e-6,
    )  # fmt: skip


def test_splits_have_the_known_fingerprints_and_patients(nih):
    names, patients = nih.samples.names, nih.samples.patients
    assert nih.protocol == "official"
    for part, rows in nih.splits.items():
        known = KNOWN[fingerprint(names[rows].tolist())]
        assert (known.protocol, known.part) == ("official", part)
        assert (known.images, known.patients) == (len(rows), len(set(patients[rows])))
    train_val = np.concatenate([nih.splits["train"], nih.splits["validation"]])
    assert fingerprint(names[train_val].tolist()) == "61fbe896321c1c1c"


def test_validation_has_an_eighth_of_the_positive_patients_of_every_class(nih):
    patients, labels = nih.samples.patients, nih.samples.labels
    for column in range(14):
        positive = {
            part: len(set(patients[rows][labels[rows, column] > 0]))
            for part, rows in nih.splits.items()
        }
        share = positive["validation"] / (positive["train"] + positive["validation"])
        assert share == pytest.approx(0.125, abs=0.0054)


@pytest.mark.slow
def test_the_salt_is_the_best_of_a_thousand(shared):
    shares = deviations(shared / "nih")
    assert len(shares) == 1_000
    assert min(shares, key=shares.get) == "nih-166"


def test_table_of_2017_differs_as_known(shared):
    old = NIH(shared / "nih", version="2017")
    new = NIH(shared / "nih")
    assert (old.policy["labels"], new.policy["labels"]) == ("2017", "v2020")
    assert old.policy["csv"][:16] == "3c3e24f0b580e4e9"
    assert new.policy["csv"][:16] == "dc1d2df67fdc1c5a"
    train, test = official(old)
    assert tuple(train.sum(0)) == TRAIN
    lacking = (24, 4, 10, 24, 36, 8, 78, 4, 0, 0, 0, 0, 0, 0)
    assert tuple(np.array(TEST) - test.sum(0)) == lacking
    assert test.sum() == 27_018
    assert old.splits.keys() == new.splits.keys()
    for part in new.splits:
        assert fingerprint(old.part(part).names.tolist()) == fingerprint(
            new.part(part).names.tolist()
        )


def test_metadata_of_both_tables(shared):
    old = NIH(shared / "nih", version="2017")
    assert ("ages", "16 above 120 years, taken as unknown", None) in old.facts()
    ages = old.samples.column("metadata")[:, 0]
    assert np.isnan(ages).sum() == 16
    assert (ages < 2).sum() >= 27  # those in months and days
    new = NIH(shared / "nih").samples.column("metadata")
    assert not np.isnan(new).any()
    assert tuple(new[:, 1:].sum(0)) == (63_340, 44_810)  # men, AP
    assert new[:, 0].max() == 95


def test_follow_up_orders_the_films_of_every_patient_by_age(nih):
    samples = nih.samples
    age, follow_up = samples.column("metadata")[:, 0], samples.column("follow_up")
    order = np.lexsort((follow_up, samples.patients))
    same = samples.patients[order][1:] == samples.patients[order][:-1]
    assert (np.diff(age[order])[same] >= 0).all()


def test_adjudicated_labels(nih):
    adjudicated = nih.samples.column("adjudicated")
    known = ~np.isnan(adjudicated).any(1)
    assert known.sum() == 4_376
    assert known[nih.splits["test"]].sum() == 1_962
    row = nih.samples.names.tolist().index("00000013_026.png")
    assert tuple(adjudicated[row]) == (0, 1, 0, 0)


def test_random_split_is_recognised_and_its_leak_named(shared):
    random = NIH(shared / "nih", split="chexnet-random")
    assert random.protocol == "chexnet-random"
    sizes = {part: len(rows) for part, rows in random.splits.items()}
    assert sizes == {"train": 78_468, "validation": 11_219, "test": 22_433}
    again = NIH(shared / "nih", lists=str(shared / "nih" / "chexnet_random"))
    assert again.protocol == "chexnet-random"
    facts = random.facts()
    assert any("17,920 of its images" in finding for _, finding, _ in facts)
    assert ("images with boxes outside the test split", "692", False) in facts  # 606 + 86


def test_real_predictions_give_the_published_aurocs(shared):
    random = NIH(shared / "nih", split="chexnet-random")
    with (shared / "chexnet_preds" / "preds.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    with (shared / "chexnet_preds" / "aucs.csv").open() as file:
        published = {row["label"]: float(row["auc"]) for row in csv.DictReader(file)}
    assert fingerprint(row[0] for row in rows) == fingerprint(random.part("test").names.tolist())
    row_of = {name: row for row, name in enumerate(random.samples.names.tolist())}
    truth = random.samples.labels[[row_of[row[0]] for row in rows]]
    scores = np.array([row[1:] for row in rows], dtype=np.float64)
    for column, name in enumerate(random.space.classes):
        auroc = roc_auc_score(truth[:, column], scores[:, column])
        assert auroc == pytest.approx(published[name], abs=1e-12)


def test_the_whole_metadata_is_verified_in_5_s_and_500_mb(shared):
    code = (
        "import sys; from cxr_datasets.nih import NIH; NIH(sys.argv[1]).facts();"
        "assert 'torch' not in sys.modules; print(open('/proc/self/status').read())"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's own memory is read from /proc")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = [sys.executable, "-c", code, str(shared / "nih")]
    said = subprocess.run(ran, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # what a busy machine cannot stretch
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
    assert int(said.split("VmHWM:")[1].split()[0]) < 500 * 1024


def test_starter_set(shared):
    starter = NIH(shared / "nih_starter_256")
    assert starter.protocol.startswith("custom:")
    sizes = {part: len(rows) for part, rows in starter.splits.items()}
    assert sizes["train"] + sizes["validation"] == 546
    assert sizes["test"] == 75
    assert (starter.samples.column("box_classes") >= 0).sum() == 12
    assert len({starter.stamp(row) for row in range(len(starter.samples))}) == 621
    for row in range(0, 621, 10):
        image = starter.read(row)
        assert (image.shape, image.dtype) == ((256, 256), np.uint8)
    assert ("image files absent", "0", True) in starter.facts()


def test_rgba_files_give_their_red_channel(shared, tmp_path):
    folder = shared / "nih_rgba"
    names = sorted(path.name for path in folder.glob("*.png"))
    for name in names:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    nih = _subset(NIH(shared / "nih"), shared, names, tmp_path)
    rgba = 0
    for row, name in enumerate(nih.samples.names.tolist()):
        stored = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        rgba += stored.ndim == 3
        red = stored if stored.ndim == 2 else stored[..., 2]
        assert np.array_equal(nih.read(row), red)
    assert rgba == 6


def _subset(nih, shared, names, root):
    """The table cut down to some images, with the official lists."""
    content = (shared / "nih" / "Data_Entry_2017_v2020.csv.gz").read_bytes()
    lines = gzip.decompress(content).decode().splitlines()
    kept = [lines[0], *(line for line in lines if line.split(",")[0] in set(names))]
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(kept) + "\n")
    for name in ("train_val_list.txt", "test_list.txt"):
        (root / name).write_bytes((shared / "nih" / name).read_bytes())
    subset = NIH(root)
    assert subset.protocol.startswith("official-subset:")
    return subset
