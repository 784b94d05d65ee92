import pytest
import torch
from anatomy_xnet.network import (
    AnatomyXNetwork,
    TappedDenseNet,
)
from torchvision.models import densenet121


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def masks():
    return torch.rand(2, 2, 64, 64, generator=torch.Generator().manual_seed(1))


def test_backbone_is_torchvisions_densenet(images):
    torch.manual_seed(0)
    expected = densenet121(weights=None).eval()
    tapped = TappedDenseNet(("transition2", "transition3", "norm5"), "pre-pool").eval()
    state = {k: v for k, v in expected.state_dict().items() if not k.startswith("classifier")}
    tapped.load_state_dict(state)
    rgb = images.expand(-1, 3, -1, -1)
    with torch.no_grad():
        taps, last = tapped(rgb)
        torch.testing.assert_close(last, expected.features(rgb).relu())
    assert [tuple(tap.shape[1:]) for tap in taps] == [(256, 8, 8), (512, 4, 4), (1024, 2, 2)]
    assert taps[2] is last


def test_post_pool_taps_are_pooled_pre_pool_taps(images):
    rgb = images.expand(-1, 3, -1, -1)
    before = TappedDenseNet(("transition3",), "pre-pool").eval()
    after = TappedDenseNet(("transition3",), "post-pool").eval()
    after.load_state_dict(before.state_dict())
    with torch.no_grad():
        (wide,), _ = before(rgb)
        (narrow,), _ = after(rgb)
    torch.testing.assert_close(narrow, torch.nn.functional.avg_pool2d(wide, 2))


@pytest.mark.parametrize(("level", "width"), [(0, 1024), (1, 1024), (2, 1536), (3, 1792)])
def test_levels_concatenate_their_taps(level, width, images, masks):
    network = AnatomyXNetwork(15, level=level, mask_size=14)
    assert network.classifier.in_features == width
    found = network(images, masks if level else None)
    assert found.logits.shape == (2, 15)
    assert len(found.attention) == level


def test_attention_without_masks_is_refused(images):
    with pytest.raises(ValueError, match="needs masks"):
        AnatomyXNetwork(15, level=1, mask_size=14)(images, None)


@pytest.mark.parametrize("pool", ["pwap", "avg", "max", "gem"])
@pytest.mark.parametrize("term", ["mask", "mask_feature"])
def test_all_parameters_receive_a_gradient(pool, term, images, masks):
    network = AnatomyXNetwork(13, level=1, mask_size=14, pool=pool, term=term)
    network(images, masks).logits.sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_predictions_do_not_depend_on_batch_mates(images, masks):
    network = AnatomyXNetwork(15, mask_size=14).eval()
    with torch.no_grad():
        both = network(images, masks).logits
        alone = network(images[1:], masks[1:]).logits
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)


def test_masks_matter(images, masks):
    torch.manual_seed(0)
    network = AnatomyXNetwork(15, mask_size=14).eval()
    with torch.no_grad():
        assert not torch.allclose(
            network(images, masks).logits, network(images, masks.flip(0)).logits, atol=1e-6
        )


@pytest.mark.parametrize("pool", ["pwap", "avg"])
def test_explanation_shows_the_maps_of_the_last_tap(pool, images, masks):
    network = AnatomyXNetwork(15, mask_size=14, pool=pool).eval()
    with torch.no_grad():
        seen = network.explain(images, masks)
        last = network.backbone(network.normalise(images))[1]
    large = torch.nn.functional.interpolate(last, 14, mode="bilinear").mean(1)
    torch.testing.assert_close(seen.feature, large)
    assert seen.recalibrated.shape == (2, 14, 14)
    assert torch.equal(seen.weighted, seen.feature) == (pool == "avg")
