"""``harness pictures``: which files are made, where, and what stops it."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.home import home
from harness.pictures.roc import roc_figure
from harness.results.rescore import stored

TOY = ("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset", "--set", "epochs=1")


@pytest.fixture
def run(harness):
    """Return a function that gives the folder of a record of the toy model."""

    def command(*more):
        ended = harness(*TOY, *more, "--json")
        assert ended.code == 0, ended.error
        (record,) = json.loads(ended.out)
        return Path(record["folder"])

    return command


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_pictures_of_a_run_are_made_and_made_again_equal(run, harness, tmp_path):
    folder = run("--data", "images=90")
    ended = harness("pictures", folder, "--images", "3", "-o", tmp_path / "one")
    assert ended.code == 0, ended.error
    assert ended.out == f"4 pictures in {tmp_path / 'one'}\n"
    one = files(tmp_path / "one")
    assert [name.partition(".png-")[2] for name in one] == ["findings.png"] * 3 + [""]
    assert "roc.png" in one
    assert all(content.startswith(b"\x89PNG") for content in one.values())
    assert harness("pictures", folder, "--images", "3").code == 0
    assert files(home() / "pictures" / "toyset" / folder.name) == one
    assert not list(folder.glob("*.png"))


def test_pictures_do_not_depend_on_the_scores(run, harness, tmp_path):
    for rate, out in (("0.01", "a"), ("0.5", "b")):
        assert harness("pictures", run("--set", f"rate={rate}"), "-o", tmp_path / out).code == 0
    assert list(files(tmp_path / "a")) == list(files(tmp_path / "b"))
    assert len(files(tmp_path / "a")) == 9


def test_the_scores_written_are_those_of_the_run(run, harness, monkeypatch):
    folder = run()
    _, evaluated = stored(folder)
    written, indices = {}, []
    monkeypatch.setattr(
        "harness.pictures.figure.write_figure",
        lambda path, figure: written.update({path.name: figure}),
    )
    from toy_plugin.model import Toy

    plain = Toy.predict
    monkeypatch.setattr(
        Toy, "predict", lambda self, batch: indices.extend(batch.index) or plain(self, batch)
    )
    names = evaluated.names.tolist()
    assert harness("pictures", folder, "--names", f"{names[7]},{names[2]}").code == 0
    assert indices == [7, 2]
    for row in (7, 2):
        texts = written[f"{names[row]}-findings.png"].axes[-1].texts
        listed = {text.get_text() for text in texts}
        scores = zip(evaluated.classes, evaluated.scores[row], strict=True)
        assert {f"{name}  {score:.3f}" for name, score in scores} <= listed


def test_images_by_name(run, harness, tmp_path):
    folder = run()
    words = ("pictures", folder, "-o", tmp_path / "out", "--names")
    assert harness(*words, "45.png,58.png").code == 0
    assert list(files(tmp_path / "out")) == [
        "45.png-findings.png",
        "58.png-findings.png",
        "roc.png",
    ]
    ended = harness(*words, "1.png")
    assert ended.code == 1
    assert "no test image of this run is called 1.png" in ended.error


def test_the_areas_are_those_of_the_record(run):
    record, evaluated = stored(run())
    found = roc_figure(evaluated, "").axes[0].get_legend()
    written = [text.get_text() for text in found.get_texts()]
    cells = record["metrics"]["auroc"]["classes"]
    assert written == [f"{name} ({cell['value']:.4f})" for name, cell in cells.items()]


def test_imported_rows_have_curves_only(run, harness, tmp_path):
    folder = run()
    assert harness("export", folder, "--csv", tmp_path / "out.csv").code == 0
    words = ("import", tmp_path / "out.csv", "--dataset", "toyset", "--as", "Mine")
    assert harness(*words).code == 0
    assert harness("pictures", "Mine", "-o", tmp_path / "out").code == 0
    assert list(files(tmp_path / "out")) == ["roc.png"]


def test_another_dataset_is_refused(run, harness):
    folder = run()
    ended = harness("pictures", folder, "--data", "images=90")
    assert ended.code == 1
    assert "the test images are not those of the run" in ended.error


def test_without_the_trained_model_there_are_curves_and_a_message(run, harness, tmp_path):
    folder = run()
    shutil.rmtree(home() / "models")
    ended = harness("pictures", folder, "-o", tmp_path / "out")
    assert ended.code == 1
    assert "is not on this machine" in ended.error
    assert list(files(tmp_path / "out")) == ["roc.png"]


def test_without_matplotlib_there_is_a_message(run, harness, monkeypatch):
    folder = run()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = harness("pictures", folder)
    assert ended.code == 1
    assert "pip install 'cxr-harness[figures]'" in ended.error


def test_pictures_of_credentialed_data_stay_in_the_private_folder(
    run, harness, monkeypatch, tmp_path
):
    from toy_plugin.dataset import ToySet

    monkeypatch.setattr(ToySet, "credentialed", True)
    folder = run()
    before = {path for path in tmp_path.rglob("*.png")}
    for out in (tmp_path / "out", folder):
        ended = harness("pictures", folder, "--images", "2", "-o", out)
        assert ended.code == 1
        assert "credentialed data are written to" in ended.error
    assert {path for path in tmp_path.rglob("*.png")} == before
    ended = harness("pictures", folder, "--images", "2")
    assert ended.code == 0, ended.error
    private = home() / "private" / "toyset" / folder.name / "pictures"
    assert "have to stay in this private folder" in ended.out
    assert str(private) in ended.out
    assert len(files(private)) == 3
    made = {path for path in tmp_path.rglob("*.png")} - before
    assert {path.parent for path in made} == {private}
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path))
    ended = harness("pictures", folder)
    assert ended.code == 1
    assert "credentialed pictures must not" in ended.error


def test_several_seeds_have_a_folder_each(harness, tmp_path):
    assert harness(*TOY, "--seeds", "2").code == 0
    ended = harness("pictures", "toy[epochs=1]", "--images", "1", "-o", tmp_path / "out")
    assert ended.code == 0, ended.error
    assert len(list(tmp_path.glob("out/*/roc.png"))) == 2
    assert np.all([len(files(folder)) == 2 for folder in (tmp_path / "out").iterdir()])
