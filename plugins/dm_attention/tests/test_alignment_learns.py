import pytest
import torch
from dm_attention.masks import mean_image
from dm_attention.network import (
    Alignment,
    Judge,
    affine_matrix,
    alignment_losses,
    in_pixels,
    smooth,
)
from torch.nn import functional as F
from torchvision.models import resnet18

SIZE = 64


def chests(count, generator):
    """Draw chests of two lungs and a heart in known poses (B, 2, 3): image to canonical place."""
    limits = torch.tensor([0.12, 0.12, 0.15, 0.15, 0.17])
    pose = (2 * torch.rand(count, 5, generator=generator) - 1) * limits
    pose = affine_matrix(pose + torch.tensor([1.0, 1, 0, 0, 0]))
    x, y = F.affine_grid(pose, [count, 1, SIZE, SIZE], align_corners=False).unbind(-1)

    def organ(cx, cy, wide, high):
        return torch.sigmoid((1 - ((x - cx) / wide) ** 2 - ((y - cy) / high) ** 2) / 0.1)

    images = 0.75 * organ(0, 0.3, 0.9, 1.2)
    for cx in (-0.45, 0.45):
        images = images - 0.5 * organ(cx, -0.05, 0.3, 0.6)
    images = (images + 0.3 * organ(0.12, 0.3, 0.3, 0.3)).clamp(0, 1)
    return images[:, None], pose


def spread(maps, landmarks):
    """Return the median distance, in pixels, of landmarks from their mean place over images."""
    points = torch.linalg.solve(maps[:, :, :2], landmarks - maps[:, :, 2:])
    return float((points - points.mean(0)).norm(dim=1).median())


@pytest.mark.slow
def test_the_network_recovers_known_poses():
    """A short training takes most of the scatter of landmarks on chests it has never seen."""
    generator = torch.Generator().manual_seed(0)
    images, _ = chests(1024, generator)
    unseen, pose = chests(128, generator)
    anchor = mean_image(images.split(128))[None]
    torch.manual_seed(0)
    network, judge = Alignment(), Judge(resnet18(weights=None))
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    for _ in range(200):
        aligned, _ = network(images[torch.randint(1024, (16,), generator=generator)])
        losses = alignment_losses(smooth(aligned, SIZE // 32), anchor, judge)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.3)
        optimizer.step()
    with torch.no_grad():
        _, affine = network.eval()(unseen)
    canonical = torch.tensor([[-0.45, 0.45, -0.45, 0.45, 0.0], [-0.6, -0.6, 0.5, 0.5, 0.3]])
    in_images = torch.linalg.solve(pose[:, :, :2], canonical - pose[:, :, 2:])
    pixels = (in_images + 1) * SIZE / 2
    identity = torch.eye(2, 3).expand(128, 2, 3)
    before, after = (spread(maps, pixels) for maps in (identity, in_pixels(affine, SIZE, SIZE)))
    print(f"landmark scatter {before:.2f} px before, {after:.2f} px after")
    assert after < 0.6 * before
