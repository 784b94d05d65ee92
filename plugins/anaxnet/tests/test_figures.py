import numpy as np
import pytest
import torch

figures = pytest.importorskip("anaxnet.figures")

from harness import LabelSpace, Prediction, Samples, View  # noqa: E402
from harness.pictures.canvas import SIDE  # noqa: E402

REGIONS = ("right lung", "left lung", "heart")


def one_image():
    """A black radiograph of 100 x 100 pixels; the left lung has an opacity, the heart is large."""
    labels = np.zeros((1, 3, 2), np.float32)
    labels[0, 1, 0] = labels[0, 2, 1] = 1
    boxes = np.array([[[10, 20, 40, 80], [60, 20, 90, 80], [35, 50, 65, 90]]], np.float32)
    made = Samples.of(
        LabelSpace(("a",), REGIONS, ("opacity", "large")),
        names=["p10/1.jpg"],
        patients=["1"],
        images=np.zeros((1, 50, 50), np.uint8),
        sizes=np.array([[100, 100]]),
        region_boxes=boxes,
        region_labels=labels,
    )
    truth = Samples(made.columns, made.space, View(50))
    scores = torch.tensor([[[0.2, 0.1], [0.9, 0.3], [0.99, 0.98]]])
    moved = torch.from_numpy(boxes) + 5
    moved[0, 2] = torch.nan
    present = torch.tensor([[True, True, False]])
    said = Prediction(region_scores=scores, region_boxes=moved, region_present=present)
    return said, truth.batch(np.arange(1), inputs_only=True).floats(), truth


def texts(axis):
    return [text.get_text().strip() for text in axis.texts]


def corners(picture, colour):
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_regions_are_drawn_where_they_are_and_listed_with_their_findings():
    ((name, figure),) = figures.region_figures(*one_image())
    assert name == "p10/1.jpg-regions"
    true, true_list, found, _ = figure.axes
    assert texts(true_list) == ["left lung", "opacity", "heart", "large"]
    left = figures.colour_of(1)
    scale = SIDE / 100
    for axis, box in ((true, [60, 20, 90, 80]), (found, [65, 25, 95, 85])):
        drawn = corners(axis.images[0].get_array(), left)
        np.testing.assert_allclose(drawn, [scale * side for side in box], atol=1.5)
    # the right lung has no finding: grey and thin
    assert (true.images[0].get_array() == figures.GREY).all(axis=2).any()
    assert not (true.images[0].get_array() == figures.colour_of(0)).all(axis=2).any()


def test_regions_that_were_not_found_are_not_listed_whatever_their_score():
    ((_, figure),) = figures.region_figures(*one_image())
    listed = figure.axes[3].texts
    assert texts(figure.axes[3]) == [
        "right lung", "opacity 0.200", "large 0.100", "left lung", "opacity 0.900", "large 0.300"
    ]  # fmt: skip
    assert [text.get_color() == "black" for text in listed[1:3]] == [True, True]
    assert [text.get_color() == "black" for text in listed[4:]] == [False, True]
    heart = figures.colour_of(2)
    assert not (figure.axes[2].images[0].get_array() == heart).all(axis=2).any()


def test_eighteen_colours_differ():
    colours = np.array([figures.colour_of(region) for region in range(18)], dtype=int)
    apart = np.abs(colours[:, None] - colours[None]).max(axis=2)
    assert (apart + 255 * np.eye(18) >= 40).all()
    assert (colours.max(axis=1) - colours.min(axis=1) > 100).all()  # none is grey
