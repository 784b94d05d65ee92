"""Files that are either whole or not there, and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary sibling, then put it in place of ``path`` at once.

    Raises:
        HarnessError: the disk is full or the folder cannot be written; nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_json(path: Path, value: object) -> None:
    """Write strict JSON (no NaN) atomically, indented, with sorted keys as given."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays, compressed, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(arrays))

    write_atomically(path, write)


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Read a JSON file.

    Raises:
        HarnessError: it is not there or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HarnessError(f"there is no {path}") from error
    except (ValueError, OSError) as error:
        raise HarnessError(f"{path} cannot be read: {error}; delete it to start over") from error


def cannot_write(path: Path, error: OSError) -> HarnessError:
    """Return the message for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HarnessError(
            f"the disk is full: {path} could not be written; free some space or set HARNESS_HOME"
        )
    return HarnessError(f"{path} could not be written: {error.strerror or error}")


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold a lock between processes while the block runs.

    ``waiting`` is called if another holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise cannot_write(path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
