"""``audit checkpoint`` and ``audit split``: lists of names held against a copy of a dataset."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from harness.data.leaks import audit_split, audit_training, known_parts
from harness.data.lists import Copy, read_list, read_parts
from harness.data.samples import LabelSpace, Samples
from harness.errors import DataError

TRAIN = ["00000001_000.png", "00000001_001.png", "00000002_000.png"]
HELD = ["00000003_000.png"]
TEST = ["00000004_000.png", "00000004_001.png", "00000005_000.png", "00000006_000.png"]


class Small:
    """A dataset of eight images of six patients; boxes on two test images of two patients."""

    name, protocol = "nih", "official"

    def __init__(self, boxes=True):
        names = TRAIN + HELD + TEST
        classes = np.full((8, 1), -1)
        classes[[5, 6]] = 3
        self.samples = Samples.of(
            LabelSpace(("Mass",)),
            names=names,
            patients=[name[:8] for name in names],
            **({"box_classes": classes} if boxes else {}),
        )
        rows = np.arange(8)
        self.splits = {"train": rows[:3], "validation": rows[3:4], "test": rows[4:]}


@pytest.fixture
def copy():
    return Copy(Small())


@pytest.mark.parametrize(
    "text",
    [
        "00000001_000.png\n00000004_001.png",
        "00000001_000\r\n00000004_001\r\n",
        "Image Index\n00000001_000.png\n00000004_001.png\n",
        "/data/images_001/images/00000001_000.png\nC:\\images\\00000004_001.PNG\n",
        "00000001_000.png 0 1 0\n00000004_001.png 1 0 0\n",
        "Finding,Image Index\nMass,00000001_000.png\nNo,00000004_001.png\n",
        "\ufeff00000001_000.png,Mass\n\n00000004_001.png,No\n",
    ],
)
def test_names_are_found_however_they_are_written(copy, tmp_path, text):
    path = tmp_path / "list"
    path.write_bytes(text.encode())
    rows, unknown = copy.find(read_list(path))
    assert (rows.tolist(), unknown) == ([0, 5], [])


def test_a_training_list_with_test_images(copy):
    found = audit_training(copy, [*TRAIN, TEST[1], TEST[1], TEST[2], "IM-0001.png"])
    test, boxed = found.part.overlaps["test"], found.part.overlaps["boxed"]
    assert (test.images, test.of_images, test.patients, test.of_patients) == (2, 4, 2, 3)
    assert test.first == (TEST[1], TEST[2])
    assert (boxed.images, boxed.of_images, boxed.patients, boxed.of_patients) == (2, 2, 2, 2)
    assert (found.part.images, found.part.patients) == (5, 4)
    assert (found.part.repeated, found.part.unknown) == (1, 1)
    assert found.part.first_unknown == ("IM-0001.png",)
    assert not found.clean
    assert found.verdict == (
        "trained on 2 of the 4 official test images (50.0%): no score on the official test split "
        "counts; 1 of its names are unknown here"
    )


def test_a_clean_list_says_so_and_no_more(copy):
    found = audit_training(copy, TRAIN)
    assert found.clean
    assert found.verdict.startswith("trained on none of the 4 official test images, as far as")
    assert [fine for _, _, fine in found.facts()] == [None, None, True, True]


def test_a_copy_that_is_not_official_is_not_called_so(copy):
    copy.protocol = "custom:abc"
    assert audit_training(copy, TEST).verdict == (
        "trained on 4 of the 4 test images of this copy (100.0%): no score on this copy's test "
        "split counts"
    )


def test_a_copy_without_boxes_says_so():
    found = audit_training(Copy(Small(boxes=False)), TRAIN)
    assert ("  images with boxes", "this copy has no table of boxes", None) in found.facts()


def test_a_list_of_something_else_is_an_error(copy):
    with pytest.raises(DataError, match="no name of the training list is an image of nih"):
        audit_training(copy, ["a.png", "b.png"])


def test_a_split_that_leaks(copy):
    lists = {"train": [*TRAIN, TEST[0]], "validation": HELD, "test": TEST[1:]}
    found = audit_split(copy, lists)
    assert not found.clean
    (pair,) = found.shared
    assert (pair.first, pair.second, pair.images, pair.patients) == ("train", "test", 0, 1)
    assert pair.example == "00000004"
    assert "1 patients are in both train and test" in found.verdict
    assert "1 official test images are outside its test part" in found.verdict


def test_a_split_without_leaks(copy):
    found = audit_split(copy, {"train": TRAIN, "validation": HELD, "test": TEST})
    assert found.clean
    assert found.protocol.startswith("custom:")
    assert found.verdict == (
        "a split of its own: its test part is the official test list, and nothing leaks into it"
    )
    part = audit_split(copy, {"train": TRAIN, "test": TEST[:3]})
    assert "its test part has 3 of the 4 test images there are" in part.verdict


def test_parts_of_a_csv(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("Image Index,Split\na.png,train\nb.png,VAL\nc.png,test\nd.png,train\n")
    assert read_parts(path) == {"train": ["a.png", "d.png"], "validation": ["b.png"],
                                "test": ["c.png"]}  # fmt: skip
    path.write_text("a.png\nb.png\n")
    with pytest.raises(DataError, match="one of image names"):
        read_parts(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"a,b\nc\n"])
def test_files_that_are_no_lists(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"list\.txt"):
        read_list(path)


def test_fingerprints_of_a_record_are_recognised():
    facts = known_parts({"train": "7265fa9efe68c5e8" + "0" * 48, "test": "declared"})
    assert "chexnet-random train, 78,468 images" in facts[0][1]
    assert "17,920 of its images" in facts[1][1]
    assert facts[2][1] == "declared: not known"


@pytest.fixture
def real():
    shared = Path(os.environ.get("CXR_SHARED", Path(__file__).parents[2].parent / "shared"))
    folder = shared / "data" / "nih"
    if not folder.is_dir():
        pytest.skip(f"the real lists are not at {folder}")
    return folder


@pytest.fixture
def command(monkeypatch):
    import typer
    from typer.testing import CliRunner

    from harness.cli import audit

    app = typer.Typer()
    audit.register(app)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_on_the_real_lists(real, command, tmp_path):
    file = tmp_path / "model.pth"
    file.write_bytes(b"\x80\x02never unpickled")
    words = ("audit", "checkpoint", file, "--root", real, "--json", "--trained-on")
    ended = command(*words, real / "chexnet_random" / "train_list.txt")
    found = json.loads(ended.output)
    assert ended.exit_code == 3
    official = found["part"]["overlaps"]
    assert (official["test"]["images"], official["test"]["of_images"]) == (17920, 25596)
    assert (official["boxed"]["images"], official["boxed"]["of_images"]) == (606, 880)
    assert official["boxed"]["of_patients"] == 726
    assert found["part"]["known"] == "chexnet-random train"
    assert found["checkpoint"]["bytes"] == 17
    assert command(*words, real / "train_val_list.txt").exit_code == 0


def test_real_splits(real, command):
    random = real / "chexnet_random"
    stems = {"train": "train", "validation": "val", "test": "test"}
    words = [f"--{part}={random / f'{stem}_list.txt'}" for part, stem in stems.items()]
    ended = command("audit", "split", *words, "--root", real, "--json")
    found = json.loads(ended.output)
    assert ended.exit_code == 3
    assert (found["protocol"], found["shared"]) == ("chexnet-random", [])
    assert [part["patients"] for part in found["parts"]] == [21528, 3090, 6187]
    assert "20,383 official test images are outside its test part" in found["verdict"]
    lists = [f"--train={real / 'train_val_list.txt'}", f"--test={real / 'test_list.txt'}"]
    ended = command("audit", "split", *lists, "--root", real)
    assert ended.exit_code == 0
    assert "the official split: its test part is the official test list" in ended.output


def test_the_split_of_stored_rows(command, tmp_path):
    from harness.results.schema import SCHEMA

    folder = tmp_path / "results" / "nih" / "mine-ab-0"
    folder.mkdir(parents=True)
    lists = {"train": "7265fa9efe68c5e8", "validation": "x", "test": "a20c79828a7825d1"}
    texts = dict.fromkeys(("id", "method", "label", "budget", "recipe", "tta"), "ab")
    dataset = {"name": "nih", "protocol": "chexnet-random", "fingerprints": lists, "counts": {}}
    dataset |= {"policy": {}, "phantom": None, "credentialed": False, "classes": []}
    empty = ("hyperparameters", "metrics", "throughput", "device", "versions")
    blocks: dict = {key: {} for key in empty}
    record = {"schema": SCHEMA, "seed": 0, "kind": "imported", "dataset": dataset, "git": {}}
    record |= {**texts, **blocks, "stages": [], "command": [], "scores": None}
    (folder / "record.json").write_text(json.dumps(record))
    ended = command("audit", "split", "ab", "--json")
    (row,) = json.loads(ended.output)
    assert row["protocol"] == "chexnet-random"
    assert "17,920 of its images" in row["lists"][1][1]
    said = " ".join(command("audit", "split", "ab").output.split())
    assert "mine-ab-0: nih, the split called chexnet-random" in said


def test_words_that_do_not_go_together(command, tmp_path):
    assert "not both" in str(command("audit", "split").exception)
    both = command("audit", "split", "row", f"--train={tmp_path}")
    assert "not both" in str(both.exception)
