"""The networks of the baselines plugin: hand-worked numbers, limits, invariances, gradients."""

import math
import subprocess
import sys
from pathlib import Path

import baselines
import pytest
import torch
from baselines.network import (
    DCNN,
    CheXNet,
    GrayToImageNet,
    Metadata,
    MultiMapTransfer,
    SENet,
    SqueezeExcitation,
    class_maps,
    log_sum_exp_pool,
    max_min_pool,
)
from torchvision.models import densenet121, resnet50
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation
from torchvision.transforms.functional import normalize

VARIANTS = {
    "dcnn-lse": lambda: DCNN(14),
    "dcnn-max": lambda: DCNN(14, pool="max"),
    "dcnn-avg-plain": lambda: DCNN(14, pool="avg", transition=False),
    "chexnet": lambda: CheXNet(14),
    "senet": lambda: SENet(14),
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


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_gray_is_expanded_and_normalised_as_torchvision_does():
    gray = images(2, 5)
    expected = normalize(gray.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(GrayToImageNet()(gray), expected)


@pytest.mark.parametrize("size", [64, 96, 224])
def test_logits_and_maps_at_every_size(network, size):
    with torch.no_grad():
        logits, maps = network(images(2, size))
    assert logits.shape == (2, 14)
    assert maps.shape == (2, 14, size // 32, size // 32)
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


@pytest.mark.parametrize(
    ("build", "torchvision_network", "left_out"),
    [
        (lambda: DCNN(14), resnet50, "fc."),
        (lambda: CheXNet(14), densenet121, "classifier."),
        (lambda: SENet(14), densenet121, "classifier."),
    ],
)
def test_backbone_takes_a_torchvision_state_dict(build, torchvision_network, left_out):
    state = torchvision_network(weights=None).state_dict()
    build().backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith(left_out)})


def test_parameter_counts_of_the_literature():
    assert parameters(CheXNet(14)) == 6_968_206
    assert parameters(DCNN(14, pool="avg", transition=False)) == 23_536_718
    assert parameters(DCNN(14)) == 23_536_718 + 2048 * 2049


def test_parameter_count_of_senet():
    gates = sum(2 * d * (d // 16) + d + d // 16 for d in (128, 256, 512, 1024))
    assert parameters(SENet(14, maps=8)) == 6_953_856 + gates + 8 * 14 * 1025


@pytest.mark.parametrize(
    ("build", "reference", "classifier"),
    [
        (lambda: CheXNet(14), densenet121, "classifier"),
        (lambda: DCNN(14, pool="avg", transition=False), resnet50, "fc"),
    ],
)
def test_plain_networks_are_torchvisions(build, reference, classifier):
    torch.manual_seed(0)
    ours, theirs = build().eval(), reference(weights=None, num_classes=14).eval()
    state = {k.removeprefix("backbone."): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict({k.replace("classifier", classifier): v for k, v in state.items()})
    gray = images(2, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(gray).logits, theirs(GrayToImageNet()(gray)))


@pytest.mark.parametrize(
    "build", [lambda: CheXNet(14), lambda: DCNN(14, pool="avg", transition=True)]
)
def test_mean_of_a_map_is_its_logit_without_bias(build):
    torch.manual_seed(0)
    network = build().eval()
    with torch.no_grad():
        logits, maps = network(images(2, 96))
    torch.testing.assert_close(
        maps.mean((2, 3)) + network.classifier.bias, logits, rtol=1e-4, atol=1e-4
    )


def test_class_maps_weigh_channels():
    features = torch.tensor([[[[1.0, 2.0]], [[10.0, 20.0]]]])
    weight = torch.tensor([[3.0, 1.0], [0.0, -1.0]])
    expected = torch.tensor([[[[13.0, 26.0]], [[-10.0, -20.0]]]])
    torch.testing.assert_close(class_maps(features, weight), expected)


def test_log_sum_exp_pooling_by_hand():
    # (1/2) ln((e^0 + e^(2 ln 3)) / 2) = (1/2) ln 5
    features = torch.tensor([[[[0.0, math.log(3)]]]])
    torch.testing.assert_close(log_sum_exp_pool(features, 2.0), torch.tensor([[math.log(5) / 2]]))


def test_log_sum_exp_pooling_goes_from_mean_to_maximum():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 7, 7)
    mean, maximum = features.mean((2, 3)), features.amax((2, 3))
    torch.testing.assert_close(log_sum_exp_pool(features, 1e-3), mean, atol=2e-3, rtol=0)
    torch.testing.assert_close(log_sum_exp_pool(features, 1e4), maximum, atol=1e-3, rtol=0)
    middle = [log_sum_exp_pool(features, r) for r in (0.1, 1.0, 10.0, 100.0)]
    for lower, higher in zip([mean, *middle], [*middle, maximum], strict=True):
        assert (lower <= higher + 1e-5).all()


def test_log_sum_exp_pooling_stands_large_values_and_shifts():
    features = torch.tensor([[[[500.0, -500.0]]]])
    expected = torch.tensor([[500 - math.log(2) / 10]])
    torch.testing.assert_close(log_sum_exp_pool(features, 10.0), expected)
    torch.testing.assert_close(log_sum_exp_pool(-features, 10.0), expected)


def test_log_sum_exp_pooling_is_the_same_at_every_grid_size():
    small = torch.rand(1, 2, 4, 4)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(log_sum_exp_pool(small, 10.0), log_sum_exp_pool(large, 10.0))


def test_frozen_backbone_keeps_weights_and_batch_statistics():
    torch.manual_seed(0)
    network = DCNN(14, frozen=True).train()
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    network(images(3, 64)).logits.sum().backward()
    assert not any(p.requires_grad for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.transition.parameters())
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert DCNN(14).train().backbone.training


def test_squeeze_excitation_is_torchvisions():
    torch.manual_seed(0)
    ours, theirs = SqueezeExcitation(32), TorchvisionSqueezeExcitation(32, 2)
    theirs.scale_activation = torch.nn.Sigmoid()
    for name, layer in {"fc1": ours.gate[0], "fc2": ours.gate[2]}.items():
        getattr(theirs, name).weight.data = layer.weight.data[:, :, None, None]
        getattr(theirs, name).bias.data = layer.bias.data
    features = torch.randn(2, 32, 3, 3)
    torch.testing.assert_close(ours(features), theirs(features))


def test_squeeze_excitation_by_hand():
    block = SqueezeExcitation(2, reduction=2)
    with torch.no_grad():
        block.gate[0].weight.copy_(torch.tensor([[1.0, 1.0]]))
        block.gate[0].bias.fill_(-1.0)
        block.gate[2].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        block.gate[2].bias.zero_()
    features = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]]]])  # means 2 and 1, so 2 hidden
    gates = torch.sigmoid(torch.tensor([2.0, -2.0]))
    torch.testing.assert_close(block(features), features * gates[None, :, None, None])


