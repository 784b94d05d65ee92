"""What a user can get wrong ends in one message: what, which file or key, what to do."""

import errno
import os
import re
from urllib.error import URLError

import numpy as np
import pytest

TOY = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset")
NIH = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "nih", "--root")
TABLE = "Data_Entry_2017_v2020.csv"


def image_of(root):
    """Return some image of the training list."""
    name = (root / "train_val_list.txt").read_text().split()[0]
    (path,) = root.rglob(name)
    return path


def test_the_phantoms_are_fine(harness, nih):
    ended = harness(*NIH, nih, "--set", "epochs=1")
    assert ended.code == 0, ended.error


def test_no_root(refused):
    said = refused(*TOY[:-1], "nih")
    assert "where is 'nih'?" in said
    assert "--root DIR" in said
    assert "harness data phantom nih" in said


def test_a_csv_file_that_is_not_there_or_not_named(refused, tmp_path):
    said = refused(*TOY[:-1], f"csv:{tmp_path}/none.csv")
    assert said.startswith(f"the file {tmp_path}/none.csv of dataset 'csv' does not exist")
    said = refused(*TOY[:-1], "csv")
    assert said.startswith("which file is dataset 'csv'? Give csv:FILE or --root FILE")
    assert "phantom" not in said


def test_verify_says_what_it_did_not_look_for(harness, nih):
    ended = harness("data", "verify", "nih", "--root", nih, "--json")
    assert '"found": "not looked for: --images decodes every one"' in ended.out
    assert '"what": "image files absent",\n   "found": "0"' in ended.out


def test_a_root_that_is_not_there(refused, tmp_path):
    assert f"the root {tmp_path}/nowhere" in refused(*NIH, tmp_path / "nowhere")


def test_a_root_that_is_a_file(refused, nih):
    said = refused(*NIH, nih / TABLE)
    assert said.startswith(f"the root {nih / TABLE} of dataset 'nih' is a file, not a folder")


def test_no_label_table(refused, nih):
    (nih / TABLE).unlink()
    assert TABLE in refused(*NIH, nih)


def test_a_label_table_cut_short(refused, nih):
    path = nih / TABLE
    path.write_bytes(path.read_bytes()[:-60])
    assert TABLE in refused(*NIH, nih)


def test_an_unknown_label(refused, nih):
    path = nih / TABLE
    text = path.read_text().replace("No Finding", "Sunburn", 1)
    path.write_text(text)
    said = refused(*NIH, nih)
    assert TABLE in said
    assert "Sunburn" in said


def test_an_image_listed_but_absent(refused, nih):
    path = image_of(nih)
    path.unlink()
    assert path.name in refused(*NIH, nih)


def test_a_corrupt_image_is_named_and_can_be_left_out(refused, nih, harness):
    path = image_of(nih)
    path.write_bytes(path.read_bytes()[:-30])
    said = refused(*NIH, nih)
    assert path.name in said
    assert "--skip-corrupt" in said
    ended = harness(*NIH, nih, "--set", "epochs=1", "--skip-corrupt", "--json")
    assert ended.code == 0, ended.error
    assert '"left_out": 1' in ended.out
    assert f"left out, unreadable: 1, e.g. {path.name}" in ended.error
    told = harness("explain", "toy").out
    assert re.search(r"^left out, unreadable +1$", told, re.MULTILINE)
    assert said.startswith("1 radiograph cannot be read:")


def test_a_patient_in_two_splits(refused, nih):
    names = (nih / "train_val_list.txt").read_text().split()
    patients = [name.partition("_")[0] for name in names]
    twice = next(n for n, p in zip(names, patients, strict=True) if patients.count(p) > 1)
    (nih / "train_val_list.txt").write_text("\n".join(n for n in names if n != twice))
    with (nih / "test_list.txt").open("a") as file:
        file.write(f"\n{twice}")
    said = refused(*NIH, nih)
    assert "patient" in said
    assert "test" in said


def test_a_patient_in_two_splits_of_any_dataset(refused):
    said = refused(*TOY, "--data", "leak=true")
    assert "patient p0 is in the splits 'train' and 'test'" in said


