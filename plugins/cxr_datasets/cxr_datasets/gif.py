"""Just enough of GIF for organ masks, which no dependency reads and writes exactly.

One picture, one palette, LZW codes of at most 12 bits, interlaced or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LONGEST = 12  # bits of a code


def read_gif(content: bytes) -> Array:
    """Return the first picture (H, W) uint8 as luma of its palette.

    Raises:
        ValueError: it is no GIF, cut short, corrupt, or its picture does not fill its screen.
    """
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("no GIF file")
    try:
        return _picture(content)
    except IndexError:
        raise ValueError("a GIF that is cut short or corrupt") from None


def _picture(content: bytes) -> Array:
    width, height = (int.from_bytes(content[at : at + 2], "little") for at in (6, 8))
    palette, at = _palette(content, content[10], 13)
    while content[at] == 0x21:  # extensions: transparency, comments
        at = _skip(content, at + 2)
    if content[at] != 0x2C:
        raise ValueError("a GIF without a picture")
    frame = [int.from_bytes(content[k : k + 2], "little") for k in range(at + 1, at + 9, 2)]
    if frame != [0, 0, width, height]:
        raise ValueError("a GIF whose picture does not fill it")
    flags = content[at + 9]
    if flags & 0x80:
        palette, at = _palette(content, flags, at + 10)
    else:
        at += 10
    codes = _blocks(content, at + 1)
    indices = np.frombuffer(_inflate(codes, content[at], width * height), dtype=np.uint8)
    if int(indices.max(initial=0)) >= len(palette):
        raise ValueError("a GIF with colours outside its palette")
    rows = indices.reshape(height, width)
    if flags & 0x40:
        order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4)]
        rows = rows[np.argsort([*order, *range(1, height, 2)])]
    return np.asarray(palette[rows])


def _palette(content: bytes, flags: int, at: int) -> tuple[Array, int]:
    """Return the luma of each colour, and where the palette ends."""
    if not flags & 0x80:
        return np.arange(256, dtype=np.uint8), at
    count = 2 << (flags & 7)
    colours = np.frombuffer(content[at : at + 3 * count], dtype=np.uint8)
    if len(colours) < 3 * count:
        raise IndexError
    luma = colours.reshape(-1, 3).astype(float) @ (0.299, 0.587, 0.114)
    return np.rint(luma).astype(np.uint8), at + 3 * count


def _skip(content: bytes, at: int) -> int:
    while content[at]:
        at += 1 + content[at]
    return at + 1


def _blocks(content: bytes, at: int) -> bytes:
    parts = []
    while content[at]:
        parts.append(content[at + 1 : at + 1 + content[at]])
        at += 1 + content[at]
    return b"".join(parts)


def _inflate(content: bytes, bits: int, pixels: int) -> bytes:
    """Return the colour indices behind LZW codes."""
    if not 1 < bits < 9:
        raise ValueError("a GIF with an unknown code size")
    clear, end = 1 << bits, (1 << bits) + 1
    known: list[bytes] = []
    output: list[bytes] = []
    length, last, width = 0, b"", bits + 1
    value = available = place = 0
    while length < pixels:
        while available < width:
            value |= content[place] << available
            available, place = available + 8, place + 1
        code = value & ((1 << width) - 1)
        value, available = value >> width, available - width
        if code == clear:
            known = [bytes([colour]) for colour in range(clear)] + [b"", b""]
            last, width = b"", bits + 1
            continue
        if code == end or not known or code > len(known):
            raise IndexError
        text = known[code] if code < len(known) else last + last[:1]
        if last and len(known) < 1 << LONGEST:
            known.append(last + text[:1])
        if len(known) == 1 << width and width < LONGEST:
            width += 1
        output.append(text)
        length, last = length + len(text), text
    return b"".join(output)[:pixels]


def write_gif(mask: Array) -> bytes:
    """Return a mask (H, W), which is 0 or not, as a GIF of black and white."""
    height, width = mask.shape
    screen = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    packed = _packed(_codes((mask > 0).astype(np.uint8).tobytes()))
    blocks = (packed[start : start + 255] for start in range(0, len(packed), 255))
    return b"".join(
        [
            *(b"GIF87a", screen, bytes([0x80, 0, 0]), bytes(3), b"\xff" * 3),
            *(b"\x2c", bytes(4), screen, b"\0", b"\2"),
            *(bytes([len(block)]) + block for block in blocks),
            b"\0\x3b",
        ]
    )


def _codes(pixels: bytes) -> Iterator[tuple[int, int]]:
    """Yield LZW codes of black and white pixels, each with its number of bits."""
    clear, end = 4, 5
    known: dict[tuple[int, int], int] = {}
    width = 3
    yield clear, width
    current = pixels[0]
    for pixel in pixels[1:]:
        following = known.get((current, pixel))
        if following is not None:
            current = following
            continue
        yield current, width
        free = end + 1 + len(known)
        if free == 1 << LONGEST:
            yield clear, width
            known, width = {}, 3
        else:
            known[current, pixel] = free
            width += free == 1 << width
        current = pixel
    yield current, width
    yield end, width


def _packed(codes: Iterator[tuple[int, int]]) -> bytes:
    output = bytearray()
    value = available = 0
    for code, width in codes:
        value |= code << available
        available += width
        while available >= 8:
            output.append(value & 255)
            value, available = value >> 8, available - 8
    if available:
        output.append(value & 255)
    return bytes(output)
