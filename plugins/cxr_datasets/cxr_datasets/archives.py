"""Image files by name, from folders or straight from zip, tar and gzipped tar files.

A gzipped tar has no index and can only be inflated from its start. So it is passed once to find
its members (kept under HARNESS_HOME), and reading inflates forwards: whoever reads in about the
order of the archive, as preparing a store does, inflates everything once. Copies of the inflater's
state, left behind every 32 MB, bound what a read in any other order costs.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from harness import DataError
from harness.data.images import read_file, stamp_file
from harness.home import home

BLOCK = 1 << 20  # bytes inflated at once
KEPT_BLOCKS = 32  # last blocks of an archive that stay in memory
STATE_EVERY = 32  # blocks between two kept states of about 45 kB


class Source(Protocol):
    """Some image files, by name."""

    path: Path

    def names(self) -> Iterator[str]:
        """Return the names of all of them."""

    def read(self, name: str) -> bytes:
        """Return one file; called from several threads."""

    def stamp(self, name: str) -> str:
        """Return what changes when the file changes."""

    def where(self, name: str) -> str:
        """Return where a file lies, for messages."""


class Folder:
    """Files of a folder."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        self._names = [entry.name for entry in os.scandir(path) if entry.name.endswith(suffix)]

    def names(self) -> Iterator[str]:
        """Return the names of all files."""
        return iter(self._names)

    def read(self, name: str) -> bytes:
        """Return one file."""
        return read_file(self.path / name)

    def stamp(self, name: str) -> str:
        """Return name, size and time."""
        return stamp_file(self.path / name)

    def where(self, name: str) -> str:
        """Return the path."""
        return str(self.path / name)


class Zip:
    """Files in a zip file, whose end is its index."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); download it again") from None
        self._members = {
            info.filename.rsplit("/", 1)[-1]: info
            for info in self._zip.infolist()
            if info.filename.endswith(suffix)
        }

    def names(self) -> Iterator[str]:
        """Return the names of all files, without their folders."""
        return iter(self._members)

    def read(self, name: str) -> bytes:
        """Return one file; zipfile checks its checksum and locks while it seeks."""
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise DataError(f"{self.where(name)} cannot be read: {error}") from None

    def stamp(self, name: str) -> str:
        """Return name, size and checksum."""
        member = self._members[name]
        return f"{name} {member.file_size} {member.CRC:08x}"

    def where(self, name: str) -> str:
        """Return the archive's path and the name."""
        return f"{self.path}:{name}"


class Tar:
    """Files in a tar file, gzipped or not, by an index of offsets that is made once and kept."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        self._stamp = stamp_file(path)
        self._members = _tar_index(path, suffix, self._stamp)
        packed = path.name.endswith("gz")
        self._bytes: SeekableGzip | Plain = SeekableGzip(path) if packed else Plain(path)

    def names(self) -> Iterator[str]:
        """Return the names of all files, without their folders."""
        return iter(self._members)

    def read(self, name: str) -> bytes:
        """Return one file."""
        offset, size = self._members[name]
        try:
            content = self._bytes.read(offset, size)
        except (zlib.error, OSError) as error:
            raise DataError(f"{self.where(name)} cannot be read: {error}") from None
        if len(content) != size:
            raise DataError(f"{self.path} is cut short within {name}; download it again")
        return content

    def stamp(self, name: str) -> str:
        """Return name, size and the archive's stamp."""
        return f"{name} {self._members[name][1]} {self._stamp}"

    def where(self, name: str) -> str:
        """Return the archive's path and the name."""
        return f"{self.path}:{name}"


class Plain:
    """Reads from any place of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end of the file."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


class SeekableGzip:
    """Reads from any place of what a gzip file unpacks to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._states: list[tuple[int, bytes, Any]] = []
        self._next = 0  # the block that the inflater is about to give
        self._position = 0  # in the file, behind what is pending
        self._pending = b""
        self._inflater = zlib.decompressobj(31)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        first = offset // BLOCK
        with self._lock, self.path.open("rb") as file:
            file.seek(self._position)
            last = (offset + size - 1) // BLOCK
            blocks = [self._block(file, index) for index in range(first, last + 1)]
            self._position = file.tell()
        return b"".join(blocks)[offset - first * BLOCK :][:size]

    def _block(self, file: BinaryIO, index: int) -> bytes:
        if index not in self._blocks:
            nearest = min(index // STATE_EVERY, len(self._states) - 1)
            if index < self._next or nearest * STATE_EVERY > self._next:
                self._rewind(file, nearest)
            while self._next <= index:
                self._keep_state(file)
                self._blocks[self._next] = self._inflate(file)
                self._next += 1
                if len(self._blocks) > KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
        return self._blocks[index]

    def _keep_state(self, file: BinaryIO) -> None:
        if self._next == len(self._states) * STATE_EVERY:
            self._states.append((file.tell(), self._pending, self._inflater.copy()))

    def _rewind(self, file: BinaryIO, state: int) -> None:
        position, self._pending, inflater = self._states[state]
        file.seek(position)
        self._inflater, self._next = inflater.copy(), state * STATE_EVERY

    def _inflate(self, file: BinaryIO) -> bytes:
        """Return the next block; a gzip file may have several members."""
        block = bytearray()
        while len(block) < BLOCK:
            if not self._pending:
                self._pending = file.read(BLOCK // 4)
                if not self._pending:
                    break
            block += self._inflater.decompress(self._pending, BLOCK - len(block))
            self._pending = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self._pending = self._inflater.unused_data.lstrip(b"\0")
                self._inflater = zlib.decompressobj(31)
        return bytes(block)


def _tar_index(path: Path, suffix: str, stamp: str) -> dict[str, tuple[int, int]]:
    """Return name to (offset, size) of an archive, from the kept index where there is one."""
    digest = hashlib.sha256(f"{path.resolve()} {stamp} {suffix}".encode()).hexdigest()[:16]
    kept = home() / "indices" / f"{digest}.json"
    if kept.is_file():
        return {name: (start, size) for name, start, size in json.loads(kept.read_text())}
    members = []
    try:
        with tarfile.open(path, "r|*", bufsize=BLOCK) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]
                if member.isreg() and member.name.endswith(suffix):
                    name = member.name.rsplit("/", 1)[-1]
                    members.append((name, member.offset_data, member.size))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} is cut short or corrupt ({error}); download it again") from None
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    unfinished.write_text(json.dumps(members))
    unfinished.replace(kept)
    return {name: (start, size) for name, start, size in members}


def open_archives(paths: Sequence[Path], suffix: str) -> list[Source]:
    """Return zip and tar files as sources; the indices that are lacking are made in parallel."""

    def opened(path: Path) -> Source:
        return Zip(path, suffix) if path.suffix == ".zip" else Tar(path, suffix)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(opened, paths))
