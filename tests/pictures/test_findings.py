"""What any model shows of radiographs: the right ones, with the right boxes at the right place."""

import numpy as np
import pytest
import torch

from harness.data.geometry import center_crop
from harness.data.samples import LabelSpace, Samples
from harness.data.view import View
from harness.errors import DataError
from harness.metrics.heatmaps import HeatMaps
from harness.metrics.protocols import largest_boxes
from harness.model.prediction import Prediction
from harness.pictures.canvas import SIDE, canvases, enlarged
from harness.pictures.choice import choose, named
from harness.pictures.figure import write_figure
from harness.pictures.findings import findings, seen_classes
from harness.pictures.overlay import PREDICTED, TRUE

CLASSES = ("Mass", "Nodule", "Edema", "Effusion", "Hernia", "Fibrosis")


def samples(count=3, view=None, **columns):
    """Radiographs of 200 x 100 original pixels, black but for one white quarter, in a view of 50.

    Of these 100 x 50 pixels of a canvas of 512 x 256 are left after a letterbox.
    """
    sizes = np.tile([200, 100], (count, 1))
    labels = np.zeros((count, len(CLASSES)), np.float32)
    labels[:, 2] = 1
    images = np.zeros((count, 50, 50), np.uint8)
    images[:, :25, 25:] = 255
    boxes = np.full((count, 2, 4), 0, np.float32)
    boxes[:, 0] = 40, 100, 80, 150
    kinds = np.tile([2, -1], (count, 1))
    given = {
        "sizes": sizes, "labels": labels, "images": images, "boxes": boxes, "box_classes": kinds
    } | columns  # fmt: skip
    names = [f"{row}.png" for row in range(count)]
    given = {name: values for name, values in given.items() if values is not None}
    made = Samples.of(LabelSpace(CLASSES), names=names, patients=names, **given)
    return Samples(made.columns, made.space, view or View(50))


def said_of(batch):
    """One hot cell for every class, the one at the second row and third column of 5 x 5."""
    maps = torch.zeros(len(batch), len(CLASSES), 5, 5)
    maps[:, :, 1, 2] = 1
    scores = torch.linspace(0.1, 0.6, len(CLASSES)).expand(len(batch), -1)
    return Prediction(scores, maps, batch.to_original, tuple(batch.images.shape[-2:]))


def corners(picture, colour):
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def pictured(axis):
    return axis.images[0].get_array()


def drawn(truth, change=lambda batch: batch):
    batch = truth.batch(np.arange(len(truth)), inputs_only=True).floats()
    return batch, dict(findings(said_of(change(batch)), batch, truth))


def test_boxes_lie_where_they_were_drawn():
    truth = samples()
    _, found = drawn(truth)
    assert list(found) == [f"{row}.png-findings" for row in range(3)]
    figure = found["1.png-findings"]
    scale = SIDE / 200
    true = tuple(round(scale * side) for side in (40, 100, 80, 150))
    plain, heated, other, *_ = figure.axes
    assert pictured(plain).shape == (512, 256, 3)
    for axis in (plain, heated):  # a line is two pixels wide
        np.testing.assert_allclose(corners(pictured(axis), TRUE), true, atol=1)
    assert not (pictured(other) == TRUE).all(axis=2).any()  # a class without a box


@pytest.mark.parametrize("change", [lambda batch: batch, lambda batch: center_crop(batch, 30)])
def test_the_predicted_box_is_that_of_the_protocol_in_original_pixels(change):
    truth = samples(1)
    batch, found = drawn(truth, change)
    said = said_of(change(batch))
    heat = HeatMaps(
        said.maps[0, :1].numpy(), said.to_original.numpy(), said.map_frame, truth.need("sizes")
    )
    box = largest_boxes(heat)[0]
    expected = tuple(round(float(side) * SIDE / 200) for side in box)
    shown = pictured(found["0.png-findings"].axes[1])
    np.testing.assert_allclose(corners(shown, PREDICTED), expected, atol=1)
    # the hot cell's centre, in the crop if there is one, is in the box
    cell = said.map_frame[0] / 5
    point = said.to_original[0].numpy() @ [2.5 * cell, 1.5 * cell, 1]
    assert (box[:2] < point).all()
    assert (point < box[2:]).all()


