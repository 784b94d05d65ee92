"""Operations are counted whatever a model's parameters are used for."""

import torch
from torch import nn

from harness.engine.evaluate import evaluating
from harness.engine.flops import counting


class Vectors(nn.Module):
    """Sends a parameter through a layer, as label vectors pass a graph."""

    def __init__(self):
        super().__init__()
        self.vectors = nn.Parameter(torch.ones(3, 4))
        self.layer = nn.Linear(4, 5, bias=False)

    def forward(self, images):
        return images @ self.layer(self.vectors[None])[0].mT


def test_a_parameter_may_pass_through_a_layer():
    model = nn.Sequential(Vectors())
    model[0].layer.weight.requires_grad_(False)
    with evaluating(model), counting(model) as counter:
        model(torch.ones(2, 5))
    assert counter.get_total_flops() == 2 * 3 * 4 * 5 + 2 * 2 * 5 * 3
    assert model[0].vectors.requires_grad
    assert not model[0].layer.weight.requires_grad
