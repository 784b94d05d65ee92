import csv
from dataclasses import astuple

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.ops import box_iou

from harness.errors import RecordError, SettingError
from harness.metrics import boxes as box
from harness.metrics.bootstrap import patient_counts
from harness.metrics.boxes import Annotated
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.localization import box_means, last_of_image, localize, means_over_boxes
from harness.metrics.protocols import PROTOCOLS

SIDE = 64
CLASSES = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltrate",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
)


def heat_maps(maps, to_original=None, frame=(SIDE, SIDE), size=(SIDE, SIDE)):
    maps = np.asarray(maps, dtype=np.float32)
    if to_original is None:
        to_original = np.diag([size[1] / frame[1], size[0] / frame[0], 1])[:2]
    n = len(maps)
    return HeatMaps(maps, np.stack([to_original] * n), frame, np.array([size] * n))


def annotated(boxes, classes=None, images=None, patients=None):
    n = len(boxes)
    return Annotated(
        np.asarray(boxes, dtype=np.float64),
        np.zeros(n, dtype=np.int64) if classes is None else np.asarray(classes),
        np.array([f"{i}.png" for i in range(n)]) if images is None else np.asarray(images),
        np.arange(n) if patients is None else np.asarray(patients),
    )


def blocks(*rectangles, side=SIDE):
    """A map at full resolution that is 1 in x1, y1, x2, y2 rectangles of given height."""
    out = np.zeros((side, side))
    for x1, y1, x2, y2, value in rectangles:
        out[y1:y2, x1:x2] = value
    return out


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), min_size=1, max_size=10))
def test_box_overlap_equals_torchvision(corners):
    import torch

    first = np.array([[x, y, x + w + 1, y + h + 1] for x, y, w, h in corners], dtype=float)
    second = first[::-1] + np.array([1, 0, 2, 0])
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(box.iou(first[:, None], second), expected, atol=1e-12)
    inside = np.array([[1.0, 1, 3, 3]])
    assert box.iobb(inside, np.array([[0.0, 0, 4, 4]])) == 1
    assert box.iobb(np.array([[0.0, 0, 4, 4]]), inside) == 0.25


def test_one_component_by_hand():
    truth = annotated([[10, 10, 30, 30]])
    heat = heat_maps([blocks((20, 10, 40, 30, 1))])
    for name in ("chestx-ray8", "any", "largest", "mask-iou"):
        overlaps = localize(name, heat, truth).overlaps
        assert overlaps.iou == pytest.approx([200 / 600])
        assert overlaps.iobb == pytest.approx([0.5])
        assert overlaps.predicted.tolist() == [1]


def test_the_threshold_is_strict():
    truth = annotated([[0, 0, 8, 8]])
    heat = heat_maps([blocks((0, 0, 8, 8, 255), (20, 20, 28, 28, 180), (40, 40, 48, 48, 181))])
    assert localize("any", heat, truth).overlaps.predicted.tolist() == [2]
    found = localize("any", heat_maps([blocks((0, 0, 16, 8, 1))]), truth)
    assert found.overlaps.iou[0] == 0.5
    assert not found.found(0.5).any()
    assert found.found(0.49).all()


def test_one_box_or_the_best_of_all():
    truth = annotated([[0, 0, 10, 10]])
    heat = heat_maps([blocks((0, 0, 10, 10, 1), (30, 30, 50, 50, 1))])
    assert localize("any", heat, truth).overlaps.iou == pytest.approx([1])
    assert localize("largest", heat, truth).overlaps.iou == pytest.approx([0])
    assert localize("mask-iou", heat, truth).overlaps.iou == pytest.approx([100 / 500])


def test_a_constant_map_has_no_box():
    truth, heat = annotated([[0, 0, 10, 10]]), heat_maps([np.full((SIDE, SIDE), 0.3)])
    for name in PROTOCOLS:
        found = localize(name, heat, truth)
        assert found.overlaps.predicted.tolist() == [0]
        assert not found.found(0.01).any()
        assert not found.pointing.any()


