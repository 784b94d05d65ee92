"""Region detectors: one small interface, built on detectron2 or on torchvision."""

from importlib.util import find_spec

from anaxnet.detectors.interface import Architecture, Detections, RegionDetector
from harness.errors import PluginError

__all__ = ["BACKENDS", "Architecture", "Detections", "RegionDetector", "build", "resolve"]

BACKENDS = ("detectron2", "torchvision")


def resolve(backend: str) -> str:
    """Name the backend that "auto" stands for here: detectron2 where it can be imported.

    Raises PluginError for a backend that does not exist or is not installed.
    """
    if backend == "auto":
        return "detectron2" if find_spec("detectron2") else "torchvision"
    if backend not in BACKENDS:
        raise PluginError(f"no detector backend {backend!r}: choose {', '.join(BACKENDS)} or auto")
    if find_spec(backend) is None:
        raise PluginError(
            f"detector={backend} was asked for, but {backend} is not installed: see the plugin's "
            "README, or take detector=torchvision"
        )
    return backend


def build(backend: str, architecture: Architecture) -> RegionDetector:
    """Build an untrained detector on the backend that `resolve` names."""
    if resolve(backend) == "detectron2":
        from anaxnet.detectors.with_detectron2 import Detectron2Detector

        return Detectron2Detector(architecture)
    from anaxnet.detectors.with_torchvision import TorchvisionDetector

    return TorchvisionDetector(architecture)
