"""Phantoms written as NIH and read back."""

import os
from dataclasses import replace

import numpy as np
import pytest
from cxr_datasets.nih import NIH
from cxr_datasets.nih_layout import BOXED, name_of

from harness import DataError, HarnessError, PhantomSettings, SettingError, draw

IMAGES = 120
SWITCHES = {"size": 128, "enrich": 0.7, "seed": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "nih"
    NIH.write_phantoms(root, IMAGES, SWITCHES)
    return root


def test_round_trip(root):
    nih = NIH(root)
    settings = PhantomSettings(**SWITCHES)
    assert len(nih.samples) == IMAGES
    tested = set(nih.splits["test"].tolist())
    boxes, kinds = nih.samples.column("boxes"), nih.samples.column("box_classes")
    for row, name in enumerate(nih.samples.names.tolist()):
        drawing = draw(settings, row)
        assert name == name_of(drawing)
        assert np.array_equal(nih.read(row), drawing.image)
        assert np.array_equal(nih.samples.labels[row], drawing.labels)
        assert nih.samples.column("metadata")[row].tolist() == [
            drawing.age, drawing.sex == "M", drawing.view == "AP"
        ]  # fmt: skip
        shown = drawing.labels[drawing.box_classes] > 0
        shown &= (drawing.box_classes < BOXED) & (row in tested)
        count = int((kinds[row] >= 0).sum())
        assert kinds[row, :count].tolist() == drawing.box_classes[shown].tolist()
        assert boxes[row, :count] == pytest.approx(drawing.boxes[shown] * 1024 / 128, abs=1e-3)
    assert (kinds >= 0).sum() > 10


def test_the_root_says_that_it_is_phantom_and_nothing_else_differs(root):
    nih = NIH(root)
    assert nih.phantom == {"images": IMAGES, **replace(PhantomSettings(), **SWITCHES).as_dict()}
    assert nih.protocol.startswith("custom:")
    assert all(len(rows) for rows in nih.splits.values())
    assert not any(fine is False for _, _, fine in nih.facts())


def test_a_broken_phantom_file_is_named(tmp_path):
    (tmp_path / "phantom.json").write_text("[")
    with pytest.raises(DataError, match=r"phantom.json cannot be read"):
        NIH(tmp_path)
    (tmp_path / "phantom.json").write_text("[]")
    with pytest.raises(DataError, match=r"phantom.json holds no settings"):
        NIH(tmp_path)


def test_the_root_is_whole_or_not_there(tmp_path, monkeypatch):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(SettingError, match="is not empty"):
        NIH.write_phantoms(tmp_path / "taken", 40, {})
    with pytest.raises(SettingError, match="no switch 'sise'"):
        NIH.write_phantoms(tmp_path / "new", 40, {"sise": 64})
    with pytest.raises(SettingError, match="split empty"):
        NIH.write_phantoms(tmp_path / "new", 1, {"size": 64})
    monkeypatch.setattr("cxr_datasets.nih_layout.finish", lambda *_: os.listdir("/nowhere"))
    with pytest.raises(HarnessError, match="could not be written"):
        NIH.write_phantoms(tmp_path / "new", 3, {"size": 64})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]
