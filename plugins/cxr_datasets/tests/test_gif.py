"""GIF masks against Pillow."""

import io

import numpy as np
import pytest
from cxr_datasets.gif import read_gif, write_gif
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image


def by_pillow(mask, mode="P", **options):
    file = io.BytesIO()
    Image.fromarray(mask).convert(mode).save(file, "GIF", **options)
    return file.getvalue()


def ellipses(size=300, seed=0):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    mask = np.zeros((size, size), np.uint8)
    for cx, cy, rx, ry in random.uniform(20, 200, (4, 4)):
        mask[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = 255
    return mask


@pytest.mark.parametrize(
    "mask", [ellipses(), np.random.default_rng(0).integers(0, 2, (90, 130)) * 255]
)
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("mode", ["P", "L", "1"])
def test_reads_what_pillow_writes(mask, mode, interlace):
    mask = mask.astype(np.uint8)
    assert np.array_equal(read_gif(by_pillow(mask, mode, interlace=interlace)) > 0, mask > 0)


def test_gray_levels_and_transparency():
    levels = np.random.default_rng(1).integers(0, 256, (70, 50)).astype(np.uint8)
    assert np.array_equal(read_gif(by_pillow(levels, "L", transparency=3)), levels)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_pillow_and_this_read_what_this_writes(height, width, seed, share):
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8) * 255
    content = write_gif(mask)
    assert np.array_equal(read_gif(content), mask)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("L")), mask)


def test_a_large_noisy_mask_fills_the_dictionary():
    mask = (np.random.default_rng(2).random((400, 400)) < 0.5).astype(np.uint8) * 255
    content = write_gif(mask)
    assert np.array_equal(read_gif(content), mask)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("L")), mask)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_a_broken_gif_is_a_value_error_or_a_picture_of_its_size(at, value, cut):
    content = bytearray(write_gif(ellipses(60)))
    at %= len(content)
    content[at] = value
    broken = bytes(content[:at] if cut else content)
    try:
        picture = read_gif(broken)
    except ValueError:
        return
    assert not cut or at >= len(content) - 8
    assert picture.ndim == 2
