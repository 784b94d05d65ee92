"""What a number was made with: versions, commit, command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "cxr-harness",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "safetensors",
    "torch-geometric",
    "detectron2",
)


def versions(plugin: str) -> dict[str, str]:
    """Return the versions of Python, the packages that decide numbers, and a plugin."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, plugin):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit(where: Path) -> dict[str, Any]:
    """Return the git commit of the code in a folder and whether it was changed since.

    {} without.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(where), *arguments], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    sha = git("rev-parse", "HEAD")
    if sha is None:
        return {}
    return {"commit": sha, "changed": bool(git("status", "--porcelain", "--untracked-files=no"))}


def command() -> list[str]:
    """Return the command that the user typed, folders of this machine reduced to their names."""
    words = ["harness", *sys.argv[1:]]
    return [_short(word) for word in words]


def _short(word: str) -> str:
    head, sign, tail = word.rpartition("=")
    path = Path(tail)
    return f"{head}{sign}{path.name}" if path.is_absolute() else word


def spelled(words: list[str]) -> str:
    """Return a command as a person would type it."""
    return shlex.join(words)