def test_masks_are_compared_with_all_boxes_of_a_finding_at_once():
    # two boxes of one finding that share 50 pixels, and one of another class in the same image
    boxes = [[0, 0, 10, 10], [30, 30, 40, 40], [5, 0, 15, 10]]
    truth = annotated(boxes, classes=[1, 0, 1], images=["a.png"] * 3)
    heat = heat_maps(
        [blocks((5, 0, 10, 20, 1)), blocks((0, 0, 4, 4, 1)), blocks((5, 0, 10, 20, 1))]
    )
    found = localize("mask-iou", heat, truth)
    assert found.annotated.classes.tolist() == [0, 1]
    assert found.overlaps.iou.tolist() == [0, 50 / (100 + 150 - 50)]
    assert found.overlaps.iobb.tolist() == [0, 0.5]
    assert found.found(0.25).tolist() == [False, True]  # an overlap equal to the threshold counts
    assert found.pointing.tolist() == [False, True]


def test_fractions_of_pixels_count():
    truth = annotated([[10.5, 10, 30.25, 20]])
    found = localize("mask-iou", heat_maps([blocks((10, 10, 30, 20, 1))]), truth).overlaps
    assert found.iou == pytest.approx([195 / (200 + 197.5 - 195)])
    assert found.iobb == pytest.approx([195 / 200])


@pytest.mark.parametrize("name", ["chestx-ray8", "largest", "mask-iou", "oracle-size"])
@pytest.mark.parametrize(
    "to_original",
    [
        np.array([[4.0, 0, 0], [0, 4.0, 0]]),
        np.array([[3.5, 0, 16], [0, 3.5, 16]]),
        np.array([[-4.0, 0, 256], [0, 4.0, 0]]),
        np.array([[3.8, -0.9, 20], [0.9, 3.8, -5]]),
    ],
)
def test_a_map_is_scored_where_the_box_was_drawn(name, to_original):
    """Render a disc of the original into the model's frame; every frame must find it."""
    size, centre = (256, 256), np.array([150.0, 110.0])
    grid = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1)
    distance = np.linalg.norm(grid @ to_original[:, :2].T + to_original[:, 2] - centre, axis=-1)
    heat = heat_maps([np.maximum(0, 1 - distance / 100)], to_original, (64, 64), size)
    radius = 100 * (1 - 180 / 255)
    truth = annotated([[*(centre - radius), *(centre + radius)]])
    found = localize(name, heat, truth)
    least = {"mask-iou": 0.75}.get(name, 0.85)
    assert found.overlaps.iou[0] > least
    assert found.pointing.all()


def test_labels_of_one_map_do_not_depend_on_the_others():
    random = np.random.default_rng(0)
    maps = random.random((7, 8, 8))
    boxes = np.concatenate([random.uniform(0, 30, (7, 2)), random.uniform(31, 64, (7, 2))], axis=1)
    sizes = np.array([[64, 64], [80, 64], [64, 64], [80, 64], [64, 64], [64, 64], [33, 47]])
    affine = np.array([[[s[1] / 64, 0, 0], [0, s[0] / 64, 0]] for s in sizes])
    heat, truth = HeatMaps(maps, affine, (64, 64), sizes), annotated(boxes)
    for name in PROTOCOLS:
        whole = localize(name, heat, truth).overlaps
        for i in range(7):
            alone = localize(name, heat.take(np.array([i])), truth.take(np.array([i]))).overlaps
            assert (whole.iou[i], whole.iobb[i]) == (alone.iou[0], alone.iobb[0])


def test_boxes_equal_a_plain_implementation():
    random = np.random.default_rng(1)
    maps = random.random((30, 8, 8)).astype(np.float32)
    corner = random.uniform(0, 150, (30, 2))
    truth = annotated(np.concatenate([corner, corner + random.uniform(20, 100, (30, 2))], axis=1))
    heat = heat_maps(maps, size=(256, 256))
    every, largest = (localize(name, heat, truth).overlaps for name in ("any", "largest"))
    for i, small in enumerate(maps):
        large = cv2.resize(small, (256, 256))
        labels, _ = ndimage.label(large > large.min() + np.ptp(large) * 180 / 255)
        boxes = [[c.start, r.start, c.stop, r.stop] for r, c in ndimage.find_objects(labels)]
        overlap = box.iou(np.array(boxes), truth.boxes[i])
        assert every.iou[i] == pytest.approx(overlap.max(), abs=1e-6)
        biggest = np.bincount(labels[labels > 0])[1:].argmax()
        assert largest.iou[i] == pytest.approx(overlap[biggest], abs=1e-6)


