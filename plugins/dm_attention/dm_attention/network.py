"""Alignment network, classifier and losses of Kim, Jung and Lee (disease masks, DM attention).

Images are (B, 1, H, W) in [0, 1]; the first layer of each network makes three channels in [-1, 1].
Coordinates are continuous: pixel i covers [i, i + 1), the top-left corner of the image is (0, 0).
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet, resnet18, resnet50

IDENTITY = (1.0, 1.0, 0.0, 0.0, 0.0)  # sx, sy, tx, ty, theta


def normalise(images: Tensor) -> Tensor:
    """Spread gray images (B, 1, H, W) in [0, 1] over three channels in [-1, 1]."""
    return (2 * images - 1).expand(-1, 3, -1, -1)


def feature_maps(resnet: ResNet, images: Tensor) -> list[Tensor]:
    """Return the outputs of conv2_x to conv5_x for images (B, 1, H, W), strides 4 to 32."""
    features = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(normalise(images)))))
    maps = []
    for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        features = layer(features)
        maps.append(features)
    return maps


def affine_matrix(parameters: Tensor) -> Tensor:
    """Build the matrices of Eq. 6, a rotation after scaling each axis.

    parameters (B, 5) are sx, sy, tx, ty, theta; the result (B, 2, 3) takes the aligned image's
    coordinates to the input image's, both running from -1 to 1 between the image borders.
    """
    sx, sy, tx, ty, angle = parameters.unbind(1)
    cos, sin = angle.cos(), angle.sin()
    rows = (sx * cos, -sy * sin, tx), (sx * sin, sy * cos, ty)
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def in_pixels(affine: Tensor, height: int, width: int) -> Tensor:
    """Rewrite maps (B, 2, 3) between coordinates in [-1, 1] as maps between pixel coordinates.

    A border-to-border coordinate u lies at x = (u + 1) W / 2: with align_corners=False, which
    samples pixel centres, this is exact; sums of products, since autocast would round a matrix
    product to bfloat16.
    """
    half = affine.new_tensor([width, height]) / 2
    linear = half[:, None] * affine[:, :, :2] / half
    shift = half * (affine[:, :, 2] + 1) - (linear * half).sum(2)
    return torch.cat([linear, shift[:, :, None]], 2)


def resample(images: Tensor, affine: Tensor) -> Tensor:
    """Read images (B, 1, H, W) at the places that affine (B, 2, 3) in [-1, 1] names, bilinearly.

    Outside the image it is black: 0 here, which is -1 once normalised.
    """
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class Alignment(nn.Module):
    """ResNet-18 whose five outputs move a radiograph into the anchor's pose (section 3.2)."""

    def __init__(self) -> None:
        """Begin at the identity: other starts throw most of the image out of the frame."""
        super().__init__()
        self.resnet = resnet18(weights=None)
        self.resnet.fc = nn.Linear(self.resnet.fc.in_features, len(IDENTITY))
        nn.init.zeros_(self.resnet.fc.weight)
        with torch.no_grad():
            self.resnet.fc.bias.copy_(torch.tensor(IDENTITY))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the aligned images (B, 1, H, W) and the affine (B, 2, 3) between -1 and 1.

        Parameters, grid and sampling stay in float32 under autocast: in bfloat16 points of a
        512-pixel image land two pixels off.
        """
        pooled = feature_maps(self.resnet, images)[-1].mean((2, 3))
        with torch.autocast(images.device.type, enabled=False):
            affine = affine_matrix(self.resnet.fc(pooled.float()))
            return resample(images, affine), affine


def smooth(images: Tensor, cell: int = 16) -> Tensor:
    """Blur images (B, 1, H, W) as the anchor is blurred: B(G(.)) of Eq. 6.

    Averages over cell x cell pixels and interpolates back. Raises ValueError where the cells do
    not tile the image, which would shift it against the anchor.
    """
    height, width = images.shape[-2:]
    if height % cell or width % cell:
        raise ValueError(f"cells of {cell} pixels do not tile an image of {height} x {width}")
    return F.interpolate(
        F.avg_pool2d(images, cell), (height, width), mode="bilinear", align_corners=False
    )


class Judge(nn.Module):
    """A trained ResNet that only looks: its features say how alike two images are (Eq. 7)."""

    def __init__(self, resnet: ResNet) -> None:
        """Copy resnet, so that freezing it here leaves the classifier it came from trainable."""
        super().__init__()
        self.resnet = copy.deepcopy(resnet).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Judge":
        """Stay in evaluation mode: running statistics are part of what was learnt."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return conv2_x to conv5_x of images (B, 1, H, W)."""
        return feature_maps(self.resnet, images)


def alignment_losses(
    blurred: Tensor, anchor: Tensor, judge: Judge | None = None
) -> dict[str, Tensor]:
    """Compare blurred aligned images (B, 1, H, W) with the anchor (1, 1, H, W), Eq. 7 and 8.

    Both are mean squared differences, per layer for Eq. 7: the printed sum of Eq. 8 over all
    pixels would drown Eq. 7. Pixels are compared on the scale from -1 to 1. Without a judge there
    is Eq. 8 alone.
    """
    losses = {"euclidean": F.mse_loss(2 * blurred, 2 * anchor.expand_as(blurred))}
    if judge is not None:
        with torch.no_grad():
            targets = judge(anchor)
        layers = zip(judge(blurred), targets, strict=True)
        perceptual = [
            F.mse_loss(seen.float(), target.float().expand_as(seen)) for seen, target in layers
        ]
        losses["perceptual"] = torch.stack(perceptual).sum()
    return losses


class Classifier(nn.Module):
    """ResNet-50 read through class activation maps, with or without attention (Eq. 1 to 5).

    The buffer psi (C, p, p) weighs the maps; it starts at 0, which is no attention.
    """

    psi: Tensor

    def __init__(self, classes: int) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.resnet = resnet50(weights=None)
        self.resnet.fc = nn.Linear(self.resnet.fc.in_features, classes)
        self.register_buffer("psi", torch.zeros(classes, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and class activation maps (B, C, H / 32, W / 32), both float32.

        With f' = (1 + psi_c) f, Eq. 4 read class by class, Eq. 5 is (1 + psi_c) S_c. The score is
        the map's mean plus the bias; the map has none.
        """
        features = feature_maps(self.resnet, images)[-1]
        with torch.autocast(images.device.type, enabled=False):
            weight = self.resnet.fc.weight[:, :, None, None]
            maps = (1 + self.psi) * F.conv2d(features.float(), weight)
            return maps.mean((2, 3)) + self.resnet.fc.bias, maps

    def attending(self, psi: Tensor) -> "Classifier":
        """Return a copy that attends to the masks psi (C, p, p) and goes on from these weights."""
        network = copy.deepcopy(self)
        network.psi = psi.to(self.psi).clone()
        return network
