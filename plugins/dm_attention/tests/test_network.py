import math

import pytest
import torch
from dm_attention.network import (
    Alignment,
    Classifier,
    Judge,
    affine_matrix,
    alignment_losses,
    feature_maps,
    in_pixels,
    normalise,
    resample,
    smooth,
)
from torch.nn import functional as F
from torchvision.models import resnet50


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return Classifier(3).eval()


def test_normalise_takes_black_to_minus_one_in_three_channels():
    images = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
    assert normalise(images).tolist() == [[[[-1.0]]] * 3, [[[0.0]]] * 3, [[[1.0]]] * 3]


def test_affine_rotates_after_scaling_the_axes():
    quarter = torch.tensor([[2.0, 3.0, 0.25, -0.5, math.pi / 2]])
    expected = torch.tensor([[[0.0, -3.0, 0.25], [2.0, 0.0, -0.5]]])
    torch.testing.assert_close(affine_matrix(quarter), expected, atol=1e-6, rtol=0)


def test_pixel_affine_by_hand():
    # 8 wide, 4 high: u = x / 4 - 1, v = y / 2 - 1. Shifting u by 0.5 is 2 pixels, v by 0.5 is 1;
    # scaling by 2 about the centre (4, 2) takes (5, 3) to (6, 4).
    shift = affine_matrix(torch.tensor([[1.0, 1.0, 0.5, 0.5, 0.0]]))
    assert in_pixels(shift, 4, 8).tolist() == [[[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]]
    zoom = in_pixels(affine_matrix(torch.tensor([[2.0, 2.0, 0.0, 0.0, 0.0]])), 4, 8)
    assert (zoom[0] @ torch.tensor([5.0, 3.0, 1.0])).tolist() == [6.0, 4.0]


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_sampling_reads_where_the_pixel_affine_points(size):
    """An image whose value is its coordinate tells where each output pixel was read."""
    height, width = size
    affine = affine_matrix(
        torch.tensor([[0.7, 0.8, 0.05, -0.1, 0.2], [0.6, 0.7, -0.1, 0.05, -0.3]])
    ).double()
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    centres = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    read = torch.cat([resample(ramp.expand(2, 1, -1, -1), affine) for ramp in (x, y)], 1)
    pointed = (in_pixels(affine, height, width) @ centres).view(2, 2, height, width)
    limit = torch.tensor([width, height]).view(2, 1, 1)
    inside = ((pointed > 0.5) & (pointed < limit - 0.5)).all(1, keepdim=True).expand_as(read)
    assert inside.float().mean() > 0.5
    assert (read - pointed)[inside].abs().max() < 1e-5


def test_outside_the_image_is_black():
    far = affine_matrix(torch.tensor([[1.0, 1.0, 3.0, 0.0, 0.0]]))
    assert normalise(resample(torch.ones(1, 1, 8, 8), far)).unique().tolist() == [-1.0]


def test_alignment_starts_at_the_identity():
    torch.manual_seed(0)
    images = torch.rand(2, 1, 64, 64)
    aligned, affine = Alignment()(images)
    assert affine.tolist() == [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2
    torch.testing.assert_close(aligned, images, atol=1e-5, rtol=0)


def test_alignment_stays_exact_under_autocast():
    torch.manual_seed(0)
    network = Alignment().eval()
    torch.nn.init.normal_(network.resnet.fc.weight, std=0.02)
    images = torch.rand(2, 1, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        aligned, affine = network(images)
    assert affine.dtype == aligned.dtype == torch.float32
    torch.testing.assert_close(aligned, resample(images, affine), atol=0, rtol=0)


def test_every_pose_parameter_gets_a_gradient():
    torch.manual_seed(0)
    parameters = torch.tensor([[0.9, 1.1, 0.05, -0.02, 0.1]], dtype=torch.double).requires_grad_()
    image = F.interpolate(torch.rand(1, 1, 5, 5, dtype=torch.double), 12, mode="bicubic")
    assert torch.autograd.gradcheck(
        lambda p: resample(image, affine_matrix(p)), parameters, eps=1e-7, atol=1e-4
    )


def test_smooth_averages_cells_and_interpolates():
    image = torch.tensor([0.0, 2.0, 4.0, 6.0]).expand(1, 1, 4, 4)
    # two cells of means 1 and 5, centred at 1 and 3 on a line of four pixels
    assert smooth(image, 2)[0, 0].tolist() == [[1.0, 2.0, 4.0, 5.0]] * 4
    constant = torch.full((1, 1, 32, 32), 0.3)
    torch.testing.assert_close(smooth(constant, 16), constant)


def test_smooth_refuses_cells_that_would_shift_the_image():
    with pytest.raises(ValueError, match="cells of 16 pixels do not tile an image of 40 x 64"):
        smooth(torch.zeros(1, 1, 40, 64), 16)


def test_alignment_losses_are_mean_squares_on_the_scale_from_minus_one_to_one(classifier):
    judge = Judge(classifier.resnet)
    blurred, anchor = torch.rand(2, 1, 64, 64), torch.rand(1, 1, 64, 64)
    losses = alignment_losses(blurred, anchor, judge)
    assert losses["euclidean"].item() == pytest.approx(
        ((2 * blurred - 1) - (2 * anchor - 1)).square().mean().item()
    )
    with torch.no_grad():
        seen = feature_maps(classifier.resnet, blurred)
        wanted = feature_maps(classifier.resnet, anchor)
    by_hand = sum(
        float((a - b).square().sum()) / a.numel() for a, b in zip(seen, wanted, strict=True)
    )
    assert losses["perceptual"].item() == pytest.approx(by_hand, rel=1e-4)
    same = alignment_losses(anchor, anchor, judge)
    assert [float(loss) for loss in same.values()] == [0.0, 0.0]
    assert alignment_losses(blurred, anchor) == {"euclidean": losses["euclidean"]}


def test_losses_reach_the_pose_but_not_the_judge(classifier):
    judge = Judge(classifier.resnet)
    pose = torch.tensor([[1.0, 1.0, 0.1, 0.0, 0.0]], requires_grad=True)
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    losses = alignment_losses(smooth(resample(ramp, affine_matrix(pose)), 4), ramp, judge)
    sum(losses.values()).backward()
    assert pose.grad is not None
    assert pose.grad[0, 2] != 0
    assert all(parameter.grad is None for parameter in judge.parameters())


def test_the_judge_never_learns():
    original = resnet50(weights=None)
    judge = Judge(original).train()
    before = judge.resnet.bn1.running_mean.clone()
    judge(torch.rand(2, 1, 64, 64))
    assert torch.equal(judge.resnet.bn1.running_mean, before)
    assert all(parameter.requires_grad for parameter in original.parameters())


def test_feature_maps_are_conv2_to_conv5(classifier):
    with torch.no_grad():
        shapes = [
            tuple(f.shape[1:]) for f in feature_maps(classifier.resnet, torch.rand(1, 1, 64, 96))
        ]
    assert shapes == [(256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 2, 3)]


def test_without_masks_the_score_is_resnet50s_own(classifier):
    """A linear layer after average pooling is the mean of the maps plus the bias (Eq. 1, 2)."""
    images = torch.rand(2, 1, 96, 64)
    with torch.no_grad():
        logits, maps = classifier(images)
        expected = classifier.resnet(normalise(images))
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert maps.shape == (2, 3, 3, 2)


def test_the_map_leaves_the_bias_out(classifier):
    images = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        logits, maps = classifier(images)
        classifier.resnet.fc.bias += 5
        more, same = classifier(images)
        classifier.resnet.fc.bias -= 5
    assert torch.equal(maps, same)
    torch.testing.assert_close(more, logits + 5)


def test_attention_is_one_plus_the_mask_of_the_class(classifier):
    psi = torch.tensor([[[0.0, 1.0], [0.5, 0.0]], [[0.0] * 2] * 2, [[1.0] * 2] * 2])
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        plain, maps = classifier(images)
        logits, attended = classifier.attending(psi)(images)
    assert torch.equal(attended[:, 0], maps[:, 0] * torch.tensor([[1.0, 2.0], [1.5, 1.0]]))
    assert torch.equal(logits[:, 1], plain[:, 1])
    torch.testing.assert_close(
        logits[:, 2],
        2 * (plain[:, 2] - classifier.resnet.fc.bias[2]) + classifier.resnet.fc.bias[2],
    )
    assert classifier.psi.abs().sum() == 0


def test_class_wise_attention_weighs_features_before_the_sum_over_channels(classifier):
    """Eq. 4 and 5 as printed, for one class: f' = psi f + f, then the sum over channels."""
    psi = torch.rand(3, 2, 2)
    images = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        features = feature_maps(classifier.resnet, images)[-1]
        _, maps = classifier.attending(psi)(images)
    for c in range(3):
        attended = psi[c] * features + features
        expected = (classifier.resnet.fc.weight[c].view(1, -1, 1, 1) * attended).sum(1)
        torch.testing.assert_close(maps[:, c], expected, atol=1e-4, rtol=1e-4)


def test_masks_are_fixed_while_weights_learn(classifier):
    network = classifier.attending(torch.rand(3, 2, 2))
    logits, _ = network(torch.rand(2, 1, 64, 64))
    logits.sum().backward()
    assert "psi" in dict(network.named_buffers())
    assert network.resnet.conv1.weight.grad.abs().sum() > 0
    assert network.resnet.fc.weight.grad.abs().sum() > 0


def test_scores_are_float32_under_autocast(classifier):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits, maps = classifier(torch.rand(1, 1, 64, 64))
    assert logits.dtype == maps.dtype == torch.float32
