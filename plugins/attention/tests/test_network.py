"""The networks of the attention plugin: hand-worked numbers, invariances, gradients."""

import math
import subprocess
import sys
from pathlib import Path

import attention
import pytest
import torch
from attention.network import (
    AttentionGate,
    AttentionGated,
    GrayToImageNet,
    ResNet34,
    SpaceAttention,
    class_maps,
    context,
    logit_of_mean,
    unit_range,
)
from torchvision.models import resnet34
from torchvision.transforms.functional import normalize

VARIANTS = {
    "resnet34": lambda: ResNet34(14),
    "space-global": lambda: SpaceAttention(14),
    "space-k7": lambda: SpaceAttention(14, pool="k7"),
    "gate-concat": lambda: AttentionGated(14),
    "gate-mean": lambda: AttentionGated(14, aggregation="mean"),
    "gate-ft": lambda: AttentionGated(14, aggregation="ft"),
    "gate-mean-flow": lambda: AttentionGated(14, normalise="mean_flow"),
}


@pytest.fixture(scope="module", params=VARIANTS)
def network(request):
    """A network in evaluation mode whose batch statistics are those of some images."""
    torch.manual_seed(1)
    network = VARIANTS[request.param]()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images(4, 64, seed=3))
    return network.eval()


def images(count, size, seed=2):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_gray_is_expanded_and_normalised_as_torchvision_does():
    gray = images(2, 5)
    expected = normalize(gray.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(GrayToImageNet()(gray), expected)


@pytest.mark.parametrize("size", [64, 100, 256])
def test_logits_and_maps_at_every_size(network, size):
    with torch.no_grad():
        logits, maps = network(images(2, size))
    grid = math.ceil(size / 8) if isinstance(network, AttentionGated) else math.ceil(size / 32)
    assert logits.shape == (2, 14)
    assert maps.shape == (2, 14, grid, grid)
    assert logits.isfinite().all()
    assert maps.isfinite().all()


def test_gradients_reach_every_parameter(network):
    # In evaluation mode: in training, batch normalisation takes away a bias that comes before it.
    network(images(3, 64)).logits.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def _close(values, expected):
    """Another batch size takes other convolution kernels: equal up to their rounding."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-3 * scale)


def test_scores_do_not_depend_on_the_other_images_of_a_batch(network):
    batch = images(3, 64)
    with torch.no_grad():
        together, alone = network(batch), network(batch[1:2])
    _close(together.logits[1:2], alone.logits)
    _close(together.maps[1:2], alone.maps)


def test_backbone_takes_a_torchvision_state_dict_without_the_classifier(network):
    state = resnet34(weights=None).state_dict()
    left_out = {"fc.weight", "fc.bias"}
    network.backbone.load_state_dict({k: v for k, v in state.items() if k not in left_out})


@pytest.mark.parametrize(
    ("build", "count"),
    [
        # ResNet-34 has 21,797,672 parameters with 1,000 outputs, 21,284,672 without classifier.
        (lambda: ResNet34(14), 21_284_672 + 512 * 513 + 14 * 513),
        (lambda: SpaceAttention(14), 21_284_672 + 14 * 1025),
        (
            lambda: AttentionGated(14),
            21_284_672
            + 512 * 513  # gating features
            + (64 * 128 + 64 * 513 + 65 + 128 * 129 + 2 * 128)  # gate on block 2
            + (128 * 256 + 128 * 513 + 129 + 256 * 257 + 2 * 256)  # gate on block 3
            + 14 * 897,
        ),
    ],
)
def test_parameter_counts(build, count):
    assert sum(p.numel() for p in build().parameters()) == count


def test_class_maps_weigh_channels():
    features = torch.tensor([[[[1.0, 2.0]], [[10.0, 20.0]]]])  # (1, 2, 1, 2)
    weight = torch.tensor([[3.0, 1.0], [0.0, -1.0]])
    expected = torch.tensor([[[[13.0, 26.0]], [[-10.0, -20.0]]]])
    torch.testing.assert_close(class_maps(features, weight), expected)


def test_resnet34_logit_of_one_position_is_its_map_plus_bias():
    torch.manual_seed(0)
    network = ResNet34(14).eval()
    with torch.no_grad():
        logits, maps = network(images(2, 32))
    assert maps.shape[2:] == (1, 1)
    expected = maps[:, :, 0, 0] + network.classifier.bias
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-4)


def test_resnet34_takes_the_maximum_of_the_transition_features():
    torch.manual_seed(0)
    network = ResNet34(2).eval()
    network.backbone = torch.nn.Identity()
    network.normalise = torch.nn.Identity()
    features = torch.zeros(1, 512, 2, 2)
    features[0, 0] = torch.tensor([[1.0, 5.0], [2.0, 3.0]])
    with torch.no_grad():
        network.transition.weight.copy_(torch.eye(512)[:, :, None, None])
        network.transition.bias.zero_()
        network.classifier.weight.zero_()[0, 0] = 2.0
        network.classifier.bias.copy_(torch.tensor([0.5, -1.0]))
        logits, maps = network(features)
    torch.testing.assert_close(logits, torch.tensor([[10.5, -1.0]]))
    torch.testing.assert_close(maps[0, 0], torch.tensor([[2.0, 10.0], [4.0, 6.0]]))


def test_global_context_is_the_mean_everywhere():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    torch.testing.assert_close(context(features, "global"), torch.full((1, 1, 2, 2), 3.0))


def test_k7_context_repeats_the_mean_of_each_window():
    rows = torch.arange(8.0)[None, None, :, None].expand(1, 1, 8, 8)
    # Rows 0..6 average to 3, rows 1..7 to 4; 2 x 2 windows are repeated over 4 x 4 positions each.
    expected = torch.tensor([3.0] * 4 + [4.0] * 4)[:, None].expand(8, 8)
    torch.testing.assert_close(context(rows, "k7")[0, 0], expected)


def test_k7_is_global_where_the_grid_fits_one_window():
    features = torch.rand(2, 3, 7, 7)
    torch.testing.assert_close(context(features, "k7"), context(features, "global"))


@pytest.mark.parametrize("pool", ["global", "k7"])
def test_space_attention_maps_average_to_the_logits(pool):
    torch.manual_seed(0)
    network = SpaceAttention(14, pool=pool).eval()
    with torch.no_grad():
        logits, maps = network(images(2, 256))
    torch.testing.assert_close(logits, maps.mean((2, 3)))


def test_space_attention_puts_context_first():
    network = SpaceAttention(1).eval()
    network.backbone = network.normalise = torch.nn.Identity()
    features = torch.zeros(1, 512, 1, 2)
    features[0, 0] = torch.tensor([[1.0, 3.0]])
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.weight[0, 0] = 10.0  # context, 2 everywhere
        network.classifier.weight[0, 512] = 1.0  # the feature itself
        network.classifier.bias.fill_(0.5)
        logits, maps = network(features)
    torch.testing.assert_close(maps, torch.tensor([[[[21.5, 23.5]]]]))
    torch.testing.assert_close(logits, torch.tensor([[22.5]]))


def tiny_gate(normalise):
    """Two channels, one intermediate: score = 2 relu(f1 - f2 + 0.5 g + 1) - 3, or without - 3."""
    gate = AttentionGate(2, 1, normalise)
    with torch.no_grad():
        gate.theta.weight.copy_(torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1))
        gate.phi.weight.fill_(0.5)
        gate.phi.bias.fill_(1.0)
        gate.psi.weight.fill_(2.0)
        if normalise == "sigmoid":
            gate.psi.bias.fill_(-3.0)
    return gate.eval()


FEATURES = torch.tensor([[[[1.0, 0.0, 4.0]], [[2.0, 9.0, 1.0]]]])  # (1, 2, 1, 3)
GATING = torch.tensor([[[[2.0]]]])  # f1 - f2 + 0.5 g + 1 = 1, -7, 5; scores -1, -3, 7


def test_equation_2_with_sigmoid():
    expected = 1 / (1 + torch.exp(-torch.tensor([-1.0, -3.0, 7.0])))
    torch.testing.assert_close(tiny_gate("sigmoid").attention(FEATURES, GATING)[0, 0, 0], expected)


def test_equation_2_with_mean_flow():
    attention = tiny_gate("mean_flow").attention(FEATURES, GATING)
    expected = torch.tensor([2.0, 0.0, 10.0]) / 12
    torch.testing.assert_close(attention[0, 0, 0], expected, atol=1e-6, rtol=0)
    vector, _ = tiny_gate("mean_flow")(FEATURES, GATING)
    torch.testing.assert_close(vector, torch.tensor([[42 / 12, 14 / 12]]), atol=1e-5, rtol=0)


def test_mean_flow_spreads_equal_scores_evenly():
    gate = tiny_gate("mean_flow")
    attention = gate.attention(torch.ones(1, 2, 2, 2), GATING)
    torch.testing.assert_close(attention, torch.full((1, 1, 2, 2), 0.25))


def test_sigmoid_gate_sums_transformed_features_over_positions():
    gate = tiny_gate("sigmoid")
    with torch.no_grad():
        gate.output[0].weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]])[:, :, None, None])
        gate.output[0].bias.copy_(torch.tensor([0.0, 1.0]))
        gate.output[1].weight.fill_(1.0)
    attention = torch.sigmoid(torch.tensor([-1.0, -3.0, 7.0]))
    expected = torch.stack(
        [2 * (attention * FEATURES[0, 0, 0]).sum(), (attention * FEATURES[0, 1, 0]).sum() + 3]
    )
    vector, _ = gate(FEATURES, GATING)
    torch.testing.assert_close(vector[0], expected, rtol=1e-4, atol=1e-4)


def test_gating_signal_is_interpolated_from_corner_to_corner():
    gate = tiny_gate("sigmoid")
    gating = torch.tensor([[[[0.0, 2.0]]]])
    # phi is 1 and 2 at the corners, so 1, 1.5 and 2 over three positions of empty features.
    expected = torch.sigmoid(2 * torch.tensor([1.0, 1.5, 2.0]) - 3)
    attention = gate.attention(torch.zeros(1, 2, 1, 3), gating)
    torch.testing.assert_close(attention[0, 0, 0], expected)


def test_logit_of_mean_probability():
    probabilities = torch.tensor([[0.2], [0.5], [0.8]])
    torch.testing.assert_close(
        logit_of_mean(torch.logit(probabilities)), torch.tensor([0.0]), atol=1e-6, rtol=0
    )
    far = logit_of_mean(torch.tensor([[-200.0], [-200.0]]))
    torch.testing.assert_close(far, torch.tensor([-200.0]))


def test_unit_range_scales_each_map_and_empties_constant_ones():
    maps = torch.tensor([[[[2.0, 4.0, 6.0]], [[7.0, 7.0, 7.0]]]])
    expected = torch.tensor([[[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]]])
    torch.testing.assert_close(unit_range(maps), expected)


def test_gated_maps_are_the_mean_of_three_unit_ranges():
    torch.manual_seed(0)
    network = AttentionGated(14).eval()
    with torch.no_grad():
        maps = network(images(2, 128)).maps
        parts = maps - maps.mean(1, keepdim=True)
        network.classifier.weight[:, -512:] = 0
        shared = network(images(2, 128)).maps
    assert 0 <= maps.min() <= maps.max() <= 1
    assert parts.abs().max() > 0.01  # the last 512 columns tell classes apart
    torch.testing.assert_close(shared, shared[:, :1].expand_as(shared))
    assert shared.max() <= 2 / 3 + 1e-6  # a class without evidence adds an empty third


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SpaceAttention(14, pool="max"), "pool is 'max'"),
        (lambda: AttentionGated(14, aggregation="sum"), "aggregation is 'sum'"),
        (lambda: AttentionGated(14, normalise="softmax"), "normalise is 'softmax'"),
    ],
)
def test_unknown_options_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_file_stands_alone():
    """Executed as a file of no package, it loads torch and nothing of the harness."""
    code = (
        "import runpy, sys; sys.modules['harness'] = None; "
        "runpy.run_path(sys.argv[1]); sys.exit('torch' not in sys.modules)"
    )
    path = Path(attention.__file__).with_name("network.py")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
