"""Where the harness keeps what it makes: stores, stages, maps, weights and trained models."""

import os
from pathlib import Path


def home() -> Path:
    """Return HARNESS_HOME, by default ``~/.cache/cxr-harness``; it need not exist."""
    return Path(os.environ.get("HARNESS_HOME") or Path.home() / ".cache" / "cxr-harness")


def results() -> Path:
    """Return the folder of records.

    HARNESS_RESULTS, by default ``results`` in the current folder.
    """
    return Path(os.environ.get("HARNESS_RESULTS") or "results")
