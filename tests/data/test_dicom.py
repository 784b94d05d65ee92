"""DICOM files as they would be shown: both interpretations, rescale, window, table, errors."""

import builtins
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.dicom import decode_dicom, is_dicom, read_radiograph
from harness.data.images import read_image
from harness.errors import DataError

pydicom = pytest.importorskip("pydicom")
from pydicom import uid  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.pixels.processing import apply_windowing  # noqa: E402

FILM = np.random.default_rng(0).integers(100, 3900, (24, 20)).astype(np.uint16)


def dataset(pixels, kind="MONOCHROME2", bits=12, **tags):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.Rows, data.Columns = pixels.shape[-2:] if kind != "RGB" else pixels.shape[:2]
    data.BitsAllocated, data.BitsStored, data.HighBit = pixels.itemsize * 8, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, kind
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def content(*arguments, **tags):
    file = BytesIO()
    dataset(*arguments, **tags).save_as(file, enforce_file_format=True)
    return file.getvalue()


def shown(*arguments, **tags):
    return decode_dicom(content(*arguments, **tags), "film.dcm")


def test_without_a_window_the_extremes_are_black_and_white():
    pixels = shown(np.array([[100, 200], [300, 1120]], np.uint16))
    assert pixels.tolist() == [[0, 25], [50, 255]]  # 255 * 100 / 1020 is 25, a percentile would cut


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 1800, "WindowWidth": 1500}])
def test_both_photometric_interpretations_of_one_picture_are_one(tags):
    other = dict(tags)
    if tags:
        other["WindowCenter"] = 4096 - 1800  # the same window seen from the other end
    inverted = shown(4095 - FILM, kind="MONOCHROME1", **other)
    assert np.array_equal(shown(FILM, **tags), inverted)
    assert not np.array_equal(inverted, shown(FILM, kind="MONOCHROME1", **tags))


def test_rescale_changes_nothing_but_what_a_window_means():
    assert np.array_equal(shown(FILM), shown(FILM, RescaleSlope=0.001, RescaleIntercept=-1024))
    plain = shown(FILM, WindowCenter=2000, WindowWidth=1001)
    moved = shown(
        FILM, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=2000 - 1024, WindowWidth=1001
    )
    assert np.array_equal(plain, moved)


def test_a_window_by_hand():
    """Centre 100, width 11: black below 94.5, white above 104.5, linear in between."""
    pixels = np.array([[90, 94, 95, 99, 100, 104, 105, 200]], np.uint16)
    expected = [0, 0, 12.75, 114.75, 140.25, 242.25, 255, 255]
    found = shown(pixels, WindowCenter=[100, 7], WindowWidth=[11, 3])
    np.testing.assert_array_equal(found[0], np.rint(expected))


