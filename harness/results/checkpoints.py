"""What a checkpoint's file says without being opened by pickle: size, hash, safetensors' notes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import RecordError


def described(path: Path) -> dict[str, str | int]:
    """Return the name, size in bytes and sha256 of a file, and the metadata of a .safetensors.

    Nothing in it is run: a pickle is bytes here.

    Raises:
        RecordError: it cannot be read, or ends in .safetensors and is none.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    about: dict[str, str | int] = {"file": path.name, "bytes": size, "sha256": digest}
    notes = _notes(path) if path.suffix == ".safetensors" else {}
    return about | {f"metadata {key}": value for key, value in notes.items()}


def _notes(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise RecordError(f"{path} is no whole safetensors file: {error}") from error
