import pytest
from dm_attention import network
from torch import nn


class Slim(nn.Module):
    """The parts of a ResNet by its names, one convolution each."""

    def __init__(self, weights):
        super().__init__()
        assert weights is None
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        for number, (width, stride) in enumerate([(8, 1), (8, 2), (16, 2), (16, 2)], 1):
            before = 8 if number < 4 else 16
            layer = nn.Conv2d(before, width, 3, stride=stride, padding=1)
            setattr(self, f"layer{number}", nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU()))
        self.fc = nn.Linear(16, 1000)


@pytest.fixture
def slim_networks(monkeypatch):
    """What is checked is how stages and networks are joined, not the networks."""
    for name in ("resnet18", "resnet50"):
        monkeypatch.setattr(network, name, Slim)