def test_a_view_that_cannot_be(refused):
    said = refused(*TOY, "--set", "size=2")
    assert said == "images of 2 pixels a side are too small: at least 8\n"
    said = refused("data", "prepare", "toyset", "--aspect", "crop")
    assert said == "the aspect is stretch or letterbox, not 'crop'\n"


def test_a_class_without_positives_is_told_and_left_out(harness):
    import json

    ended = harness(*TOY, "--data", "positives=0", "--set", "epochs=1", "--json")
    assert ended.code == 0, ended.error
    (record,) = json.loads(ended.out)
    report = record["metrics"]["auroc"]
    assert report["undefined"] == ["Nodule"]
    assert report["classes"]["Nodule"]["value"] is None
    assert report["mean"]["value"] == report["classes"]["Mass"]["value"]
    ended = harness(*TOY, "--data", "positives=0", "--set", "epochs=1")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("Nodule")]
    assert line.split() == ["Nodule", "-", "undefined:", "no", "positives", "0"]


def test_a_loss_that_is_no_number(refused):
    said = refused(*TOY, "--set", "scale=nan")
    assert "stage 'classifier': the loss bce is not finite" in said


def test_a_full_disk(refused, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert "the disk is full" in refused(*TOY)


def test_a_disk_that_fills_while_a_record_is_written(harness, monkeypatch, tmp_path):
    """The training is not lost: the same command again only scores."""
    from harness import files

    def full(path, mode):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    results = tmp_path / "results"
    with monkeypatch.context() as patched:
        original = files.os.replace
        patched.setattr(
            files.os, "replace",
            lambda a, b: full(a, b) if "results" in str(b) else original(a, b),
        )  # fmt: skip
        ended = harness(*TOY)
    assert ended.code == 1
    assert "error: the disk is full" in ended.error
    assert not [path for path in results.rglob("*") if path.is_file()]
    assert harness(*TOY).code == 0


def test_unknown_keys_and_values(refused):
    assert "toy has no setting 'rat'; did you mean rate?" in refused(*TOY, "--set", "rat=1")
    assert "toy: rate is a number, not 'fast'" in refused(*TOY, "--set", "rate=fast")
    assert "toy: pool is one of mean, max, not 'median'" in refused(*TOY, "--set", "pool=median")
    assert "'rate' is not of the form key=value" in refused(*TOY, "--set", "rate")
    assert "dataset 'toyset' has no option 'imags'" in refused(*TOY, "--data", "imags=3")
    assert "toyset: images is a whole number" in refused(*TOY, "--data", "images=many")
    assert "no such budget: 'tiny'; choose smoke or full" in refused(*TOY, "--budget", "tiny")
    assert "no such precision: 'fp8'" in refused(*TOY, "--precision", "fp8")
    assert "no such device: 'tpu'" in refused(*TOY, "--device", "tpu")
    assert "--micro-batch is a number" in refused(*TOY, "--micro-batch", "0")
    assert "--devices is a number" in refused(*TOY, "--devices", "none")


def test_values_out_of_range(refused):
    assert "at least 1" in refused(*TOY, "--set", "epochs=0")
    assert "at least 1" in refused(*TOY, "--set", "batch_size=0")


def test_unknown_names(refused):
    assert "named 'to': did you mean" in refused(*TOY[:3], "--plugin", "to", *TOY[5:])
    assert "no plugin offers a dataset named 'mri'" in refused(*TOY[:-1], "mri")
    said = refused(*TOY[:3], "--plugin", "toy-broken", *TOY[5:])
    assert "'toy-broken' of toy_plugin cannot be loaded (toy_plugin.model:Missing)" in said
    assert "lacks its closing bracket" in refused(*TOY[:3], "--plugin", "toy[pool=max", *TOY[5:])
    assert "names no model" in refused(*TOY[:3], "--plugin", ",", *TOY[5:])


@pytest.mark.parametrize("trouble", [URLError("no network"), RuntimeError("invalid hash value")])
def test_weights_that_cannot_be_downloaded(refused, monkeypatch, trouble):
    pytest.importorskip("torchvision")
    from torchvision.models import ResNet18_Weights

    def fails(*arguments, **options):
        raise trouble

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", fails)
    said = refused(*TOY, "--set", "weights=ResNet18_Weights.IMAGENET1K_V1")
    assert "the weights ResNet18_Weights.IMAGENET1K_V1 are not in" in said
    assert "harness weights fetch" in said
    assert "weights=none" in said


def test_weights_of_no_such_name(refused):
    pytest.importorskip("torchvision")
    assert "torchvision has no weights 'ResNet'" in refused(*TOY, "--set", "weights=ResNet")
    said = refused(*TOY, "--set", "weights=ResNet18_Weights.DEFAULT")
    assert "changes with torchvision's version" in said


NAMES = [f"{row}.png" for row in range(40, 60)]


def csv_of(path, names, head="image,Mass,Nodule", scores="0.25,0.5"):
    path.write_text("\n".join([head, *(f"{name},{scores}" for name in names)]) + "\n")
    return path


BAD_FILES = {
    "missing": ({"names": NAMES[1:]}, "1 images of the split are missing, e.g. 40.png"),
    "unknown": ({"names": [*NAMES, "99.png"]}, "1 are not in it, e.g. 99.png"),
    "doubled": ({"names": [*NAMES, NAMES[0]]}, "line 22: 40.png comes twice"),
    "nan": ({"names": NAMES, "scores": "0.5,nan"}, "line 2: the score of Nodule is nan"),
    "blank": (
        {"names": NAMES, "scores": "0.5,"},
        "line 2: the cell of Nodule is empty; every image needs a score of every class",
    ),
    "text": ({"names": NAMES, "scores": "0.5,high"}, "line 2: could not convert"),
    "class": ({"names": NAMES, "head": "image,Mass,Edema"}, "no column for the class 'Nodule'"),
    "head": ({"names": NAMES, "head": "film,Mass,Nodule"}, "no column of image names"),
    "short": ({"names": NAMES, "scores": "0.5"}, "line 2: 2 fields, the head has 3"),
    "empty": ({"names": []}, "has no predictions"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_predictions_file(case, refused, tmp_path):
    wrong, said = BAD_FILES[case]
    path = csv_of(tmp_path / "mine.csv", **wrong)
    assert said in refused("import", path, "--dataset", "toyset", "--as", "Mine")


def test_a_row_without_a_name(refused, tmp_path):
    path = csv_of(tmp_path / "mine.csv", names=NAMES)
    assert "--as is empty" in refused("import", path, "--dataset", "toyset", "--as", " ")


def test_a_predictions_file_that_is_not_there(refused, tmp_path):
    said = refused("import", tmp_path / "no.csv", "--dataset", "toyset", "--as", "Mine")
    assert "no.csv cannot be read" in said


def test_a_harness_toml_that_is_none(refused, tmp_path):
    (tmp_path / "harness.toml").write_text("[data\n")
    assert "harness.toml is not valid toml" in refused(*NIH[:-1])


def test_records_that_are_not_there(refused):
    assert "no record in" in refused("score", "nothing")
    assert "no record in" in refused("export", "nothing", "--csv", "out.csv")
    assert "`harness ls` lists what is there" in refused("explain", "nothing")


def test_a_row_that_is_nearly_there(harness):
    assert harness(*TOY, "--set", "epochs=1").code == 0
    ended = harness("explain", "toi")
    assert ended.code == 1
    assert ended.error.endswith("'toi': did you mean toy?\n")


def test_phantoms(refused, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    said = refused("data", "phantom", "nih", "--out", tmp_path / "full", "--images", "30")
    assert "is not empty" in said
    words = ("data", "phantom", "nih", "--out", tmp_path / "new", "--images", "30", "--set")
    assert "siz" in refused(*words, "siz=3")
    assert not (tmp_path / "new").exists()
    assert "toyset" in refused("data", "phantom", "toyset", "--out", tmp_path / "new")


def test_a_results_folder_that_is_a_file(harness, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path / "file"))
    ended = harness(*TOY, "--set", "epochs=1")
    assert ended.code == 1
    assert "could not be written" in ended.error


def test_a_home_that_cannot_be_written(harness, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "file"))
    ended = harness(*TOY)
    assert ended.code == 1
    assert "could not be written" in ended.error


def test_one_image_too_few_for_a_batch(harness):
    """Fewer images than a batch are one small batch, not an error."""
    ended = harness(*TOY, "--set", "batch_size=64", "--set", "epochs=1")
    assert ended.code == 0
    assert np.isfinite(float(ended.out.split("mean")[1].split()[0]))
