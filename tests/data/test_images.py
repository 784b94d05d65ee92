"""Decoding: exact pixels or a clear error."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import DataError
from harness.data.images import decode, read_image, stamp_file

GRAY = np.arange(48 * 40, dtype=np.uint32).reshape(48, 40).astype(np.uint8)


def encoded(pixels, kind=".png"):
    return cv2.imencode(kind, pixels)[1].tobytes()


def test_any_number_of_equal_channels_gives_exactly_one():
    alpha = np.full_like(GRAY, 200)
    for layers in ([GRAY] * 3, [GRAY] * 3 + [alpha]):
        assert np.array_equal(decode(encoded(np.dstack(layers)), "x"), GRAY)
    assert np.array_equal(decode(encoded(GRAY), "x"), GRAY)


def test_different_channels_give_their_luma():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 2] = 200  # red, in cv2's order
    assert decode(encoded(pixels), "x")[0, 0] == round(0.299 * 200)


def test_gray_jpeg():
    flat = np.full((32, 32), 77, np.uint8)
    assert np.array_equal(decode(encoded(flat, ".jpg"), "x"), flat)


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(1, 10_000), flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_png_cut_short_or_changed_is_refused(cut, flip, bit):
    whole = encoded(GRAY)
    with pytest.raises(DataError, match="film"):
        decode(whole[: -(1 + cut % len(whole))], "film")
    changed = bytearray(whole)
    changed[flip % len(whole)] ^= 1 << bit
    with pytest.raises(DataError, match="film"):
        decode(bytes(changed), "film")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_jpeg_cut_short_is_refused(share):
    whole = encoded(GRAY, ".jpg")
    with pytest.raises(DataError, match="film"):
        decode(whole[: int(len(whole) * share)], "film")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="8-bit"):
        decode(encoded(GRAY.astype(np.uint16)), "deep")
    with pytest.raises(DataError, match="neither PNG nor JPEG"):
        decode(b"<html>not found</html>", "page")
    with pytest.raises(DataError, match="absent"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="absent"):
        stamp_file(tmp_path / "none.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)
