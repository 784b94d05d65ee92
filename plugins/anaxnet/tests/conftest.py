import importlib.util

import anaxnet.network  # noqa: F401  its way to import PyG raises no warning
import pytest
import torch

WITHOUT = "detectron2 is not installed (it is on no package index; see the plugin's README)"


@pytest.fixture
def detectron2():
    if importlib.util.find_spec("detectron2") is None:
        pytest.skip(WITHOUT)


@pytest.fixture(params=["torchvision", "detectron2"])
def backend(request):
    if request.param == "detectron2":
        request.getfixturevalue("detectron2")
    return request.param


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)