def test_largest_boxes_are_undefined_for_constant_maps_and_hand_worked_for_one_cell():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[1, 1:3, 2] = 1
    heat = HeatMaps(maps, np.tile(np.eye(2, 3), (2, 1, 1)), (4, 4), np.tile([4, 4], (2, 1)))
    found = largest_boxes(heat)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [2, 1, 3, 3]


@pytest.mark.parametrize("aspect", ["stretch", "letterbox"])
def test_a_canvas_has_the_proportions_of_the_original(aspect):
    truth = samples(1, view=View(50, aspect))
    (canvas,) = canvases(truth.batch(np.arange(1)).floats(), truth)
    assert canvas.radiograph.shape == (512, 256)
    white = canvas.radiograph > 127
    if aspect == "stretch":  # the upper right quarter of the original
        assert white[:250, 134:].all()
        assert not white[262:].any()
        assert not white[:, :122].any()
    box = canvas.box(np.array([0, 0, 100, 200]))
    assert box.tolist() == [0, 0, 256, 512]


def test_enlarged_values_keep_their_proportions():
    assert enlarged(np.zeros((20, 10))).shape == (512, 256)
    assert (enlarged(np.full((7, 7), 0.25)) == 0.25).all()


def test_findings_with_boxes_come_first_then_true_ones_then_those_of_high_score():
    scores, labels = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.7]), np.array([0, 0, 1, 1, 0, np.nan])
    assert seen_classes(scores, labels, np.array([3])) == [3, 2, 0, 1]
    assert seen_classes(scores, None, np.array([], dtype=int)) == [0, 1, 5, 4]


def test_true_findings_are_red_and_the_highest_are_listed():
    _, found = drawn(samples(1))
    texts = [text for text in found["0.png-findings"].axes[-1].texts if "0." in text.get_text()]
    names = [text.get_text().split()[0] for text in texts]
    assert names == ["Fibrosis", "Hernia", "Effusion", "Edema", "Nodule"]
    assert [text.get_color() == "black" for text in texts] == [True, True, True, False, True]


def test_without_heat_maps_or_boxes_the_list_is_left(tmp_path):
    truth = samples(1, boxes=None, box_classes=None, labels=None)
    batch = truth.batch(np.arange(1), inputs_only=True).floats()
    ((name, figure),) = findings(Prediction(torch.rand(1, 6)), batch, truth)
    assert [len(axis.images) for axis in figure.axes] == [1, 0]
    write_figure(tmp_path / f"{name}.png", figure)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(findings(Prediction(), batch, truth))


def boxed(kinds):
    rows = np.array([[kind, -1] if kind is not None else [-1, -1] for kind in kinds])
    return samples(len(kinds), box_classes=rows)


def test_images_are_chosen_by_their_names_spread_over_the_classes():
    kinds = [0, 0, 0, 0, None, 0, 3, 5, 0, None]
    truth = boxed(kinds)
    chosen = choose(truth, 4)
    assert sorted(kinds[row] for row in chosen[:3]) == [0, 3, 5]  # a turn each, then again
    assert kinds[chosen[3]] == 0
    order = np.random.default_rng(0).permutation(10)
    assert truth.take(order).names[choose(truth.take(order), 4)].tolist() == (
        truth.names[chosen].tolist()
    )
    assert len(choose(truth, 100)) == 8
    assert set(choose(truth, 100)) == {row for row, kind in enumerate(kinds) if kind is not None}
    assert len(choose(truth, 0)) == 0


def test_without_boxes_images_with_findings_are_chosen():
    labels = np.zeros((6, 6), np.float32)
    labels[[1, 4], [0, 3]] = 1
    assert set(choose(samples(6, boxes=None, box_classes=None, labels=labels), 5)) == {1, 4}
    regions = np.zeros((6, 2, 3), np.float32)
    regions[2, 1, 1] = 1
    plain = samples(6, boxes=None, box_classes=None, labels=None, region_labels=regions)
    assert choose(plain, 5).tolist() == [2]
    assert len(choose(samples(6, boxes=None, box_classes=None, labels=None), 5)) == 5


def test_images_by_name():
    assert named(samples(4), ["3.png", "0.png"]).tolist() == [3, 0]
    with pytest.raises(DataError, match=r"no test image of this run is called 9\.png"):
        named(samples(4), ["0.png", "9.png"])
