"""From a file's bytes to one channel of pixels; nothing cut short passes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from harness.errors import DataError

Array = npt.NDArray[Any]

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_HEADER = 1 << 18  # bytes in which a file tells its size


def read_image(path: Path) -> Array:
    """Return one image file (H, W) uint8."""
    return decode(read_file(path), str(path))


def read_file(path: Path, most: int = -1) -> bytes:
    """Return the bytes of a file, or its first ``most``.

    Raises:
        DataError: it is missing or unreadable.
    """
    with _told(path), path.open("rb") as file:
        return file.read(most)


def stamp_file(path: Path) -> str:
    """Return name, size and time of a file."""
    with _told(path):
        status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of a file why it cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} is listed but absent") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # no name that a file can have
        raise DataError(f"{path} cannot be read: {error}") from None


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width of a PNG or JPEG file from its header, without decoding it.

    Raises:
        DataError: the file is missing, or no PNG or JPEG.
    """
    content = read_file(path, _HEADER)
    if content.startswith(PNG) and len(content) >= 24:
        return int.from_bytes(content[20:24], "big"), int.from_bytes(content[16:20], "big")
    at = 2
    while content.startswith(JPEG) and at + 9 < len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = content[at + 5 : at + 7], content[at + 7 : at + 9]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise DataError(f"{path} is neither PNG nor JPEG, or cut short")


def decode(content: bytes, name: str) -> Array:
    """Return the pixels (H, W) uint8 of a PNG or JPEG file; cv2 lets other threads run meanwhile.

    Equal colour channels give exactly one of them, alpha is dropped (some files of NIH are RGBA
    with three equal channels and opaque), different ones their luma.

    Raises:
        DataError: the file is empty, cut short, corrupt, or has more than 8 bits a channel.
    """
    _check_whole(content, name)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"{name} cannot be decoded: {error.err}") from None
    if pixels is None:
        raise DataError(f"{name} cannot be decoded; it is corrupt")
    if pixels.dtype != np.uint8:
        raise DataError(f"{name} has {pixels.dtype} pixels; 8-bit images are expected")
    return _one_channel(pixels)


def _one_channel(pixels: Array) -> Array:
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    colours = pixels[..., : 1 if pixels.shape[2] == 2 else 3]
    if all(np.array_equal(first, colours[..., k]) for k in range(1, colours.shape[2])):
        return np.ascontiguousarray(first)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_BGR2GRAY))


def _check_whole(content: bytes, name: str) -> None:
    """Check the file's own marks of completeness: decoders fill what is lacking, or only print.

    All checksums of a PNG (1 % of the time of decoding it); start and end of a JPEG, which has no
    checksum: a changed byte in the middle of one cannot be told.
    """
    if content.startswith(PNG):
        _check_png(content, name)
    elif content.startswith(JPEG):
        if b"\xff\xd9" not in content[-64:]:
            raise DataError(f"{name} is cut short: a JPEG without its end")
    else:
        raise DataError(f"{name} is neither PNG nor JPEG ({len(content)} bytes)")


def _check_png(content: bytes, name: str) -> None:
    view, at = memoryview(content), len(PNG)
    while at + 12 <= len(content):
        length = int.from_bytes(view[at : at + 4], "big")
        kind, end = bytes(view[at + 4 : at + 8]), at + 12 + length
        if end > len(content):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"{name} is corrupt: wrong checksum at byte {at}")
        if kind == b"IEND":
            return
        at = end
    raise DataError(f"{name} is cut short: a PNG without its end")
