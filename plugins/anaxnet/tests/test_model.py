import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from anaxnet.detectors import Architecture, build
from anaxnet.detectors.coco import NAMES
from anaxnet.graph import edges
from anaxnet.model import AnaXNet, CheXGCN, FasterRCNN
from anaxnet.regions import COLUMN
from anaxnet.report import detection_report, region_graph

from harness.engine.budget import Budget
from harness.engine.learning import LiveTask, learn
from harness.engine.maps import column_specs
from harness.engine.rehearsal import rehearse
from harness.engine.replay import load_model, save_model
from harness.errors import DataError, HarnessError, SettingError
from harness.home import home
from harness.metrics.evaluated import Evaluated
from harness.testing import stand

TINY = {
    "detector": "torchvision",
    "depth": 18,
    "weights": "none",
    "size": 64,
    "rois": 8,
    "proposals": 16,
    "confidence": 0.01,
    "detector_batch_size": 4,
    "detector_lr": 1e-3,
}
BUDGET = Budget("check", epochs=1, steps=2)


@pytest.fixture(autouse=True)
def shared_home():
    with stand.home("anaxnet"):
        yield


def changed(samples, **columns):
    for name, values in columns.items():
        samples = samples.with_column(name, values)
    return samples


def train(model, change=lambda samples: samples):
    parts = {name: change(part) for name, part in stand.splits(model.view).items()}
    copy = dataclasses.replace(model)
    task = LiveTask(copy, parts["train"], parts["validation"], {}, stand.COMPUTE, BUDGET, 0)
    learn(copy, task, task.train_stage)
    return copy, task, parts


def predict(model, samples):
    for part in (model.region_detector, model.head):
        part.eval()
    with torch.no_grad():
        return model.predict(samples.batch(np.arange(4)).to(torch.device("cpu")).floats())


def digests(task):
    return {(s["kind"], s["name"]): s.get("digest") for s in task.learnt.steps}


def test_three_rows_share_one_detector_and_one_map():
    tasks = [train(kind(**TINY))[1] for kind in (AnaXNet, FasterRCNN, CheXGCN)]
    common = [("stage", "detector"), ("map", COLUMN), ("keep", "detection")]
    for step in common:
        assert len({digests(task)[step] for task in tasks}) == 1
    assert len({digests(task)["stage", "head"] for task in tasks}) == 3
    assert tasks[2].learnt.steps[0]["shared"]


def test_prediction_from_images_and_from_stored_rows_agree():
    model, _, parts = train(AnaXNet(**TINY))
    batch = parts["validation"].batch(np.arange(4)).to(torch.device("cpu")).floats()
    said = predict(model, parts["validation"])
    with torch.no_grad():
        stored = model._predict_from_rows(batch)
    assert torch.allclose(said.region_scores, stored.region_scores, atol=1e-3)
    assert torch.equal(said.region_present, stored.region_present)
    assert torch.allclose(said.region_boxes, stored.region_boxes, atol=0.1, equal_nan=True)


def test_no_detection_at_all_is_scored_without_any_feature():
    model, _, parts = train(AnaXNet(**TINY | {"confidence": 1.0}))
    said = predict(model, parts["test"])
    assert not said.region_present.any()
    assert said.region_boxes.isnan().all()
    assert said.region_scores.isfinite().all()
    assert torch.equal(said.region_scores[0], said.region_scores[1])


def test_missing_regions_can_stay_out_of_the_loss():
    model = AnaXNet(**TINY | {"confidence": 1.0, "missing_in_loss": False})
    parts = stand.splits(model.view)
    rows = np.zeros((len(parts["train"]), 18, 1030), dtype=np.float16)
    batch = changed(parts["train"], **{COLUMN: rows}).batch(np.arange(2))
    logits = torch.zeros(2, 18, 9, requires_grad=True)
    assert model._label_loss(lambda features: logits, batch)["bce"] == 0
    model.missing_in_loss = True
    assert model._label_loss(lambda features: logits, batch)["bce"].item() == pytest.approx(
        np.log(2), rel=1e-5
    )


def test_a_region_without_any_box_is_named_and_its_quality_undefined(capsys):
    def without(samples):
        boxes = samples.need("region_boxes")
        boxes[:, 3] = np.nan
        return changed(samples, region_boxes=boxes)

    _, task, _ = train(FasterRCNN(**TINY), without)
    assert "no training box of right mid lung zone" in capsys.readouterr().err
    quality = stored(task, "detection")
    assert quality["training_boxes"][3] == 0
    assert quality["iou"][3].isnan()
    assert quality["boxes"][3] == 0
    assert quality["iou"][0].isfinite()


def stored(task, name):
    from harness.engine.values import read_value

    steps = zip(task.learnt.steps, task.learnt.files, strict=True)
    return read_value(next(file for step, file in steps if step["name"] == name))


def test_a_label_that_is_never_positive_is_named_and_has_no_edge(capsys):
    def without(samples):
        labels = samples.need("region_labels")
        labels[..., 2] = 0
        return changed(samples, region_labels=labels)

    model, task, parts = train(CheXGCN(**TINY), without)
    assert "never positive in the training split: atelectasis" in capsys.readouterr().err
    weights = stored(task, "co-occurrence")
    assert weights[2].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert predict(model, parts["test"]).region_scores.isfinite().all()


