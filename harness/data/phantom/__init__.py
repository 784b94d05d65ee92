"""Procedurally drawn frontal chest radiographs of which every annotation is known exactly."""

from harness.data.phantom.drawing import Description, Drawing, describe, draw
from harness.data.phantom.names import FINDINGS, LABELS9, LANDMARKS, ORGANS, REGIONS
from harness.data.phantom.settings import PhantomSettings

__all__ = [
    "FINDINGS",
    "LABELS9",
    "LANDMARKS",
    "ORGANS",
    "REGIONS",
    "Description",
    "Drawing",
    "PhantomSettings",
    "describe",
    "draw",
]
