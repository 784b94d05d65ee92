import numpy as np
import pytest
import torch
from anaxnet.detectors.interface import Detections
from anaxnet.regions import COLUMN, find_again, gather, in_original, pack, rows_only, unpack
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import LabelSpace, Samples, View


def detections(generator, count=3, regions=5, size=64):
    present = torch.rand(count, regions, generator=generator) < 0.7
    there = present[..., None].float()
    return Detections(
        torch.rand(count, regions, 4, generator=generator) * size * there,
        torch.rand(count, regions, 1024, generator=generator) * there,
        torch.rand(count, regions, generator=generator),
        present,
    )


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_rows_give_back_what_was_found_in_half_precision(seed):
    found = detections(torch.Generator().manual_seed(seed))
    again = unpack(pack(found, 64), 64)
    assert torch.equal(again.present, found.present)
    assert torch.allclose(again.features, found.features, rtol=1e-3)
    assert torch.allclose(again.scores, found.scores, rtol=1e-3)
    here = found.present
    assert torch.allclose(again.boxes[here], found.boxes[here], atol=64 / 2048)
    assert again.boxes[~here].isnan().all()


def test_features_beyond_half_precision_stay_finite(rng):
    found = detections(rng)
    huge = found._replace(features=found.features * 1e6)
    assert unpack(pack(huge, 64), 64).features.isfinite().all()


def test_boxes_return_to_original_pixels_of_a_letterboxed_image():
    # 100 high, 200 wide in a view of 50: scale 1/4, 12.5 rounded to 12 rows of black on top.
    maps = View(50, "letterbox").to_original(np.array([[100, 200]]))
    inside = torch.tensor([[[0.0, 12.0, 50.0, 37.0]]], dtype=torch.float64)
    assert in_original(inside, maps).tolist() == [[[0.0, 0.0, 200.0, 100.0]]]
    assert in_original(torch.full((1, 1, 4), torch.nan).double(), maps).isnan().all()


@pytest.fixture
def samples(rng):
    space = LabelSpace(("a",), tuple("vwxyz"), ("l",))
    bare = Samples.of(
        space,
        names=["p", "q", "r"],
        patients=["p", "q", "r"],
        sizes=np.array([[64, 64], [128, 128], [64, 64]]),
        images=np.zeros((3, 64, 64), dtype=np.uint8),
    )
    viewed = Samples(bare.columns, space, View(64, "letterbox"))
    return viewed.with_column(COLUMN, pack(detections(rng), 64).numpy())


def test_rows_follow_the_samples(samples):
    rows = gather(samples, torch.tensor([2, 0]))
    assert torch.equal(rows[0], gather(samples.take([2]), torch.tensor([0]))[0])
    boxes, _, present = find_again(samples.take([1]))
    expected = unpack(gather(samples, torch.tensor([1])), 64)
    assert torch.equal(present, expected.present)
    assert torch.allclose(boxes[present].float(), 2 * expected.boxes[present], atol=1e-3)


def test_training_on_rows_reads_no_images(samples):
    bare = rows_only(samples)
    batch = bare.batch(np.array([1, 2]))
    assert batch.images.shape == (2, 1, 8, 8)
    assert torch.equal(batch[COLUMN], samples.batch(np.array([1, 2]))[COLUMN])
    assert bare.columns["images"].values.base is not None