def test_oracle_size_by_hand():
    heat = np.zeros((8, 8))
    heat[1, 1], heat[6, 6] = 0.6, 1.0
    truth = annotated([[4, 4, 20, 20]])
    found = localize("oracle-size", heat_maps([heat]), truth).overlaps
    assert found.iou == pytest.approx([1])
    assert found.fair_iou == pytest.approx([0])
    assert found.predicted.tolist() == [2]


def test_pointing_takes_the_highest_cell():
    heat = np.zeros((8, 8))
    heat[2, 5] = 1
    maps = heat_maps([heat] * 2)
    found = localize("any", maps, annotated([[40, 16, 48, 24], [0, 0, 44, 20]]))
    assert found.pointing.tolist() == [True, False]


def published_evaluator(small, truth, side):
    """What paper 003's evaluator computes, with OpenCV, on a map and a box of a square image."""
    low = small - small.min()
    large = cv2.resize(low / low.max(), (256, 256))
    binary = (large > 180 / 255 * large.max()).astype(np.uint8)
    contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    rectangles = []
    for x, y, w, h in map(cv2.boundingRect, contours):
        rectangles.append((min(x, 251), min(y, 251), min(w, 251 - x), min(h, 251 - y)))
    x, y, w, h = max(rectangles, key=lambda r: r[2] * r[3])
    tx, ty, tw, th = np.array([*truth[:2], *(truth[2:] - truth[:2])]) * 256 / side
    shared = max(0, min(x + w, tx + tw) - max(x, tx) + 1)
    shared *= max(0, min(y + h, ty + th) - max(y, ty) + 1)
    return shared / (w * th + tw * th - shared), shared / (tw * th)


def test_legacy_overlaps_equal_the_published_evaluator():
    random = np.random.default_rng(2)
    maps = random.random((40, 8, 8)).astype(np.float32)
    corner = random.uniform(0, 600, (40, 2))
    truth = annotated(np.concatenate([corner, corner + random.uniform(40, 400, (40, 2))], axis=1))
    found = localize("legacy-kth", heat_maps(maps, size=(1024, 1024)), truth).overlaps
    for i in range(40):
        expected = published_evaluator(maps[i], truth.boxes[i], 1024)
        assert (found.iou[i], found.iobb[i]) == pytest.approx(expected, abs=1e-5)
    assert np.isclose(found.iou, 0).any()
    assert (found.iou > 0.2).any()


def test_legacy_counts_a_box_once_for_each_of_its_image():
    truth = annotated(
        [[0, 0, 9, 9], [30, 30, 39, 39], [50, 50, 59, 59]],
        classes=[0, 1, 2],
        images=["a", "a", "b"],
    )
    assert last_of_image(truth.images).tolist() == [1, 1, 2]
    heat = heat_maps(
        [blocks((0, 0, 9, 9, 1)), blocks((30, 30, 39, 39, 1)), blocks((1, 1, 5, 5, 1))]
    )
    found = localize("legacy-kth", heat, truth)
    assert found.annotated.classes.tolist() == [1, 1, 2]
    assert found.found(0.3).tolist() == [True, True, False]
    assert box_means(found.found(0.3), found.annotated, 3, 10).boxes.tolist() == [0, 2, 1]


def test_a_threshold_that_is_met_is_found_by_the_legacy_rule_only():
    truth, heat = annotated([[0, 0, 8, 8]]), heat_maps([blocks((0, 0, 16, 8, 1))])
    legacy, ours = localize("legacy-kth", heat, truth), localize("any", heat, truth)
    assert legacy.found(legacy.overlaps.iou[0]).all()
    assert not ours.found(ours.overlaps.iou[0]).any()


