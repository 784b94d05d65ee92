import pytest
import torch
from anaxnet.detectors import Architecture, build, resolve
from anaxnet.detectors.interface import best_boxes, region_targets

from harness.errors import PluginError, SettingError

TINY = Architecture(regions=3, size=64, depth=18, rois=16, proposals=16, confidence=0.05)


def rectangles(count, generator, size=64):
    """Grey images with a bright, a middling and a dark rectangle, and their boxes."""
    corner = torch.tensor([[4.0, 6.0], [36.0, 8.0], [12.0, 38.0]])
    shift = torch.rand(count, 1, 2, generator=generator) * 8
    extent = torch.tensor([[18.0, 24.0], [22.0, 16.0], [36.0, 14.0]])
    boxes = torch.cat([corner + shift, corner + shift + extent], dim=-1).round()
    images = 0.3 + 0.1 * torch.rand(count, 1, size, size, generator=generator)
    for image, regions in zip(images, boxes.int().tolist(), strict=True):
        for level, (x1, y1, x2, y2) in zip((0.9, 0.6, 0.05), regions, strict=True):
            image[0, y1:y2, x1:x2] = level
    return images, boxes


@pytest.fixture
def detector(backend):
    torch.manual_seed(0)
    return build(backend, TINY)


def train(detector, steps, images, boxes, batch=4):
    optimizer = torch.optim.Adam(detector.parameters(), lr=3e-4)
    totals = []
    detector.train()
    for step in range(steps):
        rows = torch.arange(step * batch, step * batch + batch) % len(images)
        total = torch.stack(list(detector(images[rows], boxes[rows]).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def test_losses_have_the_same_names_and_fall_on_both_backends(detector, rng):
    images, boxes = rectangles(4, rng)
    losses = detector.train()(images, boxes)
    assert set(losses) == {"classifier", "box", "objectness", "proposal"}
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())
    totals = train(detector, 8, images, boxes)
    assert totals[-1] < 0.6 * totals[0]
    assert all(parameter.grad is not None for parameter in detector.parameters())


def test_detections_have_the_same_form_on_both_backends(detector, rng):
    images, boxes = rectangles(3, rng)
    train(detector, 2, images, boxes)
    with torch.no_grad():
        found = detector.eval()(images)
    assert found.boxes.shape == (3, 3, 4)
    assert found.features.shape == (3, 3, 1024)
    assert found.features.dtype == torch.float32
    assert found.present.dtype == torch.bool
    assert found.present.any()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert ((found.boxes >= 0) & (found.boxes <= 64)).all()
    assert (found.boxes[~found.present] == 0).all()
    assert (found.features[~found.present] == 0).all()


def test_features_are_the_box_heads_at_the_detected_box(detector, rng):
    images, boxes = rectangles(2, rng)
    train(detector, 2, images, boxes)
    detector.eval()
    with torch.no_grad():
        found = detector(images)
        maps = detector.propose(images).maps
        image, region = found.present.nonzero()[0].tolist()
        where = [torch.zeros(0, 4)] * 2
        where[image] = found.boxes[image, region][None]
        assert torch.allclose(
            detector.embed(maps, where)[0], found.features[image, region], atol=1e-4
        )


def test_detections_do_not_depend_on_batch_mates(detector, rng):
    images, boxes = rectangles(4, rng)
    train(detector, 4, images, boxes)
    detector.eval()
    with torch.no_grad():
        together, alone = detector(images), detector(images[2:3])
    for column, single in zip(together, alone, strict=True):
        assert torch.allclose(column[2].float(), single[0].float(), atol=1e-4)


def test_an_image_without_any_region_trains_and_one_without_detection_is_zeros(detector, rng):
    images, boxes = rectangles(2, rng)
    boxes[0] = torch.nan
    losses = detector.train()(images, boxes)
    assert all(torch.isfinite(loss) for loss in losses.values())
    every = torch.full_like(boxes, torch.nan)
    assert all(torch.isfinite(loss) for loss in detector(images, every).values())
    strict = build(resolve_name(detector), Architecture(**{**vars(TINY), "confidence": 0.999}))
    with torch.no_grad():
        found = strict.eval()(images)
    assert not found.present.any()
    assert (found.features == 0).all()


def resolve_name(detector):
    return "detectron2" if "Detectron2" in type(detector).__name__ else "torchvision"


def test_detection_in_training_mode_is_refused(detector, rng):
    with pytest.raises(RuntimeError, match="evaluation mode"):
        detector.train()(rectangles(1, rng)[0])


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_nothing_is_frozen_from_scratch(backend, norm):
    detector = build(backend, Architecture(regions=3, size=64, depth=18, norm=norm))
    assert all(parameter.requires_grad for parameter in detector.parameters())
    kinds = {type(part).__name__ for part in detector.modules()}
    assert not any("Frozen" in kind for kind in kinds)
    assert any(("GroupNorm" if norm == "group" else "BatchNorm") in kind for kind in kinds)


def test_frozen_normalisation_freezes_stem_and_first_stage(backend):
    detector = build(backend, Architecture(regions=3, size=64, depth=50, norm="frozen"))
    kinds = {type(part).__name__ for part in detector.modules()}
    assert any("Frozen" in kind for kind in kinds)
    assert not all(parameter.requires_grad for parameter in detector.parameters())


def test_torchvisions_own_detections_agree_with_ours(rng):
    torch.manual_seed(0)
    detector = build("torchvision", TINY)
    images, boxes = rectangles(4, rng)
    train(detector, 6, images, boxes)
    detector.eval()
    detector.model.roi_heads.score_thresh = TINY.confidence
    with torch.no_grad():
        ours = detector(images)
        theirs = detector.model([image.expand(3, -1, -1) for image in images])
    assert ours.present.any()
    for row, listed in enumerate(theirs):
        for region in range(3):
            of_region = listed["labels"] == region + 1
            assert bool(of_region.any()) == bool(ours.present[row, region])
            if of_region.any():
                best = listed["scores"][of_region].argmax()
                box = listed["boxes"][of_region][best]
                assert torch.allclose(box, ours.boxes[row, region], atol=1e-3)
                score = listed["scores"][of_region][best]
                assert torch.allclose(score, ours.scores[row, region], atol=1e-4)


def test_detectron2s_own_detections_agree_with_ours(rng, detectron2):
    torch.manual_seed(0)
    detector = build("detectron2", TINY)
    images, boxes = rectangles(4, rng)
    train(detector, 6, images, boxes)
    detector.eval()
    detector.model.roi_heads.box_predictor.test_score_thresh = TINY.confidence
    with torch.no_grad():
        ours = detector(images)
        theirs = detector.model.inference(detector._inputs(images), do_postprocess=False)
    assert ours.present.any()
    for row, listed in enumerate(theirs):
        for region in range(3):
            of_region = listed.pred_classes == region
            assert bool(of_region.any()) == bool(ours.present[row, region])
            if of_region.any():
                best = listed.scores[of_region].argmax()
                box = listed.pred_boxes.tensor[of_region][best]
                assert torch.allclose(box, ours.boxes[row, region], atol=1e-3)


def test_boxes_outside_the_view_are_clipped_and_empty_ones_dropped():
    boxes = torch.tensor(
        [
            [-5.0, 2, 10, 12],
            [70, 70, 80, 80],
            [3, 3, 3, 9],
            [5, 5, 5.4, 30],
            [torch.nan] * 4,
        ]
    )
    (kept, regions), (none, _) = region_targets(
        torch.stack([boxes, torch.full_like(boxes, torch.nan)]), 64
    )
    assert kept.tolist() == [[0, 2, 10, 12]]
    assert regions.tolist() == [0]
    assert none.shape == (0, 4)


def test_best_boxes_by_hand():
    scores = torch.tensor([[0.2, 0.9, 0.1], [0.8, 0.3, 0.1]])
    boxes = torch.arange(24.0).view(2, 3, 4)
    boxes[0, 1] = torch.tensor([5.0, 5, 5, 9])  # without an area
    best, score, present = best_boxes(scores, boxes, confidence=0.5)
    assert present.tolist() == [True, False, False]
    assert best.tolist() == [boxes[1, 0].tolist(), [0] * 4, [0] * 4]
    assert torch.allclose(score, torch.tensor([0.8, 0.9, 0.1]))
    empty = best_boxes(torch.zeros(0, 3), torch.zeros(0, 3, 4), 0.5)
    assert [part.shape for part in empty] == [(3, 4), (3,), (3,)]
    assert not empty[2].any()


def test_auto_and_unknown_backends(monkeypatch):
    monkeypatch.setattr("anaxnet.detectors.find_spec", lambda name: None)
    assert resolve("auto") == "torchvision"
    with pytest.raises(PluginError, match="detectron2 is not installed"):
        resolve("detectron2")
    monkeypatch.setattr("anaxnet.detectors.find_spec", lambda name: object())
    assert resolve("auto") == "detectron2"
    with pytest.raises(SettingError, match="yolo"):
        resolve("yolo")


@pytest.mark.slow
def test_a_detector_from_scratch_finds_bright_rectangles(detector, rng):
    from anaxnet.detectors.quality import region_quality

    images, boxes = rectangles(16, rng)
    train(detector, 60, images, boxes, batch=8)
    unseen, truth = rectangles(8, rng)
    with torch.no_grad():
        found = detector.eval()(unseen)
    quality = region_quality(found.boxes, found.present, truth)
    assert quality.recall.mean() > 0.8
    assert quality.iou.mean() > 0.6