def test_features_of_another_detector_train_another_head():
    first, second = (train(AnaXNet(**TINY | {"rois": rois}))[1] for rois in (8, 6))
    for step in [("stage", "detector"), ("map", COLUMN), ("stage", "head")]:
        assert digests(first)[step] != digests(second)[step]


def test_a_stored_model_is_refused_by_another_detector_and_by_another_row(tmp_path):
    model, task, _ = train(AnaXNet(**TINY))
    about = {"seed": 0, "samples": column_specs(task.train.take([]))}
    save_model(tmp_path / "stored", task.learnt, about)
    assert load_model(tmp_path / "stored", AnaXNet(**TINY)).tau == model.tau
    with pytest.raises(HarnessError):
        load_model(tmp_path / "stored", AnaXNet(**TINY | {"depth": 50}))
    with pytest.raises(HarnessError):
        load_model(tmp_path / "stored", CheXGCN(**TINY))


def test_controls_of_the_graph(capsys):
    train_split = stand.splits(AnaXNet(**TINY).view)["train"]
    names = train_split.space.regions
    found = region_graph(train_split, "jaccard", "nonempty", 0.2)
    torch.manual_seed(0)
    drawn = region_graph(train_split, "random", "nonempty", 0.2)
    count = len(edges(found, names))
    assert 0 < count == len(edges(drawn, names))
    assert not torch.equal(found, drawn)
    assert torch.equal(region_graph(train_split, "identity", "eq2", 0.5), torch.eye(18))
    assert f"{count} of 153 edges: " in capsys.readouterr().err


def test_a_dataset_without_regions_is_refused():
    def without(samples):
        columns = {n: c for n, c in samples.columns.items() if not n.startswith("region")}
        return type(samples)(columns, samples.space, samples.view)

    with pytest.raises(DataError, match="no region_boxes: a region method needs"):
        train(AnaXNet(**TINY), without)


def test_coco_weights_are_of_fifty_layers():
    with pytest.raises(SettingError, match="depth=50"):
        AnaXNet(depth=18)
    assert AnaXNet(depth=18, weights="none").weights == "none"


def test_a_rehearsal_with_coco_weights_fetches_nothing(backend, monkeypatch):
    monkeypatch.setattr("harness.model.pretrained.fetch", lambda name: pytest.fail(name))
    model = AnaXNet(detector=backend, size=64, rois=8, proposals=16)
    parts = stand.splits(model.view)
    steps, said = rehearse(
        model, parts["train"], parts["validation"], {}, stand.COMPUTE, stand.BUDGET
    )
    assert [step.name for step in steps if step.kind == "stage"] == ["detector", "head"]
    assert said.arrays["region_scores"].shape == (2, 18, 9)


def test_detectron2_weights_that_cannot_be_downloaded_say_what_to_do(detectron2, monkeypatch):
    def unreachable(url, path):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    model = AnaXNet(detector="detectron2", size=64)
    with pytest.raises(DataError, match=r"cannot be downloaded \(no network\).*model_final"):
        train(model)
    assert not list((home() / "weights").glob("*.pkl"))


def test_detectron2_weights_are_fetched_converted_and_loaded(detectron2, monkeypatch):
    torch.manual_seed(1)
    zoo = build("detectron2", Architecture(regions=80, size=64, norm="frozen")).model.state_dict()
    content = {"model": {n: t.numpy() for n, t in zoo.items()}, "__author__": "zoo"}

    def download(url, path):
        Path(path).write_bytes(pickle.dumps(content))

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    model = AnaXNet(detector="detectron2", size=64, rois=8, proposals=16)
    parts = stand.splits(model.view)
    task = LiveTask(model, parts["train"], parts["validation"], {}, stand.COMPUTE, BUDGET, 0)
    next(model.stages(task))
    ours = model.region_detector.model.state_dict()
    assert torch.equal(ours["roi_heads.box_head.fc2.weight"], zoo["roi_heads.box_head.fc2.weight"])
    assert NAMES["detectron2"] in task.learnt.weights
    (home() / "weights" / f"{NAMES['detectron2']}.safetensors").unlink()


def test_another_threshold_costs_no_detector_training():
    first, second = (train(FasterRCNN(**TINY | {"confidence": c}))[1] for c in (0.01, 0.02))
    assert digests(first)["stage", "detector"] == digests(second)["stage", "detector"]
    assert digests(first)["map", COLUMN] != digests(second)["map", COLUMN]


def test_detection_metric_by_hand():
    truth = np.array([[[0.0, 0, 10, 10], [np.nan] * 4], [[0.0, 0, 10, 10], [0, 0, 4, 4]]])
    found = np.array([[[0.0, 0, 10, 8], [0, 0, 1, 1]], [[np.nan] * 4, [0, 0, 4, 4]]])
    evaluated = Evaluated(
        names=np.array(["a", "b"]),
        patients=np.array(["a", "b"]),
        classes=np.array(["c"]),
        region_boxes=truth,
        found_boxes=found,
        region_present=np.array([[1.0, 1], [0, 1]]),
        regions=np.array(["lung", "heart"]),
    )
    report = detection_report(evaluated)
    assert report["regions"]["lung"] == {"iou": pytest.approx(0.4), "recall": 0.5, "boxes": 2}
    assert report["regions"]["heart"] == {"iou": 1, "recall": 1, "boxes": 1}
    assert report["mean_iou"] == pytest.approx(0.7)
    assert detection_report(dataclasses.replace(evaluated, found_boxes=None)) == {}
