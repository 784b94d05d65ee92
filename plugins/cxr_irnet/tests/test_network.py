"""The networks of CXR-IRNet: hand-worked numbers, invariances, gradients."""

import subprocess
import sys
from pathlib import Path

import cxr_irnet
import pytest
import torch
from cxr_irnet.network import CXRIRNet, GrayToImageNet, MultiScaleAttention, UNet, mask_weights
from torchvision.models import densenet121
from torchvision.transforms.functional import normalize

VARIANTS = {
    "soft": {},
    "hard": {"weighting": "hard"},
    "none": {"weighting": "none"},
    "plain": {"weighting": "none", "attention": False},
    "sigmoid": {"feature_act": "sigmoid"},
    "masked-mean": {"masked_mean": True},
}


def calibrated(network, *inputs):
    """Give a network the batch statistics of some images and put it in evaluation mode."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(*inputs)
    return network.eval()


@pytest.fixture(scope="module", params=VARIANTS)
def network(request):
    torch.manual_seed(1)
    return calibrated(CXRIRNet(14, **VARIANTS[request.param]), images(4, 64, seed=3), organs(4, 64))


def images(count, size, seed=2):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def organs(count, size):
    """Two lungs and a heart as rectangles that cover cells in part."""
    masks = torch.zeros(count, 3, size, size)
    for row in range(count):
        top = size // 8 + row
        masks[row, 0, top:, size // 2 + 3 : size - 5] = 1
        masks[row, 1, top:, 4 : size // 2 - 7] = 1
        masks[row, 2, size // 2 :, size // 3 : 2 * size // 3] = 1
    return masks


def test_gray_is_expanded_and_normalised_as_torchvision_does():
    gray = images(2, 5)
    expected = normalize(gray.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(GrayToImageNet()(gray), expected)


@pytest.mark.parametrize("size", [64, 96, 224])
def test_logits_and_maps_at_every_size(network, size):
    with torch.no_grad():
        logits, maps = network(images(2, size), organs(2, size))
    assert logits.shape == (2, 14)
    assert maps.shape == (2, 14, size // 32, size // 32)
    assert logits.isfinite().all()


def test_gradients_reach_every_parameter(network):
    # In evaluation mode: in training, batch normalisation takes away a bias that comes before it.
    network(images(3, 64), organs(3, 64)).logits.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def _close(values, expected):
    """Another batch size takes other convolution kernels: equal up to their rounding."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-3 * scale)


def test_scores_do_not_depend_on_the_other_images_of_a_batch(network):
    batch, masks = images(3, 64), organs(3, 64)
    with torch.no_grad():
        together, alone = network(batch, masks), network(batch[1:2], masks[1:2])
    _close(together.logits[1:2], alone.logits)
    _close(together.maps[1:2], alone.maps)


def test_maps_and_logits_agree(network):
    gray, masks = images(2, 96), organs(2, 96)
    with torch.no_grad():
        logits, maps = network(gray, masks)
    area = mask_weights(masks, (3, 3)).mean((2, 3)) if network.masked_mean else 1.0
    expected = maps.mean((2, 3)) / area + network.classifier.bias
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_backbone_takes_a_torchvision_state_dict_without_the_classifier():
    state = densenet121(weights=None).state_dict()
    state = {k: v for k, v in state.items() if not k.startswith("classifier.")}
    CXRIRNet(14).backbone.load_state_dict(state)


def test_parameter_counts():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    assert count(CXRIRNet(14, weighting="none", attention=False)) == 6_968_206
    assert count(CXRIRNet(14)) == 6_968_206 + 9 * 25 + 9 * 81 + 6 * 9
    assert count(UNet()) == 17_267_523


def test_plain_network_is_torchvisions_densenet():
    torch.manual_seed(0)
    ours = CXRIRNet(14, weighting="none", attention=False).eval()
    theirs = densenet121(weights=None, num_classes=14).eval()
    theirs.load_state_dict({k.removeprefix("backbone."): v for k, v in ours.state_dict().items()})
    gray = images(2, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(gray).logits, theirs(GrayToImageNet()(gray)))


def test_multi_scale_attention_by_hand():
    module = MultiScaleAttention()
    torch.nn.init.zeros_(module.gate.weight)
    image = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(module(image), image / 2)  # sigmoid of 0
        module.gate.weight[0, 0, 1, 1] = 2.0  # the maximum over channels at the pixel itself
        module.gate.weight[0, 1, 1, 1] = -1.0  # and their mean
        scores = 2 * image.amax(1) - image.mean(1)
        expected = image * torch.sigmoid(scores)[:, None]
        torch.testing.assert_close(module(image), expected)


@pytest.mark.parametrize(("scale", "channel", "radius"), [("scale5", 2, 2), ("scale9", 4, 4)])
def test_multi_scale_attention_sees_as_far_as_its_kernels(scale, channel, radius):
    module = MultiScaleAttention()
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, 8, 8] = 1.0
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        getattr(module, scale).weight.fill_(1.0)
        module.gate.weight[0, channel, 1, 1] = 1.0
        gates = torch.sigmoid(module.gate(_pools(module, image)))[0, 0]
    reached = (gates > 0.5).nonzero()
    assert reached.min(0).values.tolist() == [8 - radius] * 2
    assert reached.max(0).values.tolist() == [8 + radius] * 2


