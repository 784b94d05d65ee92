"""Predictions meet annotations: image by image, or study by study as CheXpert is scored."""

import numpy as np
import pytest
import torch
from torch import nn

from harness.data.geometry import affine, center_crop, flip
from harness.data.samples import LabelSpace, Samples
from harness.data.view import View
from harness.engine.compute import Compute
from harness.engine.evaluate import predict
from harness.engine.meeting import _by_study, evaluated_of
from harness.errors import TrainingError
from harness.metrics.evaluated import Evaluated
from harness.metrics.report import segmentation_report
from harness.model.prediction import Prediction

ORGANS = ("left_lung", "right_lung", "heart")
UNIONS = {"heart": ("heart",), "lungs": ("left_lung", "right_lung"), "spleen": ("spleen",)}


def test_a_study_has_the_largest_score_and_label_of_its_images():
    evaluated = Evaluated(
        names=np.array(["a", "b", "c"]),
        patients=np.array(["1", "1", "2"]),
        classes=np.array(["x", "y"]),
        targets=np.array([[0, np.nan], [1, np.nan], [0, 1]], dtype=np.float32),
        scores=np.array([[0.2, 0.7], [0.1, 0.3], [0.6, 0.4]], dtype=np.float32),
    )
    found = _by_study(evaluated, np.array(["s1", "s1", "s2"]))
    assert found.names.tolist() == ["s1", "s2"]
    assert found.patients.tolist() == ["1", "2"]
    np.testing.assert_array_equal(found.targets, [[1, np.nan], [0, 1]])
    np.testing.assert_allclose(found.scores, [[0.2, 0.7], [0.6, 0.4]])


def masked_samples(count=5, size=16):
    """Radiographs of 48 x 32 original pixels; the image shows lungs as 1 and the heart as 2."""
    masks = np.zeros((count, 3, size, size), np.uint8)
    masks[:, 0, 4:12, 9:14] = masks[:, 1, 4:12, 2:6] = masks[:, 2, 8:13, 6:9] = 255
    masks[-1, 2] = 0  # one without a heart
    images = (masks[:, 0] | masks[:, 1]) // 255 + 2 * (masks[:, 2] // 255)
    found = Samples.of(
        LabelSpace(("A",), organs=ORGANS),
        names=[str(row) for row in range(count)],
        patients=["1", "1", *map(str, range(2, count))],
        images=images,
        labels=np.zeros((count, 1), np.float32),
        masks=masks,
        sizes=np.tile([48.0, 32.0], (count, 1)),
    )
    return Samples(found.columns, found.space, View(size))


class Reading:
    """Reads organs off the pixels of a changed batch."""

    def __init__(self, change, organs=UNIONS):
        self.change, self.organs, self.network = change, organs, nn.Identity()

    def __call__(self, batch):
        batch = self.change(batch)
        values = (255 * batch.images).round()
        masks = torch.cat([values == 2, values == 1, values == 3], 1)
        return Prediction(
            torch.zeros(len(masks), 1),
            masks=masks.float(),
            organs=self.organs,
            to_original=batch.to_original,
            map_frame=tuple(batch.images.shape[-2:]),
        )


def meet(reading, batch=2):
    samples = masked_samples()
    compute = Compute(torch.device("cpu"), eval_batch=batch)
    return evaluated_of(predict(reading, reading, samples, compute), samples)


def mirrored(batch):
    return flip(batch, torch.ones(len(batch), dtype=torch.bool))


@pytest.mark.parametrize(
    "change", [lambda batch: batch, lambda batch: center_crop(batch, 10), mirrored]
)
def test_masks_meet_the_truth_of_the_field_that_the_model_saw(change):
    evaluated = meet(Reading(change))
    assert evaluated.organs.tolist() == ["heart", "lungs"]  # the dataset knows no spleen
    expected = np.array([1, 1, 0, 0.0])
    np.testing.assert_array_equal(evaluated.organ_overlaps[:-1], np.tile(expected, (4, 2, 1)))
    np.testing.assert_array_equal(evaluated.organ_overlaps[-1, 1], expected)
    assert np.isnan(evaluated.organ_overlaps[-1, 0]).all()
    report = segmentation_report(evaluated)
    assert report["lungs"]["dice"] == {
        "value": 1.0, "low": 1.0, "high": 1.0, "undefined_resamples": 0
    }  # fmt: skip
    assert (report["heart"]["images"], report["heart"]["both_empty"]) == (5, 1)
    assert evaluated.arrays(heavy=False).keys() >= {"organs", "organ_overlaps"}
    assert not evaluated.arrays(heavy=True)


def test_a_shift_costs_overlap_and_is_measured_in_original_pixels():
    def claimed(batch):  # the pixels stay, and are said to lie one to the right: two original ones
        inner = torch.tensor([[1.0, 0, 1], [0, 1, 0]]).expand(len(batch), -1, -1)
        moved = affine(batch, inner)
        return type(batch)(batch.images, moved.to_original, batch.index)

    found = meet(Reading(claimed), batch=5).organ_overlaps
    # the heart is 5 x 3 and shifted by one column, of which ten pixels are shared
    np.testing.assert_allclose(found[0, 0, :2], [2 * 10 / 30, 10 / 20], rtol=1e-6)
    assert 0 < found[0, 0, 2] < 2
    assert found[0, 0, 3] == 2


def test_masks_without_names_are_refused():
    with pytest.raises(TrainingError, match="masks need a name each"):
        meet(Reading(lambda batch: batch, {"lungs": ("left_lung", "right_lung")}))


def test_masks_are_kept_a_bit_a_pixel():
    samples = masked_samples(size=32)
    reading = Reading(lambda batch: batch)
    said = predict(reading, reading, samples, Compute(torch.device("cpu")))
    assert said.masks.bits.nbytes == 5 * 3 * 32 * 32 // 8
    np.testing.assert_array_equal(said.masks[0][0], samples.need("masks")[0, 2] == 255)
    assert not said.heavy
