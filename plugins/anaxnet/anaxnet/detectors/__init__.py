"""Region detectors: one small interface, built on detectron2 or on torchvision."""

from importlib.util import find_spec
from typing import Literal

from anaxnet.detectors.interface import Architecture, Detections, RegionDetector
from harness.errors import PluginError, SettingError

__all__ = ["Architecture", "Detections", "RegionDetector", "build", "resolve"]


def resolve(backend: str) -> Literal["detectron2", "torchvision"]:
    """Name the backend that "auto" stands for here: detectron2 where it can be imported.

    Raises:
        SettingError: there is no such backend.
        PluginError: it is not installed here.
    """
    here = find_spec("detectron2") is not None
    if backend == "torchvision" or (backend == "auto" and not here):
        return "torchvision"
    if backend not in ("auto", "detectron2"):
        raise SettingError(f"no detector {backend!r}: choose detectron2, torchvision or auto")
    if not here:
        raise PluginError(
            "detector=detectron2 was asked for, but detectron2 is not installed: see the plugin's "
            "README, or take detector=torchvision"
        )
    return "detectron2"


def build(backend: str, architecture: Architecture) -> RegionDetector:
    """Build an untrained detector on the backend that `resolve` names."""
    if resolve(backend) == "detectron2":
        from anaxnet.detectors.with_detectron2 import Detectron2Detector

        return Detectron2Detector(architecture)
    from anaxnet.detectors.with_torchvision import TorchvisionDetector

    return TorchvisionDetector(architecture)