def _pools(module, image):
    """The six inputs of the gate, written out."""
    scales = [image, module.scale5(image), module.scale9(image)]
    return torch.cat([p for s in scales for p in (s.amax(1)[:, None], s.mean(1)[:, None])], dim=1)


def test_mask_weights_join_organs_and_average_cells():
    masks = torch.zeros(1, 2, 4, 4)
    masks[0, 0, 0, :] = 0.9  # half of both upper cells
    masks[0, 1, 0:2, 0:2] = 0.6  # the whole upper left cell, which overlaps the first
    masks[0, 1, 2, 2] = 0.51  # a quarter of the lower right one
    masks[0, 1, 3, 3] = 0.5  # not above one half
    soft = torch.tensor([[[[1.0, 0.5], [0.0, 0.25]]]])
    torch.testing.assert_close(mask_weights(masks, (2, 2)), soft)
    hard = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    torch.testing.assert_close(mask_weights(masks, (2, 2), hard=True), hard)


def features_through(network, features):
    """Let a network classify given features (B, 1024, h, w)."""
    network.normalise = network.attention = network.backbone = torch.nn.Identity()
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.weight[0, 0] = 1.0
        network.classifier.bias.fill_(0.25)
    return network, features


@pytest.mark.parametrize(
    ("options", "logit", "maps"),
    [
        ({"weighting": "none"}, (8 + 4 + 2) / 4, [[8.0, 4.0], [2.0, 0.0]]),
        ({"weighting": "soft"}, (8 + 4 * 0.5) / 4, [[8.0, 2.0], [0.0, 0.0]]),
        ({"weighting": "hard"}, (8 + 4) / 4, [[8.0, 4.0], [0.0, 0.0]]),
        ({"masked_mean": True}, (8 + 4 * 0.5) / 1.75, [[8.0, 2.0], [0.0, 0.0]]),
    ],
)
def test_equation_3_by_hand(options, logit, maps):
    features = torch.zeros(1, 1024, 2, 2)
    features[0, 0] = torch.tensor([[8.0, 4.0], [2.0, -6.0]])  # -6 falls to ReLU
    masks = torch.zeros(1, 1, 4, 4)
    masks[0, 0, 0, :] = masks[0, 0, 1, 0:2] = 1.0  # shares 1 and 1/2 in the upper row
    masks[0, 0, 2, 2] = 1.0  # 1/4 of the lower right cell
    network, features = features_through(CXRIRNet(14, **options), features)
    with torch.no_grad():
        output = network(features, masks)
    assert output.logits[0, 0].item() == pytest.approx(logit + 0.25)
    torch.testing.assert_close(output.maps[0, 0], torch.tensor(maps))


def test_an_image_without_organs_gets_the_bias_alone():
    for masked_mean in (False, True):
        network, features = features_through(
            CXRIRNet(14, masked_mean=masked_mean), torch.ones(1, 1024, 2, 2)
        )
        with torch.no_grad():
            logits = network(features, torch.zeros(1, 3, 8, 8)).logits
        torch.testing.assert_close(logits, torch.full((1, 14), 0.25))


def test_full_masks_change_nothing():
    torch.manual_seed(0)
    network = calibrated(CXRIRNet(14), images(4, 64), torch.ones(4, 3, 64, 64))
    with torch.no_grad():
        weighted = network(images(2, 64), torch.ones(2, 3, 64, 64)).logits
        network.weighting = "none"
        torch.testing.assert_close(weighted, network(images(2, 64)).logits)


@pytest.mark.parametrize("size", [64, 100])
def test_unet_keeps_the_size_of_the_image(size):
    torch.manual_seed(0)
    with torch.no_grad():
        logits = UNet().eval()(images(1, size))
    assert logits.shape == (1, 3, size, size)


def test_unet_gradients_and_images_alone():
    torch.manual_seed(0)
    network = calibrated(UNet(), images(3, 64, seed=3))
    together = network(images(2, 64))
    together.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    torch.testing.assert_close(network(images(2, 64)[1:]), together[1:], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighting": "sharp"}, "weighting is 'sharp'"),
        ({"feature_act": "tanh"}, "feature_act is 'tanh'"),
    ],
)
def test_unknown_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CXRIRNet(14, **options)


def test_weighting_without_masks_is_refused():
    with pytest.raises(ValueError, match="'soft' needs masks"):
        CXRIRNet(14)(images(1, 64))


def test_file_stands_alone():
    """Executed as a file of no package, it loads torch and nothing of the harness."""
    code = (
        "import runpy, sys; sys.modules['harness'] = None; "
        "runpy.run_path(sys.argv[1]); sys.exit('torch' not in sys.modules)"
    )
    path = Path(cxr_irnet.__file__).with_name("network.py")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
