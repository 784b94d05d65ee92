"""A trained model on files of one's own: the same numbers as on its test split; what goes wrong."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness import plugins
from harness.pictures.prediction import NOTICE

PLUGINS = Path(__file__).parents[2] / "plugins"
TRAIN = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "nih", "--set", "epochs=1")


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """Where the first test that trains leaves what the others copy."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def trained(harness, phantoms, tmp_path, kept):
    """A toy trained on phantoms: its record folder, its test files and their stored scores."""
    if not any(kept.iterdir()):
        ended = harness(*TRAIN, "--root", phantoms)
        assert ended.code == 0, ended.error
        for part in ("results", "home/models"):
            shutil.copytree(tmp_path / part, kept / part)
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return split_of(tmp_path / "results", phantoms)


def split_of(results, root):
    """Return a run's only record folder, the files of its test images, and what it has stored."""
    (record,) = results.rglob("record.json")
    with np.load(record.parent / "scores.npz") as stored:
        arrays = dict(stored)
    where = {path.stem: path for path in root.rglob("*.*g")}
    files = [where[name.removesuffix(".png")] for name in arrays["names"].tolist()]
    return record.parent, files, arrays.get("scores", arrays.get("region_scores"))


def said(ended):
    assert ended.code == 0, ended.error
    return json.loads(ended.out)


def scores_of(report):
    return np.array([list(i["scores"].values()) for i in report["images"]], dtype=np.float32)


def test_the_test_files_get_their_stored_scores(trained, harness):
    """Bitwise in the test's own order, so in its own batches; else the last bits may differ."""
    folder, files, scores = trained
    report = said(harness("predict", folder, *files, "--json"))
    assert np.array_equal(scores_of(report), scores)
    backwards = said(harness("predict", folder, *files[::-1], "--json"))
    np.testing.assert_allclose(scores_of(backwards)[::-1], scores, rtol=0, atol=1e-6)
    alone = said(harness("predict", folder, files[3], "--json"))
    np.testing.assert_allclose(scores_of(alone)[0], scores[3], rtol=0, atol=1e-6)


def test_what_json_says(trained, harness, tmp_path):
    folder, files, _ = trained
    report = said(
        harness("predict", folder, files[0], "--json", "--top", 2, "-o", tmp_path / "out")
    )
    record = json.loads((folder / "record.json").read_text())
    assert report["notice"] == NOTICE
    assert report["failed"] == []
    assert report["run"]["id"] == record["id"]
    assert report["run"]["phantom"] is True
    final = {s["name"]: s["final"] for s in record["stages"] if s["kind"] == "stage"}
    assert report["run"]["weights"] == final
    (image,) = report["images"]
    assert (image["height"], image["width"]) == (64, 64)
    best = sorted(image["scores"].items(), key=lambda pair: -pair[1])[:2]
    assert [(f["finding"], f["score"]) for f in image["findings"]] == best
    boxes = np.array([box for f in image["findings"] for box in f["boxes"]])
    assert len(boxes)
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    picture = cv2.imread(image["picture"])
    assert picture.shape[1] == 640  # ten times as large, so that the words can be read
    assert picture.shape[0] > 640
    assert picture[640:].max() == 255, "nothing stands at the foot"


def test_what_a_person_reads(trained, harness, tmp_path):
    folder, files, _ = trained
    ended = harness("predict", folder, files[0], files[1])
    assert ended.code == 0, ended.error
    assert ended.out.startswith(f"{NOTICE}.\ntoy[epochs=1], run ")
    assert "phantom" in ended.out.splitlines()[1]
    assert len(re.findall(r"\b[01]\.\d{3} +\d+ \d+ \d+ \d+", ended.out)) == 10
    pictures = sorted((tmp_path / "predictions" / folder.name).iterdir())
    assert [path.stem for path in pictures] == sorted(file.stem for file in files[:2])


def test_bad_files_are_named_and_the_others_done(trained, harness, tmp_path):
    folder, files, scores = trained
    (tmp_path / "notes.txt").write_text("no picture")
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((9, 9), np.uint16))
    bad = [tmp_path / "none.png", tmp_path / "notes.txt", tmp_path / "deep.png", tmp_path]
    ended = harness("predict", folder, bad[0], files[0], *bad[1:], files[1], "--json")
    assert ended.code == 1
    assert ended.error.count("error: ") == 4
    report = json.loads(ended.out)
    assert [entry["file"] for entry in report["failed"]] == list(map(str, bad))
    np.testing.assert_allclose(scores_of(report), scores[:2], rtol=0, atol=1e-6)
    assert "8-bit images are expected" in ended.error
    assert harness("predict", folder, tmp_path / "none.png").code == 1


def test_pictures_never_replace_images_or_each_other(trained, harness, tmp_path):
    folder, files, _ = trained
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mine = [shutil.copy(files[0], tmp_path / place / "x.png") for place in ("a", "b")]
    before = mine[0].read_bytes()
    ended = harness("predict", folder, *mine, "-o", tmp_path / "a")
    assert ended.code == 0, ended.error
    assert mine[0].read_bytes() == before
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"x.png", "x-1.png", "x-2.png"}


