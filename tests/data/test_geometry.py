"""Everything in a batch moves together: images, masks, boxes, regions and the way back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from data_toys import everything
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from harness import (
    Draws,
    SettingError,
    View,
    affine,
    center_crop,
    crop,
    flip,
    random_affine,
    random_crop,
    random_flip,
    ten_crop,
)
from harness.data.batch import Batch, compose, invert

SIZE = 24


def marked(x, y, size=SIZE, frame=(48, 96), box=1):
    """Return one image, black but for a square at (x, y), with its mask and its box as column."""
    images = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    images[0, 0, y : y + box, x : x + box] = 255
    to_original = View(size).to_original(np.array([frame]))
    scale = torch.tensor([frame[1] / size, frame[0] / size] * 2)
    where = torch.tensor([x, y, x + box, y + box]) * scale
    columns = {
        "boxes": where[None, None],
        "box_classes": torch.zeros(1, 1, dtype=torch.int64),
        "region_boxes": where[None, None].clone(),
    }
    spatial = {"masks": images.clone()}
    return Batch.of(images, to_original, torch.zeros(1, dtype=torch.int64), columns, spatial)


def where_lit(values):
    """Return x1, y1, x2, y2 of what is lit in (1, 1, H, W); None where nothing is."""
    ys, xs = torch.nonzero(values[0, 0] > 127, as_tuple=True)
    if not len(xs):
        return None
    return [xs.min().item(), ys.min().item(), xs.max().item() + 1, ys.max().item() + 1]


def original(batch, points):
    """Map points (N, 2) of the present input to original pixels."""
    matrix = batch.to_original[0].double()
    return (matrix[:, :2] @ torch.tensor(points, dtype=torch.float64).T + matrix[:, 2:]).T


moves = st.lists(
    st.one_of(
        st.tuples(st.just("crop"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("flip")),
        st.tuples(st.just("center")),
    ),
    max_size=4,
)


def moved(batch, steps):
    for kind, *numbers in steps:
        size = batch.images.shape[-1]
        if kind == "flip":
            batch = flip(batch, torch.tensor([True]))
        elif kind == "center":
            batch = center_crop(batch, size - 1)
        else:
            top, left = (min(n, 3) for n in numbers)
            batch = crop(batch, torch.tensor([top]), torch.tensor([left]), size - 3)
    return batch


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 4), moves)
def test_a_marker_is_found_again_in_original_pixels(x, y, box, steps):
    """Crops and flips copy pixels exactly, so that equality is exact up to clipping."""
    batch = moved(marked(x, y, box=box), steps)
    lit = where_lit(batch.images)
    assert lit == where_lit(batch.spatial["masks"])
    for name in ("boxes", "region_boxes"):
        found = batch.columns[name][0, 0]
        if lit is None:
            assert batch.box_classes[0, 0] == -1
            assert torch.isnan(batch.columns["region_boxes"]).all()
        else:
            assert batch.box_classes[0, 0] == 0
            torch.testing.assert_close(found, torch.tensor(lit).float(), rtol=0, atol=1e-3)
    if lit is not None and (lit[2] - lit[0], lit[3] - lit[1]) == (box, box):
        corners = original(batch, [lit[:2], lit[2:]])
        expected = torch.tensor([[x * 4, y * 2], [(x + box) * 4, (y + box) * 2]]).double()
        mirrored = sum(step[0] == "flip" for step in steps) % 2
        if mirrored:
            expected = torch.stack(
                [
                    torch.stack([expected[1, 0], expected[0, 1]]),
                    torch.stack([expected[0, 0], expected[1, 1]]),
                ]
            )
        torch.testing.assert_close(corners, expected, rtol=0, atol=1e-3)


def test_crop_and_flip_by_hand():
    """The pixel at x = 5, y = 7 of 24, cropped at (2, 3) to 16, is at 2, 5; mirrored at 13, 5."""
    batch = crop(marked(5, 7), torch.tensor([2]), torch.tensor([3]), 16)
    assert where_lit(batch.images) == [2, 5, 3, 6]
    batch = flip(batch, torch.tensor([True]))
    assert where_lit(batch.images) == [13, 5, 14, 6]
    # 96 / 24 = 4 original pixels a pixel to the right, 48 / 24 = 2 down
    torch.testing.assert_close(
        original(batch, [[13.0, 5.0]]), torch.tensor([[24.0, 14.0]]).double()
    )


def test_each_image_moves_on_its_own():
    batch = everything(3).batch(np.arange(3))
    top, left = torch.tensor([0, 3, 8]), torch.tensor([8, 0, 2])
    cut = crop(batch, top, left, 16)
    for row in range(3):
        y, x = top[row], left[row]
        assert torch.equal(cut.images[row], batch.images[row, :, y : y + 16, x : x + 16])
        assert torch.equal(cut.masks[row], batch.masks[row, :, y : y + 16, x : x + 16])
    some = flip(batch, torch.tensor([True, False, True]))
    assert torch.equal(some.images[1], batch.images[1])
    assert torch.equal(some.images[2], batch.images[2].flip(-1))
    assert torch.equal(some.masks[0], batch.masks[0].flip(-1))
    assert torch.equal(some.boxes[1], batch.boxes[1])


def test_boxes_are_brought_into_input_pixels_and_clipped():
    samples = everything(3)
    batch = samples.batch(np.arange(3))
    expected = samples.need("boxes") / np.array([4, 2, 4, 2])
    np.testing.assert_allclose(batch.boxes.numpy(), expected, rtol=1e-5)
    cut = crop(batch, torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), 8)
    known = cut.box_classes >= 0
    assert ((cut.boxes[known] >= 0) & (cut.boxes[known] <= 8)).all()
    assert (cut.box_classes[:, 3] == -1).all()  # what was padding stays padding
    assert torch.isnan(cut.region_boxes[:, 2]).all()  # what was absent stays absent
    outside = (expected[..., 0] >= 8) | (expected[..., 1] >= 8)
    assert torch.equal(known[:, :3], torch.from_numpy(~outside[:, :3]))


def test_columns_of_another_size_cover_the_same_field():
    """A coarse column with one lit cell: after the crop the same part of the field is lit."""
    batch = marked(8, 8, box=4)
    coarse = torch.nn.functional.avg_pool2d(batch.images.float(), 4).to(torch.uint8)
    batch = replace(batch, spatial={**batch.spatial, "coarse": coarse})
    cut = crop(batch, torch.tensor([4]), torch.tensor([4]), 16)
    assert cut.spatial["coarse"].shape[-2:] == (16, 16)
    lit = where_lit(cut.spatial["coarse"])
    assert np.abs(np.array(lit) - where_lit(cut.images)).max() <= 1
    mirrored = flip(batch, torch.tensor([True]))
    assert torch.equal(mirrored.spatial["coarse"], coarse.flip(-1))


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-40, 40), st.floats(0.7, 1.4), st.floats(-5, 5), st.floats(-5, 5),
    st.integers(8, 40),
)  # fmt: skip
def test_affine_is_what_scipy_computes(degrees, scale, x, y, size):
    """An independent implementation: pixel centres at halves, bilinear, black outside."""
    random = np.random.default_rng(3)
    image = ndimage.gaussian_filter(random.random((SIZE, SIZE)), 1).astype(np.float32)
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inner = np.column_stack([linear, [x, y]]).astype(np.float32)
    batch = replace(marked(0, 0), images=torch.from_numpy(image)[None, None], spatial={})
    ours = affine(batch, torch.from_numpy(inner)[None], size).images[0, 0].numpy()
    # scipy: rows first, pixel i has its centre at i
    rows = linear[::-1, ::-1]
    shift = np.array([y, x]) + rows @ [0.5, 0.5] - 0.5
    theirs = ndimage.affine_transform(
        np.pad(image, 1), rows, shift + 1, (size, size), order=1, mode="constant"
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_affine_agrees_with_torchvision():
    vision = pytest.importorskip("torchvision.transforms.functional")
    image = torch.rand(1, 1, SIZE, SIZE)
    batch = replace(marked(0, 0), images=image, spatial={})
    for degrees in (-30.0, 10.0, 90.0):
        angle = torch.deg2rad(torch.tensor(degrees))
        linear = torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])
        center = torch.full((2, 1), SIZE / 2)
        inner = torch.cat([linear, center - linear @ center], 1)[None]
        theirs = vision.rotate(image, -degrees, vision.InterpolationMode.BILINEAR)
        torch.testing.assert_close(affine(batch, inner).images, theirs, atol=1e-3, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 30), st.floats(0, 0.2), st.floats(0.8, 1.2))
def test_random_affine_takes_the_way_back_along(seed, degrees, shift, scale):
    """The middle of a bright square, mapped back, is where it was, to half a pixel."""
    batch = marked(10, 11, box=4)
    draws = Draws(batch.index, seed)
    turned = random_affine(batch, draws, degrees, (scale, scale), shift)
    weight = turned.images[0, 0].double()
    if weight[0].sum() + weight[-1].sum() + weight[:, 0].sum() + weight[:, -1].sum() > 0:
        return  # partly outside
    steps = torch.arange(SIZE, dtype=torch.float64) + 0.5
    middle = [
        (weight.sum(0) @ steps / weight.sum()).item(),
        (weight.sum(1) @ steps / weight.sum()).item(),
    ]
    there = original(turned, [middle])
    torch.testing.assert_close(there, torch.tensor([[48.0, 26.0]]).double(), rtol=0, atol=2.0)
    torch.testing.assert_close(turned.images, turned.spatial["masks"])
    x1, y1, x2, y2 = turned.boxes[0, 0].tolist()
    assert x1 - 1 <= middle[0] <= x2 + 1
    assert y1 - 1 <= middle[1] <= y2 + 1


def test_the_limits_of_a_random_affine_are_reached_and_kept():
    batch = everything(3).batch(np.zeros(2000, dtype=np.int64))
    batch = replace(batch, index=torch.arange(2000), columns={}, spatial={})
    turned = random_affine(batch, Draws(batch.index, 1), 10.0, (0.9, 1.1), 0.1)
    inner = compose(invert(batch.to_original.double()), turned.to_original.double())
    zoom = inner[:, :, 0].norm(dim=1)
    angle = torch.rad2deg(torch.atan2(inner[:, 1, 0], inner[:, 0, 0]))
    assert 9.8 < angle.abs().max() <= 10.001
    assert 0.905 < zoom.min() < 0.92
    assert 1.09 < zoom.max() < 1.112
    center = torch.full((2, 1), SIZE / 2, dtype=torch.float64)
    now = (inner[:, :, :2] @ center + inner[:, :, 2:] - center)[..., 0] / SIZE
    assert 0.09 < now.abs().max() < 0.1 * 1.112 * 1.42


def test_ten_crops():
    batch = everything(2).batch(np.arange(2))
    crops = ten_crop(batch, 16)
    assert len(crops) == 10
    places = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    for (y, x), plain, mirror in zip(places, crops[:5], crops[5:], strict=True):
        assert torch.equal(plain.images, batch.images[..., y : y + 16, x : x + 16])
        assert torch.equal(mirror.images, plain.images.flip(-1))
        torch.testing.assert_close(original(plain, [[0.0, 0.0]]), original(batch, [[x, y]]))
        torch.testing.assert_close(original(mirror, [[16.0, 0.0]]), original(plain, [[0.0, 0.0]]))


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(SettingError, match="cannot crop 25 pixels out of 24 x 24"):
        center_crop(marked(0, 0), 25)


def test_maps_and_their_inverses():
    random = torch.Generator().manual_seed(0)
    one, two = (torch.randn(5, 2, 3, generator=random).double() for _ in range(2))
    identity = torch.eye(2, 3).double().expand(5, 2, 3)
    torch.testing.assert_close(compose(one, invert(one)), identity)
    points = torch.randn(5, 2, 1, generator=random).double()
    both = compose(one, two)
    step = two[:, :, :2] @ points + two[:, :, 2:]
    torch.testing.assert_close(
        both[:, :, :2] @ points + both[:, :, 2:], one[:, :, :2] @ step + one[:, :, 2:]
    )


@pytest.mark.parametrize("frame", [(48, 96), (96, 48), (50, 50), (1, 7), (2500, 2048)])
@pytest.mark.parametrize("aspect", ["stretch", "letterbox"])
def test_a_view_maps_its_corners_to_the_frame(frame, aspect):
    view = View(24, aspect)
    matrix = view.to_original(np.array([frame]))[0].numpy()
    scale_x, scale_y, left, top = view.placement(*frame)
    corners = np.array([[left, top], [left + frame[1] * scale_x, top + frame[0] * scale_y]])
    np.testing.assert_allclose(
        corners @ matrix[:, :2].T + matrix[:, 2], [[0, 0], frame[::-1]], atol=1e-6
    )
    image = np.full(frame, 200, dtype=np.uint8)
    lit = np.argwhere(view.resize(image) > 100)
    np.testing.assert_allclose([lit[0][::-1], lit[-1][::-1] + 1], corners, atol=0.51)


def test_random_crops_reach_every_place_and_random_flips_half():
    batch = everything(1).batch(np.zeros(4000, dtype=np.int64))
    batch = replace(batch, index=torch.arange(4000), columns={}, spatial={})
    cut = random_crop(batch, Draws(batch.index, 0, "a"), SIZE - 2)
    places = (cut.to_original[:, :, 2] / torch.tensor([4.0, 2.0])).round().long()
    counts = torch.bincount(places[:, 0] * 3 + places[:, 1], minlength=9)
    assert counts.min() > 350  # of 444 expected
    mirrored = random_flip(batch, Draws(batch.index, 0, "a")).to_original[:, 0, 0] < 0
    assert 0.45 < mirrored.float().mean() < 0.55


@pytest.mark.parametrize(
    "move",
    [
        lambda batch: center_crop(batch, 17),
        lambda batch: ten_crop(batch, 17)[-1],
        lambda batch: affine(batch, torch.tensor([[[0.91, 0.13, 1.7], [-0.13, 0.91, 2.3]]] * 4)),
    ],
    ids=["center_crop", "ten_crop", "affine"],
)
def test_a_network_in_bfloat16_leaves_the_geometry_exact(move):
    """Models crop while they predict; bfloat16 would put a heat map pixels beside its place."""
    batch = everything(4).batch(np.arange(4)).to(torch.device("cpu"))
    batch = replace(batch, to_original=1.07 * batch.to_original)
    exact = move(batch)
    with torch.autocast("cpu", torch.bfloat16):
        seen = move(batch)
    assert torch.equal(seen.to_original, exact.to_original)
    for name, values in {**exact.columns, **exact.spatial}.items():
        torch.testing.assert_close(seen[name], values, rtol=0, atol=0, equal_nan=True)
