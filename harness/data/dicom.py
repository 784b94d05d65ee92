"""Image files of one's own; a DICOM file as a person sees it: one channel of eight bits.

The chain of PS3.3: stored values, modality (rescale), values of interest (window or table), and the
photometric interpretation last. pydicom, an extra, reads the file; it is loaded when a file is.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.images import JPEG, PNG, decode, read_file
from harness.errors import DataError

Array = npt.NDArray[Any]
_GREY = {"MONOCHROME1": -1.0, "MONOCHROME2": 1.0}  # which sign makes high values bright


def is_dicom(content: bytes) -> bool:
    """Tell whether a file's bytes are DICOM: 128 of any kind, then the letters DICM."""
    return content[128:132] == b"DICM"


def read_radiograph(path: Path) -> Array:
    """Return the pixels (H, W) uint8 of a PNG, JPEG or DICOM file; the first two as datasets do.

    Raises:
        DataError: there is no such file, or it cannot be decoded.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the files in it, e.g. {path}/*.png")
    if not path.exists():
        raise DataError(f"there is no file {path}")
    content = read_file(path)
    if is_dicom(content):
        return decode_dicom(content, str(path))
    if not content.startswith((PNG, JPEG)):
        raise DataError(f"{path} is neither PNG, JPEG nor DICOM ({len(content):,} bytes)")
    return decode(content, str(path))


def decode_dicom(content: bytes, name: str) -> Array:
    """Return the pixels (H, W) uint8 of a DICOM file's only frame.

    The table of values of interest, else the first window, decides what is black and what white;
    without either the lowest and the highest value of the image do, no percentile. MONOCHROME1 is
    inverted.

    Raises:
        DataError: pydicom is not installed, or the file is colour, of several frames, without
            pixels, compressed in a way that nothing here decodes, or blank.
    """
    data = _read(content, name)
    try:
        return _shown(data, name)
    except DataError:
        raise
    except Exception as error:  # values are parsed when they are asked for
        raise DataError(f"{name} cannot be read as DICOM: {_first_line(error)}") from error


def _shown(data: Any, name: str) -> Array:  # noqa: ANN401
    """Return the pixels (H, W) uint8 of a parsed file."""
    frames, kind = data.get("NumberOfFrames", 1) or 1, data.get("PhotometricInterpretation", "")
    if int(frames) > 1:
        raise DataError(f"{name} has {frames} frames: only single radiographs are read")
    if kind not in _GREY or data.get("SamplesPerPixel", 1) != 1:
        raise DataError(
            f"{name} is {kind or 'of no known colour'}: only MONOCHROME1 and 2 are read"
        )
    level = _levels(data, _stored(data, name), _GREY[kind], name)
    pixels = np.asarray(np.rint(255 * np.clip(level, 0, 1)), dtype=np.uint8)
    if pixels.min() == pixels.max():
        raise DataError(f"{name} is blank: every pixel is {pixels.flat[0]} as it would be shown")
    return pixels


def _read(content: bytes, name: str) -> Any:  # noqa: ANN401
    try:
        from pydicom import dcmread
    except ImportError:
        raise DataError(
            f"{name} is a DICOM file, which needs pydicom: pip install 'cxr-harness[dicom]'"
        ) from None
    try:
        data = dcmread(BytesIO(content))
    except Exception as error:  # a damaged file can fail anywhere in the parser
        raise DataError(f"{name} cannot be read as DICOM: {error}") from error
    if "PixelData" not in data:
        raise DataError(f"{name} is a DICOM file without pixels")
    return data


def _stored(data: Any, name: str) -> Array:  # noqa: ANN401
    """Return the stored values (H, W), decompressed."""
    syntax = data.file_meta.get("TransferSyntaxUID")
    try:
        return np.asarray(data.pixel_array)
    except Exception as error:
        if syntax is not None and syntax.is_compressed:
            raise DataError(
                f"{name} is compressed ({syntax.name}) and nothing here decodes it: "
                "pip install pylibjpeg[all], or decompress it first, e.g. with "
                f"`gdcmconv --raw` or `dcmdjpeg` ({_first_line(error)})"
            ) from error
        raise DataError(f"{name}: its pixels cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _levels(data: Any, stored: Array, sign: float, name: str) -> Array:  # noqa: ANN401
    """Return levels (H, W), 0 black and 1 white; beyond them where a window cuts off."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(stored, data), dtype=np.float64)
    if data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        level = apply_voi(np.rint(values).astype(np.int64), data) / (2.0**bits - 1)
        return np.asarray(level if sign > 0 else 1 - level)
    values = sign * values
    centre, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    if centre is not None and width is not None:
        return _windowed(values, sign * centre, width, sign, data.get("VOILUTFunction"), name)
    low, high = values.min(), values.max()
    return np.asarray((values - low) / ((high - low) or 1.0))


def _windowed(
    values: Array, centre: float, width: float, sign: float, function: str | None, name: str
) -> Array:
    """Return levels under a window, as PS3.3 C.11.2.1.2 and C.11.2.1.3 define its functions."""
    if width <= 0 or (width <= 1 and function in (None, "", "LINEAR")):
        raise DataError(f"{name} has a window of width {width:g}, which shows nothing")
    if function == "SIGMOID":
        return np.asarray(0.5 + 0.5 * np.tanh(2 * (values - centre) / width))  # never overflows
    if function == "LINEAR_EXACT":
        return np.asarray((values - centre) / width + 0.5)
    return np.asarray((values - (centre - sign * 0.5)) / (width - 1) + 0.5)


def _first(value: Any) -> float | None:  # noqa: ANN401
    """Return the first of several alternatives, None where there is none."""
    several = hasattr(value, "__len__") and not isinstance(value, str)
    first = (value[0] if len(value) else None) if several else value
    return None if first in (None, "") else float(first)
