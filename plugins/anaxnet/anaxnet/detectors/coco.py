"""Detector weights trained on COCO: detectron2's pickle read without running it, once.

    python -m anaxnet.detectors.coco [model_final_280758.pkl]

puts the weights of faster_rcnn_R_50_FPN_3x where the harness looks for weights: those of the file,
a copy from detectron2's model zoo, or else downloaded from there.
"""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from anaxnet.detectors.interface import RegionDetector
from harness import Task
from harness.errors import DataError, HarnessError, SettingError
from harness.files import write_atomically
from harness.home import home

NAMES = {
    "torchvision": "FasterRCNN_ResNet50_FPN_Weights.COCO_V1",
    "detectron2": "detectron2-faster-rcnn-R50-FPN-3x-COCO",
}
PREDICTOR = "roi_heads.box_predictor"  # its shape depends on the number of classes

# The file also holds anchors and pixel means, which the configuration gives anew.
_PARTS = ("backbone.", "proposal_generator.rpn_head.", "roi_heads.")

# What a pickle of numpy arrays names; anything else could run code. Under numpy 1 `numpy._core` was
# `numpy.core`.
_HARMLESS = {
    "collections.OrderedDict": OrderedDict,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "numpy._core.multiarray._reconstruct": np.empty(0).__reduce__()[0],
    "numpy._core.multiarray.scalar": np.float32(0).__reduce__()[0],
    "numpy._core.numeric._frombuffer": np.empty(1).__reduce_ex__(5)[0],
    "_codecs.encode": lambda text, encoding: text.encode(encoding),
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler that builds numpy arrays and plain containers and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Look a global up in the list of harmless ones."""
        asked = f"{module.replace('numpy.core', 'numpy._core')}.{name}"
        if asked not in _HARMLESS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return _HARMLESS[asked]


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the weights of a model zoo file, a pickled {"model": {name: array}}.

    Raises:
        DataError: the file is missing or holds anything but arrays in plain containers.
    """
    try:
        with path.open("rb") as file:
            arrays = ArrayUnpickler(file, encoding="latin1").load()["model"]
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} holds no detector weights ({error}); take the .pkl of faster_rcnn_R_50_FPN_3x "
            "from detectron2's model zoo"
        ) from error
    return {name: tensor for name, tensor in tensors.items() if name.startswith(_PARTS)}


def convert(path: Path) -> Path:
    """Write the weights of a model zoo file under their name among the harness's weights."""
    target = home() / "weights" / f"{NAMES['detectron2']}.safetensors"
    tensors = read_pickle(path)
    write_atomically(target, lambda temporary: save_file(tensors, temporary))
    return target


def fetch() -> Path:
    """Download the weights from detectron2's model zoo and convert them.

    Raises:
        DataError: they cannot be downloaded.
    """
    from anaxnet.detectors.with_detectron2 import checkpoint_url

    path = home() / "weights" / f"{NAMES['detectron2']}.pkl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(checkpoint_url(), str(path))
        return convert(path)
    except OSError as error:
        raise DataError(
            f"the weights {NAMES['detectron2']} are not in {path.parent} and cannot be downloaded "
            f"({error}): get {checkpoint_url()} elsewhere and run `python -m "
            "anaxnet.detectors.coco FILE` here, or train from scratch with --set weights=none"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def load_coco(detector: RegionDetector, backend: str, task: Task) -> None:
    """Load COCO weights into a detector, but for the layers that name the classes.

    Raises:
        DataError: they cannot be had, or are not those of this detector.
    """
    try:
        task.load(detector.model, NAMES[backend], without=(PREDICTOR,))
    except SettingError:  # the harness knows torchvision's weights only
        if backend != "detectron2":
            raise
        fetch()
        task.load(detector.model, NAMES[backend], without=(PREDICTOR,))


def main() -> int:
    """Convert the file named on the command line, or fetch it; return the exit status."""
    try:
        print(convert(Path(sys.argv[1])) if sys.argv[1:] else fetch())
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
