"""Csv files as they come: plain or gzipped, cut short or whole, every error with file and row."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness import DataError

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """Some columns of a csv file, as text; ``digest`` is the sha256 of the unpacked file."""

    path: Path
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    digest: str

    def __len__(self) -> int:
        return len(self.columns[0])

    def error(self, row: int, message: str) -> DataError:
        """Return an error about one row, naming file, line and the row's first column."""
        return DataError(f"{self.path}, line {row + 2} ({self.columns[0][row]}): {message}")

    def values(self, column: int, convert: Callable[[str], T]) -> list[T]:
        """Return a column converted; each distinct text is converted once.

        Raises:
            DataError: ``convert`` raised ValueError for a text; its first row and the column are
                named.
        """
        texts = self.columns[column]
        meaning: dict[str, T] = {}
        for text in dict.fromkeys(texts):
            try:
                meaning[text] = convert(text)
            except ValueError as error:
                where = f"column {self.names[column]}: {error}"
                raise self.error(texts.index(text), where) from None
        return [meaning[text] for text in texts]


def find_file(root: Path, *names: str) -> Path | None:
    """Return the first of these files that lies in ``root``, plain or with ``.gz``."""
    for name in names:
        for path in (root / name, root / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def read_content(path: Path) -> bytes:
    """Return a file, unpacked when its name ends in ``.gz``.

    Raises:
        DataError: it is missing, unreadable or cut short.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or corrupt ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list, stripped; a missing newline at the end is fine."""
    text = _text(path, read_content(path))
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_header(path: Path) -> list[str]:
    """Return the names of a csv file's columns.

    Raises:
        DataError: it has none.
    """
    lines = _text(path, read_content(path)).splitlines()
    try:
        header = next(csv.reader(lines[:1]), [])
    except csv.Error as error:
        raise DataError(f"{path}, line 1: no valid csv ({error})") from None
    while header and not header[-1].strip():
        header.pop()
    if not header:
        raise DataError(f"{path} is empty: its first line has to name the columns")
    return header


def read_table(path: Path, wanted: Sequence[str | int], delimiter: str = ",") -> Table:
    """Return the wanted columns, by header name or by position, of a csv file with a header.

    Empty fields at the end of the header or of a row do not count; blank lines hold no row.

    Raises:
        DataError: the file is empty or no csv, a wanted column is missing, or a row has another
            number of fields than the header, as in a file that is cut short.
    """
    content = read_content(path)
    reader = csv.reader(io.StringIO(_text(path, content), newline=""), delimiter=delimiter)
    try:
        header = next(reader, [])
        while header and not header[-1].strip():
            header.pop()
        positions = [_position(path, header, name) for name in wanted]
        rows = []
        for row in reader:
            if len(row) != len(header) and (len(row) < len(header) or any(row[len(header) :])):
                if not row:
                    continue
                raise DataError(
                    f"{path}, line {reader.line_num} ({row[0]}): {len(row)} fields where the "
                    f"header has {len(header)}; the file is cut short or was changed"
                )
            rows.append([row[position] for position in positions])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: no valid csv ({error})") from None
    columns = tuple(zip(*rows, strict=True)) if rows else ((),) * len(positions)
    names = tuple(header[position] for position in positions)
    return Table(path, names, columns, hashlib.sha256(content).hexdigest())


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {error.reason} at byte {error.start}") from None


def _position(path: Path, header: list[str], name: str | int) -> int:
    if isinstance(name, int):
        if name < len(header):
            return name
        raise DataError(f"{path}: {len(header)} columns, at least {name + 1} expected")
    if name not in header:
        found = ", ".join(header[:12]) or "nothing"
        raise DataError(f"{path} has no column {name!r}; its header has {found}")
    return header.index(name)
