"""What a number was made with: versions, commit, command."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ELSEWHERE = "/path/to/"
"""Stands in records for folders of the machine that a run was made on."""

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
    """Return the command that the user typed, folders of this machine behind ELSEWHERE.

    Records are passed on: what stands before a file's or a folder's own name is nobody's business.
    """
    return ["harness", *[without_folders(word) for word in sys.argv[1:]]]


def without_folders(word: str) -> str:
    """Return a word whose absolute paths, also behind = : and commas, begin with ELSEWHERE."""
    return re.sub(r"(?<![^=:,])/(?:[^=:,]*/)?([^/=:,]+)/?(?![^,])", rf"{ELSEWHERE}\1", word)


def spelled(words: list[str]) -> str:
    """Return a command as a person would type it."""
    return shlex.join(words)
