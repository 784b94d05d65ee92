"""AG-CNN: where the local branch looks, and what is trained when."""

import pytest
import torch
from baselines.agcnn import (
    FusionBranch,
    LocalBranch,
    attended_boxes,
    crop_and_resize,
    heat_map,
    largest_component,
)


class Branch(torch.nn.Module):
    """A branch of three channels at an eighth of the image's size."""

    def __init__(self, classes=14):
        super().__init__()
        self.trunk = torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, kernel_size=8, stride=8), torch.nn.BatchNorm2d(3)
        )
        self.classifier = torch.nn.Linear(3, classes)

    def features(self, images):
        return self.trunk(images)

    def forward(self, images):
        features = self.features(images)
        return self.classifier(features.mean((2, 3))), features


def local_branch():
    torch.manual_seed(0)
    return LocalBranch(Branch(), Branch())


def images(count, size, seed=2):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_heat_map_is_the_largest_magnitude():
    features = torch.tensor([[[[1.0, -2.0]], [[-5.0, 0.5]]]])
    torch.testing.assert_close(heat_map(features), torch.tensor([[[5.0, 2.0]]]))


def test_largest_component_joins_corners_and_leaves_out_smaller_ones():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[1, 1] = mask[2, 2] = mask[3, 2] = True  # three positions, joined at a corner
    mask[5, 6] = mask[5, 7] = True
    assert largest_component(mask) == [1.0, 1.0, 3.0, 4.0]
    assert largest_component(torch.zeros(6, 8, dtype=torch.bool)) == [0.0, 0.0, 8.0, 6.0]


def test_attended_boxes_are_those_of_the_hottest_part():
    heat = torch.zeros(3, 4, 4)
    heat[0, 1, 2] = 1.0
    heat[1] = 5.0  # constant: the whole image
    heat[2] = torch.tensor([[0.0, 0.69, 0.71, 1.0]])
    boxes = attended_boxes(heat, size=(4, 4), threshold=0.7)
    expected = [[2.0, 1.0, 3.0, 2.0], [0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 4.0, 4.0]]
    assert boxes.tolist() == expected


def test_attended_boxes_are_in_pixels_of_the_image():
    heat = torch.zeros(1, 7, 7)
    heat[0, 2, 5] = 3.0
    ((x1, y1, x2, y2),) = attended_boxes(heat, size=(224, 224), threshold=0.7).tolist()
    # Cell (2, 5) covers rows 64..96 and columns 160..192; its centre is hottest.
    assert (x1 + x2) / 2 == pytest.approx(176)
    assert (y1 + y2) / 2 == pytest.approx(80)
    assert 0 < x2 - x1 < 32


def test_crop_of_the_whole_image_is_the_image():
    image = images(1, 8)
    whole = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    torch.testing.assert_close(crop_and_resize(image, whole), image)


def test_crop_enlarges_its_box():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)  # pixel i has the value i, at i + 0.5
    part = crop_and_resize(ramp, torch.tensor([[2.0, 3.0, 6.0, 7.0]]))
    # Output pixel j looks at x = 2 + (j + 0.5) / 2, where the ramp is x - 0.5.
    expected = torch.tensor([1.5 + (j + 0.5) / 2 for j in range(8)]).expand(8, 8)
    torch.testing.assert_close(part[0, 0], expected)


def test_crop_does_not_fade_at_the_border_of_the_image():
    bright = torch.ones(1, 1, 8, 8)
    part = crop_and_resize(bright, torch.tensor([[0.0, 0.0, 2.0, 8.0]]))
    torch.testing.assert_close(part, bright)


def test_agcnn_trains_one_branch_at_a_time():
    local = local_branch().train()
    assert local.branch.training
    assert not any(module.training for module in local.guide.modules())
    assert not any(p.requires_grad for p in local.guide.parameters())
    assert all(p.requires_grad for p in local.branch.parameters())
    fusion = FusionBranch(14, local, channels=3).train()
    assert fusion.classifier.training
    assert not any(module.training for module in fusion.local.modules())
    assert [n for n, p in fusion.named_parameters() if p.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]


def test_fusion_sees_the_whole_and_the_part():
    fusion = FusionBranch(14, local_branch(), channels=3).eval()
    gray = images(2, 64)
    with torch.no_grad():
        guide, branch = fusion.local.guide, fusion.local.branch
        whole = guide.features(gray)
        boxes = attended_boxes(heat_map(whole), (64, 64), 0.7)
        part = branch.features(crop_and_resize(gray, boxes))
        joined = torch.cat([whole.mean((2, 3)), part.mean((2, 3))], dim=1)
        torch.testing.assert_close(fusion(gray).logits, fusion.classifier(joined))
        local_logits, _ = fusion.local(gray)
        torch.testing.assert_close(local_logits, branch.classifier(joined[:, 3:]))


def test_fusion_trains_its_classifier_alone():
    fusion = FusionBranch(14, local_branch(), channels=3).train()
    before = {name: value.clone() for name, value in fusion.local.state_dict().items()}
    logits, maps = fusion(images(4, 64))
    logits.square().sum().backward()
    assert fusion.classifier.weight.grad.any()
    assert all(p.grad is None for p in fusion.local.parameters())
    assert all(torch.equal(v, before[name]) for name, v in fusion.local.state_dict().items())
    assert maps.shape == (4, 14, 8, 8)


@pytest.mark.parametrize("build", [local_branch, lambda: FusionBranch(14, local_branch(), 3)])
def test_scores_do_not_depend_on_the_other_images_of_a_batch(build):
    network, batch = build().eval(), images(3, 64)
    with torch.no_grad():
        together, alone = network(batch)[0], network(batch[1:2])[0]
    torch.testing.assert_close(together[1:2], alone)
