import base64
import re

import cv2
import numpy as np
import pytest

from harness.data.drawn import DrawnPhantom
from harness.metrics import boxes as box
from harness.metrics.boxes_report import of_boxes
from harness.metrics.protocols import PROTOCOLS
from harness.report.gallery import gallery, predicted_boxes
from harness.report.grids import grids
from harness.results.records import find_records

OPTIONS = {"images": 40, "size": 64}


@pytest.fixture
def shown(tmp_path):
    """Return the gallery of the only grid of the records there are."""

    def make(most=12, roots=()):
        results = tmp_path / "results"
        records = find_records(results)
        (grid,) = grids(records)
        folders = {record["folder"]: results / record["folder"] for record in records}
        return gallery(grid, folders, roots, most)

    return make


def test_boxes_are_those_of_the_pinned_rule(phantoms):
    heat, annotated = of_boxes(phantoms()[0])
    overlaps = PROTOCOLS["chestx-ray8"].score(heat, annotated)
    for row, truth in enumerate(annotated.boxes):
        found = predicted_boxes(heat, row)
        assert len(found) == overlaps.predicted[row]
        assert box.iou(found, truth).max() == pytest.approx(overlaps.iou[row])


def test_each_finding_has_a_radiograph_and_a_map_of_each_method(phantoms, written, shown):
    for seed, method in enumerate(("first", "second")):
        evaluated, about = phantoms(seed)
        written(evaluated, method, dataset=about, heavy=True)
    found = shown(5)
    assert len(found.findings) == 5
    for finding in found.findings:
        titles = [picture.title for picture in finding.pictures]
        assert titles[0] == "Radiograph"
        assert sorted(titles[1:]) == ["first", "second"]
        for picture in finding.pictures:
            data = picture.url.removeprefix("data:image/jpeg;base64,")
            pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)
            assert pixels.shape == (64, 64, 3)


def test_findings_are_chosen_without_looking_at_results(phantoms, written, shown):
    evaluated, about = phantoms(0)
    written(evaluated, "first", dataset=about, heavy=True)
    before = [(finding.name, finding.image) for finding in shown().findings]
    evaluated, about = phantoms(7)
    folder = written(evaluated, "first", seed=1, dataset=about, heavy=True)
    for path in folder.parent.glob("first*-0/*"):
        path.unlink()
    assert [(finding.name, finding.image) for finding in shown().findings] == before
    names = [name for name, _ in before]
    first = names[: len(set(names))]
    assert len(set(first)) == len(first) > 1, "one of each class before a second of any"


def test_none_without_maps(predictions, written, shown):
    written(predictions())
    assert "No heat maps" in shown().missing


@pytest.mark.parametrize("change", [{"seed": 1}, {"style": "jsrt"}])
def test_other_phantoms_are_refused(phantoms, written, shown, monkeypatch, change):
    evaluated, about = phantoms()
    written(evaluated, dataset={**about, "name": "nih"}, heavy=True)
    other = DrawnPhantom(**OPTIONS, **change)
    monkeypatch.setattr("harness.report.gallery.dataset_of", lambda *words: other)
    assert "is not the one that these runs saw" in shown().missing


def test_images_that_are_not_at_hand_are_told(phantoms, written, shown, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    evaluated, about = phantoms()
    written(evaluated, dataset={**about, "name": "nih", "phantom": None}, heavy=True)
    found = shown()
    assert found.missing == "The images of nih are not at hand where this page was made."
    assert found.cause


@pytest.mark.parametrize("name", ["csv", "jsrt"])
def test_a_licence_that_is_not_known_shows_nothing(phantoms, written, shown, name):
    evaluated, about = phantoms()
    written(evaluated, dataset={**about, "name": name, "phantom": None}, heavy=True)
    assert re.match(f"Whether images of {name} may be passed on is not known", shown().missing)


def test_credentialed_images_are_never_opened(predictions, written, shown, monkeypatch):
    monkeypatch.setattr("harness.report.gallery.dataset_of", lambda *words: pytest.fail("opened"))
    monkeypatch.setattr("harness.report.gallery.stored", lambda folder: pytest.fail("read"))
    written(predictions(), dataset={"name": "chexpert", "credentialed": True})
    assert shown().missing.startswith("Credentialed data")
