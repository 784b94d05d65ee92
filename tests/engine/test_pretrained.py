"""Pretrained weights: whole, under today's names, or a clear error; never random ones instead."""

import re

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet, ResNet34_Weights, get_weight, resnet18

from harness.errors import DataError, SettingError
from harness.model import pretrained


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))


def small_densenet() -> DenseNet:
    return DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=3)


def offer(monkeypatch, name: str, state: dict[str, torch.Tensor]) -> None:
    """Let torchvision's loader return a state dict instead of downloading one."""
    kind = type(get_weight(name))
    monkeypatch.setattr(kind, "get_state_dict", lambda self, *args, **kwargs: state)


def test_nothing_that_torch_prints_reaches_the_terminal(monkeypatch, capsys):
    def loud(self, *arguments, **options):
        print('Downloading: "https://weights.example" to /folder/of/torch')
        return {"weight": torch.zeros(1)}

    name = "ResNet34_Weights.IMAGENET1K_V1"
    monkeypatch.setattr(type(get_weight(name)), "get_state_dict", loud)
    pretrained.fetch(name)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"fetching the weights {name}\n")


def test_old_densenet_names_are_brought_up_to_date(monkeypatch):
    torch.manual_seed(0)
    there = small_densenet()
    old = {
        re.sub(r"(norm|conv)([12])\.", r"\1.\2.", key) if "denselayer" in key else key: tensor
        for key, tensor in there.state_dict().items()
    }
    assert any(".norm.1." in key for key in old)
    name = "DenseNet121_Weights.IMAGENET1K_V1"
    offer(monkeypatch, name, old)
    state, digest = pretrained.read(name)
    here = small_densenet()
    pretrained.load_exactly(here, state, name, without=("classifier.",))
    assert torch.equal(here.features.conv0.weight, there.features.conv0.weight)
    assert len(digest) == 16


def test_weights_behind_a_prefix_come_with_advice():
    state = {f"backbone.{key}": tensor for key, tensor in resnet18().state_dict().items()}
    with pytest.raises(DataError, match=r"; take them from their run with --under backbone\.$"):
        pretrained.load_exactly(resnet18(), state, "w", without=("fc.",))
    with pytest.raises(DataError, match=r"left over \[\]$"):
        pretrained.load_exactly(nn.Linear(2, 2), {}, "w")


def test_the_classifier_may_stay_new_but_nothing_else(monkeypatch):
    torch.manual_seed(0)
    state = resnet18().state_dict()
    here = resnet18(num_classes=14)
    pretrained.load_exactly(here, state, "w", without=("fc.",))
    assert torch.equal(here.conv1.weight, state["conv1.weight"])
    short = {key: tensor for key, tensor in state.items() if key != "conv1.weight"}
    with pytest.raises(DataError, match=r"missing.*conv1\.weight"):
        pretrained.load_exactly(here, short, "w", without=("fc.",))
    with pytest.raises(DataError, match="left over"):
        pretrained.load_exactly(nn.Linear(2, 2), state, "w")


def test_what_cannot_be_downloaded_says_what_to_do(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(ResNet34_Weights, "get_state_dict", refuse)
    with pytest.raises(DataError, match="weights=none"):
        pretrained.fetch("ResNet34_Weights.IMAGENET1K_V1")
    assert not pretrained.path_of("ResNet34_Weights.IMAGENET1K_V1").exists()


@pytest.mark.parametrize("name", ["ResNet34_Weights.DEFAULT", "ResNet35_Weights.V1", "nonsense"])
def test_names_that_are_none(name):
    with pytest.raises(SettingError):
        pretrained.fetch(name)