@settings(max_examples=60, deadline=None)
@given(
    centre=st.integers(1, 4000),
    width=st.integers(2, 4000),
    function=st.sampled_from(["", "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_as_pydicom_applies_them(centre, width, function):
    tags = {"WindowCenter": centre, "WindowWidth": width}
    tags |= {"VOILUTFunction": function} if function else {}
    with np.errstate(over="ignore"):
        expected = np.rint(apply_windowing(FILM, dataset(FILM, **tags)) * 255 / 4095)
    if expected.min() == expected.max():
        with pytest.raises(DataError, match="blank"):
            shown(FILM, **tags)
        return
    np.testing.assert_allclose(shown(FILM, **tags).astype(int), expected, atol=1)


def table(values, first, bits):
    entry = Dataset()
    entry.add_new("LUTDescriptor", "US", [len(values), first, bits])
    entry.add_new("LUTData", "US", [int(v) for v in values])
    return [entry]


def test_a_table_of_values_of_interest():
    film = np.array([[0, 1, 2, 3]], np.uint16)
    tags = {
        "VOILUTSequence": table([1023, 1023, 512, 0], 0, 10),
        "WindowCenter": 1,
        "WindowWidth": 9,
    }
    assert shown(film, **tags).tolist() == [[255, 255, 128, 0]]
    assert shown(film, kind="MONOCHROME1", **tags).tolist() == [[0, 0, 127, 255]]


def test_a_modality_table_comes_before_the_extremes():
    film = np.array([[0, 1, 2]], np.uint16)
    tags = {"ModalityLUTSequence": table([0, 1000, 100], 0, 16)}
    tags["ModalityLUTSequence"][0].ModalityLUTType = "US"
    assert shown(film, **tags).tolist() == [[0, 255, 26]]


def test_signed_and_eight_bit_values():
    signed = np.array([[-100, 0, 155]], np.int16)
    assert shown(signed, bits=16).tolist() == [[0, 100, 255]]
    assert shown(np.array([[0, 7, 255]], np.uint8), bits=8).tolist() == [[0, 7, 255]]


BAD = {
    "several frames": ((np.stack([FILM, FILM]),), {"NumberOfFrames": 2}, "has 2 frames"),
    "colour": (
        (np.zeros((4, 4, 3), np.uint8), "RGB", 8),
        {"SamplesPerPixel": 3, "PlanarConfiguration": 0},
        "is RGB: only MONOCHROME1 and 2",
    ),
    "blank": ((np.full((4, 4), 9, np.uint16),), {}, "is blank"),
    "no width": ((FILM,), {"WindowCenter": 5, "WindowWidth": 0}, "window of width 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_single_grey_radiograph_is_refused(case):
    arguments, tags, said = BAD[case]
    with pytest.raises(DataError, match=rf"film\.dcm.*{said}"):
        shown(*arguments, **tags)


def test_without_pixels():
    data = dataset(FILM)
    del data.PixelData
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    with pytest.raises(DataError, match="without pixels"):
        decode_dicom(file.getvalue(), "report.dcm")


def test_a_value_that_is_none():
    file = content(FILM, WindowCenter="4711", WindowWidth="20").replace(b"4711", b"47z1")
    with pytest.raises(DataError, match=r"film\.dcm cannot be read as DICOM: .*47z1"):
        decode_dicom(file, "film.dcm")


def test_compressed_without_a_decoder():
    data = dataset(FILM)
    data.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"])
    data["PixelData"].is_undefined_length = True
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    with pytest.raises(DataError, match=r"compressed \(JPEG 2000.*pip install pylibjpeg"):
        decode_dicom(file.getvalue(), "film.dcm")


@pytest.mark.parametrize("keep", [140, 400, 700])
def test_cut_short(keep):
    whole = content(FILM)
    with pytest.raises(DataError, match="film"):
        decode_dicom(whole[:keep], "film.dcm")


def test_without_pydicom_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def without(name, *arguments):
        if name.startswith("pydicom"):
            raise ImportError(name)
        return original(name, *arguments)

    file = content(FILM)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'cxr-harness\[dicom\]'"):
        decode_dicom(file, "film.dcm")


def test_files_are_known_by_their_content(tmp_path):
    (tmp_path / "dicom.png").write_bytes(content(FILM))
    assert is_dicom((tmp_path / "dicom.png").read_bytes())
    assert np.array_equal(read_radiograph(tmp_path / "dicom.png"), shown(FILM))
    cv2.imwrite(str(tmp_path / "film.png"), FILM.astype(np.uint8))
    assert np.array_equal(read_radiograph(tmp_path / "film.png"), read_image(tmp_path / "film.png"))
    (tmp_path / "film.txt").write_text("a film")
    with pytest.raises(DataError, match=r"film\.txt is neither PNG, JPEG nor DICOM"):
        read_radiograph(tmp_path / "film.txt")
    with pytest.raises(DataError, match=r"is a folder: name the files in it"):
        read_radiograph(tmp_path)
    with pytest.raises(DataError, match=r"there is no file .*none\.png"):
        read_radiograph(tmp_path / "none.png")