def test_multi_map_transfer_averages_the_maps_of_a_class():
    layer = MultiMapTransfer(1, classes=2, maps=2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 3.0, -10.0, 20.0]).reshape(4, 1, 1, 1))
        layer.bias.copy_(torch.tensor([0.0, 2.0, 0.0, 0.0]))
    expected = torch.tensor([[[[3.0, 5.0]], [[5.0, 10.0]]]])
    torch.testing.assert_close(layer(torch.tensor([[[[1.0, 2.0]]]])), expected)


def test_max_min_pooling_by_hand():
    maps = torch.tensor([[[[1.0, 4.0], [-2.0, 0.0]], [[-3.0, -1.0], [-2.0, -5.0]]]])
    expected = torch.tensor([[4 + 0.7 * -2, -1 + 0.7 * -5]])
    torch.testing.assert_close(max_min_pool(maps, 0.7), expected)


def test_senet_logits_are_pooled_from_its_maps():
    torch.manual_seed(0)
    network = SENet(14, maps=3, alpha=0.5).eval()
    with torch.no_grad():
        logits, maps = network(images(2, 96))
    torch.testing.assert_close(logits, maps.amax((2, 3)) + 0.5 * maps.amin((2, 3)))


def test_metadata_by_hand():
    network = Metadata(1)
    with torch.no_grad():
        network.classifier.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 0.1, 0.2, 0.4]]))
        network.classifier.bias.zero_()
    nan = float("nan")
    rows = torch.tensor([[70.0, 1.0, 0.0], [nan, 0.0, 1.0], [50.0, nan, nan]])
    expected = torch.tensor([[2 + 10 + 0.7], [100 + 0.6], [0.1]])
    torch.testing.assert_close(network(rows), expected)


@pytest.mark.parametrize("hidden", [0, 16])
def test_metadata_gradients_and_rows_alone(hidden):
    torch.manual_seed(0)
    network = Metadata(14, hidden)
    rows = torch.tensor([[30.0, 1.0, 0.0], [80.0, 0.0, float("nan")], [float("nan"), 1.0, 1.0]])
    logits = network(rows)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    torch.testing.assert_close(network(rows[1:2]), logits[1:2])


def test_unknown_pooling_is_named():
    with pytest.raises(ValueError, match="pool is 'median'"):
        DCNN(14, pool="median")


@pytest.mark.parametrize("name", ["network", "agcnn"])
def test_file_stands_alone(name):
    """Executed as a file of no package, it loads torch and nothing of the harness."""
    code = (
        "import runpy, sys; sys.modules['harness'] = None; "
        "runpy.run_path(sys.argv[1]); sys.exit('torch' not in sys.modules)"
    )
    path = Path(baselines.__file__).with_name(f"{name}.py")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