def test_a_dicom_file_is_the_same_picture(trained, harness, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset

    folder, files, scores = trained
    film = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    twelve = film.astype(np.uint16) * 16
    for kind, stored, centre in (("2", twelve, 2040.5), ("1", 4095 - twelve, 4096 - 2040.5)):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
        data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        data.Rows, data.Columns = film.shape
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, f"MONOCHROME{kind}"
        data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
        # black at 0, white at 255 * 16: the very gray values of the PNG file
        data.WindowCenter, data.WindowWidth = str(centre - 1024), "4081"
        data.PixelData = stored.tobytes()
        data.save_as(tmp_path / f"{kind}.dcm", enforce_file_format=True)
    report = said(harness("predict", folder, tmp_path / "1.dcm", tmp_path / "2.dcm", "--json"))
    first, second = scores_of(report)
    assert np.array_equal(first, second)
    np.testing.assert_allclose(first, scores[0], rtol=0, atol=1e-6)
    assert pydicom.dcmread(tmp_path / "1.dcm").PhotometricInterpretation == "MONOCHROME1"


def test_which_run(trained, harness, refused_here, phantoms):
    folder, files, _ = trained
    assert "no record in" in refused_here("predict", "nobody", files[0])
    assert "has no seed 3; there are toy[epochs=1]" in refused_here(
        "predict", "toy[epochs=1]", files[0], "--seed", 3
    )
    assert harness(*TRAIN, "--root", phantoms, "--seed", 1).code == 0
    message = refused_here("predict", "toy[epochs=1]", files[0])
    assert "names 2 runs: give a run id or --seed" in message
    assert harness("predict", "toy[epochs=1]", files[0], "--seed", 1).code == 0
    assert "no such device: 'tpu'" in refused_here("predict", folder, files[0], "--device", "tpu")


@pytest.fixture
def refused_here(harness):
    """Return a function that runs a command which must end in one message."""

    def command(*words):
        ended = harness(*words)
        assert ended.code == 1, ended
        assert ended.error.count("error: ") == 1, ended.error
        assert ended.out == ""
        return ended.error

    return command


def test_a_model_that_stayed_elsewhere(trained, refused_here, own_home):
    folder, files, _ = trained
    shutil.rmtree(own_home / "models")
    message = refused_here("predict", folder, files[0])
    assert "is not on this machine: there is no" in message
    assert "harness explain" in message


def test_weights_that_are_not_the_records(trained, refused_here, own_home):
    folder, files, _ = trained
    record = json.loads((folder / "record.json").read_text())
    (stage,) = [stage for stage in record["stages"] if stage["kind"] == "stage"]
    stage["final"] = "0" * 16
    (folder / "record.json").write_text(json.dumps(record))
    assert "does not hold the weights" in refused_here("predict", folder, files[0])


def test_an_imported_row_has_no_model(trained, harness, refused_here, phantoms, tmp_path):
    folder, files, _ = trained
    assert harness("export", folder, "--csv", tmp_path / "p.csv").code == 0
    words = ("import", tmp_path / "p.csv", "--dataset", "nih", "--root", phantoms, "--as", "Mine")
    assert harness(*words).code == 0
    assert "Mine was imported" in refused_here("predict", "Mine", files[0])


def test_a_model_that_needs_more_than_pixels(trained, harness, monkeypatch):
    from toy_plugin.model import Toy

    from harness import Prediction

    folder, files, _ = trained
    monkeypatch.setattr(Toy, "predict", lambda self, batch: Prediction(batch["metadata"]))
    ended = harness("predict", folder, files[0])
    assert ended.code == 1
    assert "cannot say anything of image files alone: this method needs 'metadata'" in ended.error


def test_a_model_without_heat_maps_has_no_picture(trained, harness, monkeypatch):
    from toy_plugin.model import Toy

    from harness import Prediction

    folder, files, _ = trained
    monkeypatch.setattr(
        Toy, "predict", lambda self, b: Prediction(self.network(b.images).float().sigmoid())
    )
    (image,) = said(harness("predict", folder, files[0], "--json"))["images"]
    assert image["picture"] is None
    assert all(finding["boxes"] == [] for finding in image["findings"])


METHODS = {
    "space-attention": "nih",
    "dm-attention": "nih",
    "cxr-irnet": "nih",
    "anaxnet[detector=torchvision]": "imagenome",
}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_method_says_what_it_said(method, harness, monkeypatch, tmp_path):
    """Heat maps, alignment, segmentation first, regions: one batch after another as in the run."""
    from importlib.metadata import EntryPoint

    names = ("cxr_datasets", "attention", "dm_attention", "cxr_irnet", "anaxnet")
    for name in names:
        monkeypatch.syspath_prepend(str(PLUGINS / name))
    entries = [EntryPoint(name, name, "harness") for name in names]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)
    root, jsrt = tmp_path / METHODS[method], tmp_path / "jsrt"
    for place, images in ((root, 400 if root.name == "imagenome" else 240), (jsrt, 20)):
        words = ("data", "phantom", place.name, "--out", place, "--images", images)
        words = (*words, *(("--set", "size=256") if place != jsrt else ()))
        assert harness(*words).code == 0
    words = ("--plugin", method, "--dataset", root.name, "--root", root, "--with", f"jsrt:{jsrt}")
    ended = harness("run", "--device", "cpu", "--budget", "smoke", *words)
    assert ended.code == 0, ended.error
    folder, files, scores = split_of(tmp_path / "results", root)
    report = said(harness("predict", folder, *files, "--json"))
    if scores.ndim == 3:
        found = [[list(r["scores"].values()) for r in i["regions"]] for i in report["images"]]
        assert np.array_equal(np.array(found, dtype=np.float32), scores)
    else:
        assert np.array_equal(scores_of(report), scores)
    assert all(image["picture"] for image in report["images"])
    alone = said(harness("predict", folder, files[0], "--json"))["images"][0]
    assert alone["scores"] == pytest.approx(report["images"][0]["scores"], rel=0, abs=1e-5)
