"""The public names that a plugin imports.

Each is loaded when it is used, so importing this loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.hookspecs import hookimpl

if TYPE_CHECKING:
    from harness.data.batch import Batch, compose, invert
    from harness.data.dataset import Dataset
    from harness.data.draws import Draws
    from harness.data.geometry import (
        affine,
        center_crop,
        crop,
        flip,
        random_affine,
        random_crop,
        random_flip,
        ten_crop,
    )
    from harness.data.phantom import Description, Drawing, PhantomSettings, draw
    from harness.data.samples import LabelSpace, Samples
    from harness.data.splits import by_patient, check_disjoint, fingerprint, known_list, protocol_of
    from harness.data.view import View
    from harness.errors import DataError, HarnessError, SettingError
    from harness.model.losses import batch_weighted_bce, masked_bce, soft_dice_loss
    from harness.model.model import Model
    from harness.model.prediction import Prediction
    from harness.model.stage import Stage
    from harness.model.task import Task

__version__ = "0.1.0"

_HOMES = {
    "Batch": "data.batch",
    "DataError": "errors",
    "Dataset": "data.dataset",
    "Description": "data.phantom",
    "Drawing": "data.phantom",
    "Draws": "data.draws",
    "HarnessError": "errors",
    "LabelSpace": "data.samples",
    "Model": "model.model",
    "PhantomSettings": "data.phantom",
    "Prediction": "model.prediction",
    "Samples": "data.samples",
    "SettingError": "errors",
    "Stage": "model.stage",
    "Task": "model.task",
    "View": "data.view",
    "affine": "data.geometry",
    "batch_weighted_bce": "model.losses",
    "by_patient": "data.splits",
    "center_crop": "data.geometry",
    "check_disjoint": "data.splits",
    "compose": "data.batch",
    "crop": "data.geometry",
    "draw": "data.phantom",
    "fingerprint": "data.splits",
    "flip": "data.geometry",
    "invert": "data.batch",
    "known_list": "data.splits",
    "masked_bce": "model.losses",
    "protocol_of": "data.splits",
    "random_affine": "data.geometry",
    "random_crop": "data.geometry",
    "random_flip": "data.geometry",
    "soft_dice_loss": "model.losses",
    "ten_crop": "data.geometry",
}

__all__ = [
    "Batch",
    "DataError",
    "Dataset",
    "Description",
    "Drawing",
    "Draws",
    "HarnessError",
    "LabelSpace",
    "Model",
    "PhantomSettings",
    "Prediction",
    "Samples",
    "SettingError",
    "Stage",
    "Task",
    "View",
    "affine",
    "batch_weighted_bce",
    "by_patient",
    "center_crop",
    "check_disjoint",
    "compose",
    "crop",
    "draw",
    "fingerprint",
    "flip",
    "hookimpl",
    "invert",
    "known_list",
    "masked_bce",
    "protocol_of",
    "random_affine",
    "random_crop",
    "random_flip",
    "soft_dice_loss",
    "ten_crop",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(f"harness.{_HOMES[name]}"), name)