def test_means_by_class_over_classes_and_over_boxes():
    truth = annotated([[0, 0, 1, 1]] * 5, classes=[0, 0, 0, 0, 2], patients=[1, 1, 2, 3, 3])
    found = box_means(np.array([1, 0, 0, 0, 1]), truth, 3, resamples=400)
    assert found.boxes.tolist() == [4, 0, 1]
    assert [c.value for c in found.classes][::2] == [0.25, 1]
    assert np.isnan(found.classes[1].value)
    assert (found.macro.value, found.micro.value) == (0.625, 0.4)
    assert found.classes[2].undefined == found.macro.undefined > 0
    assert found.classes[0].low <= 0.25 <= found.classes[0].high


def test_several_measures_of_the_same_boxes_are_those_of_each_alone():
    random = np.random.default_rng(5)
    truth = annotated(
        [[0, 0, 1, 1]] * 60, classes=random.integers(0, 3, 60), patients=random.integers(0, 20, 60)
    )
    values = random.random((4, 60))
    together = means_over_boxes(values, truth, 4, resamples=100)
    for its, alone in zip(together, values, strict=True):
        expected = box_means(alone, truth, 4, resamples=100)
        for found, wanted in zip(
            [*its.classes, its.macro, its.micro],
            [*expected.classes, expected.macro, expected.micro],
            strict=True,
        ):
            found, wanted = np.array(astuple(found)), np.array(astuple(wanted))
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_intervals_are_percentiles_of_means_over_the_drawn_patients():
    random = np.random.default_rng(7)
    patients, classes = random.integers(0, 9, 40), random.integers(0, 2, 40)
    values = random.random(40)
    truth = annotated([[0, 0, 1, 1]] * 40, classes=classes, patients=patients)
    found = box_means(values, truth, 2, resamples=70)  # more than one block
    draws = []
    for counts in patient_counts(9, 0, range(70)).T:
        rows = np.repeat(np.arange(40), counts[patients])
        draws.append(np.mean([values[rows][classes[rows] == c].mean() for c in range(2)]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.macro.low, found.macro.high) == pytest.approx((low, high), rel=1e-12)


def test_intervals_cluster_by_patient():
    random = np.random.default_rng(3)
    patient = np.repeat(np.arange(50), 4)
    hit = (random.random(50) < 0.5)[patient]
    clustered = box_means(hit, annotated([[0, 0, 1, 1]] * 200, patients=patient), 1).micro
    single = box_means(hit, annotated([[0, 0, 1, 1]] * 200), 1).micro
    ratio = (clustered.high - clustered.low) / (single.high - single.low)
    assert ratio == pytest.approx(2, abs=0.3)


def test_bad_input_is_refused():
    with pytest.raises(SettingError, match="no localization protocol 'best'"):
        localize("best", heat_maps([np.eye(4)]), annotated([[0, 0, 1, 1]]))
    with pytest.raises(RecordError, match="1 heat maps for 2 annotated boxes"):
        localize("any", heat_maps([np.eye(4)]), annotated([[0, 0, 1, 1]] * 2))
    with pytest.raises(RecordError, match=r"1 boxes have no area, first row 1, image 1.png"):
        annotated([[0, 0, 1, 1], [5, 5, 5, 9]])


def test_protocols_are_pinned():
    assert set(PROTOCOLS) == {
        "chestx-ray8",
        "any",
        "largest",
        "mask-iou",
        "oracle-size",
        "legacy-kth",
    }
    with pytest.raises(AttributeError):
        PROTOCOLS["any"].inclusive = True


def test_denominators_of_the_real_box_file(shared):
    with (shared / "data/nih/BBox_List_2017.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    corner = np.array([[float(v) for v in row[2:6]] for row in rows])
    truth = Annotated(
        np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], axis=1),
        np.array([CLASSES.index(row[1]) for row in rows]),
        np.array([row[0] for row in rows]),
        np.array([row[0].split("_")[0] for row in rows]),
    )
    heat = heat_maps(np.zeros((984, 2, 2)), size=(1024, 1024))
    counts = {
        name: box_means(np.zeros(984), localize(name, heat, truth).annotated, 8, 2).boxes.tolist()
        for name in ("legacy-kth", "oracle-size")
    }
    assert counts["legacy-kth"] == [174, 135, 128, 124, 94, 76, 141, 112]
    assert counts["oracle-size"] == [180, 146, 153, 123, 85, 79, 120, 98]
