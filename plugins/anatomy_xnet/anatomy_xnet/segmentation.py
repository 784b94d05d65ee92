"""Semi-supervised segmentation of lungs and heart: two generators, two judges (Eq. 10 to 17).

The reference alternates a step of the generators and a step of the discriminators. Here one
forward returns all losses and one backward follows: the generators face judges whose parameters
are detached, the judges see fakes that are detached, so no gradient reaches the wrong side.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

CLASSES = 3  # background, lungs, heart: exclusive, so the K of Eq. 11


def organ_classes(left_lung: Tensor, right_lung: Tensor, heart: Tensor) -> Tensor:
    """Return the class of each pixel (B, H, W) from masks (B, H, W) in [0, 1]; heart wins."""
    lungs = (torch.maximum(left_lung, right_lung) >= 0.5).long()
    return lungs.masked_fill(heart >= 0.5, 2)


def one_hot(classes: Tensor) -> Tensor:
    """Return (B, K, H, W) float from classes (B, H, W)."""
    return functional.one_hot(classes, CLASSES).movedim(-1, 1).float()


def precise(values: Tensor) -> Tensor:
    """Return at least float32, whatever autocast made of the values."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def organ_probabilities(to_mask: nn.Module, images: Tensor) -> Tensor:
    """Return the probabilities of lungs and heart (B, 2, H, W), float32, of images in [0, 1]."""
    return precise(to_mask(2 * images - 1)).softmax(1)[:, 1:]


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    """Convolution, instance norm, ReLU; a bias would vanish in the norm."""
    return [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, padding_mode="reflect", bias=False),
        nn.InstanceNorm2d(outputs),
        nn.ReLU(),
    ]


class ResidualBlock(nn.Module):
    """Two convolutions with dropout between them, added to what came in."""

    def __init__(self, channels: int, dropout: float) -> None:
        """Keep the size and the number of channels."""
        super().__init__()
        self.block = nn.Sequential(
            *_convolution(channels, channels, 3),
            nn.Dropout(dropout),
            *_convolution(channels, channels, 3)[:2],
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Return (B, C, H, W) from (B, C, H, W)."""
        return feature + self.block(feature)


class Generator(nn.Sequential):
    """G_CM or G_MC: down by 4, residual blocks, up by 4; no activation at the end.

    Sides of the input are multiples of 4. Nothing in it depends on batch mates.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, blocks: int = 9, dropout: float = 0.5
    ) -> None:
        """Turn `inputs` channels into `outputs`; the blocks have 4 x `width` channels."""

        def up(channels: int) -> list[nn.Module]:
            half = channels // 2
            grow = nn.ConvTranspose2d(channels, half, 3, 2, padding=1, output_padding=1, bias=False)
            return [grow, nn.InstanceNorm2d(half), nn.ReLU()]

        super().__init__(
            *_convolution(inputs, width, 7),
            *_convolution(width, 2 * width, 3, stride=2),
            *_convolution(2 * width, 4 * width, 3, stride=2),
            *(ResidualBlock(4 * width, dropout) for _ in range(blocks)),
            *up(4 * width),
            *up(2 * width),
            nn.Conv2d(width, outputs, 7, padding=3, padding_mode="reflect"),
        )
        self.apply(normal_weights)


class PixelDiscriminator(nn.Sequential):
    """D_M or D_C: a verdict on each pixel, near 1 for real ones. No batch norm."""

    def __init__(self, inputs: int, width: int = 64) -> None:
        """Judge pixels of `inputs` channels."""
        super().__init__(
            nn.Conv2d(inputs, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 1, bias=False),
            nn.InstanceNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1),
        )
        self.apply(normal_weights)


def normal_weights(module: nn.Module) -> None:
    """Draw the weights of a convolution from N(0, 0.02), its bias is 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class UNet(nn.Module):
    """A plain U-Net; sides of the input are multiples of 2 ** depth."""

    def __init__(self, inputs: int, outputs: int, width: int = 32, depth: int = 4) -> None:
        """Start with `width` channels and double them at each of `depth` halvings."""
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            self._double(before, after) for before, after in pairwise([inputs, *widths])
        )
        self.up = nn.ModuleList(
            self._double(shallow + deep, shallow) for shallow, deep in pairwise(widths)
        )
        self.last = nn.Conv2d(width, outputs, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*_convolution(inputs, outputs, 3), *_convolution(outputs, outputs, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, outputs, H, W) from (B, inputs, H, W)."""
        skips = []
        feature = self.down[0](images)
        for block in self.down[1:]:
            skips.append(feature)
            feature = block(functional.max_pool2d(feature, 2))
        for block, skip in zip(reversed(self.up), reversed(skips), strict=True):
            feature = functional.interpolate(feature, scale_factor=2, mode="bilinear")
            feature = block(torch.cat([skip, feature], 1))
        return self.last(feature)


class Supervised(nn.Module):
    """Training of a segmenter on labelled images alone."""

    def __init__(self, to_mask: nn.Module) -> None:
        """Train `to_mask`, (B, 1, H, W) in [-1, 1] to logits (B, K, H, W)."""
        super().__init__()
        self.to_mask = to_mask

    def forward(self, images: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return Eq. 10 of images (B, 1, H, W) in [0, 1] and classes (B, H, W)."""
        logits = self.to_mask(2 * images - 1)
        return {"supervised_mask": functional.cross_entropy(precise(logits), classes)}


class SemiSupervised(nn.Module):
    """Training of a segmenter on labelled and unlabelled images, Eq. 17.

    The weights of its terms are the reference's, where Eq. 17 has 1 everywhere.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        dropout: float = 0.5,
        cycle_image: float = 1.0,
        cycle_mask: float = 0.05,
        adversarial: float = 0.5,
    ) -> None:
        """Build G_CM (`to_mask`), G_MC (`to_image`), D_M and D_C."""
        super().__init__()
        self.to_mask = Generator(1, CLASSES, width, blocks, dropout)
        self.to_image = Generator(CLASSES, 1, width, blocks, dropout)
        self.mask_judge = PixelDiscriminator(CLASSES, width)
        self.image_judge = PixelDiscriminator(1, width)
        self.cycle_image, self.cycle_mask = cycle_image, cycle_mask
        self.adversarial = adversarial

    def forward(self, labelled: Tensor, classes: Tensor, unlabelled: Tensor) -> dict[str, Tensor]:
        """Return the terms of Eq. 17, weighted, each a mean over images.

        Images (B, 1, H, W) are in [0, 1], classes (B, H, W); the two kinds may differ in number.
        """
        labelled, unlabelled = 2 * labelled - 1, 2 * unlabelled - 1
        masks = one_hot(classes).to(labelled)
        fake_image = precise(self.to_image(masks)).tanh()
        fake_mask = precise(self.to_mask(unlabelled)).softmax(1)
        cycled_image = precise(self.to_image(fake_mask)).tanh()
        predicted, cycled = precise(self.to_mask(labelled)), precise(self.to_mask(fake_image))
        return {
            "supervised_mask": functional.cross_entropy(predicted, classes),  # Eq. 10
            "supervised_image": functional.mse_loss(fake_image, labelled),  # Eq. 12
            "cycle_image": self.cycle_image * functional.l1_loss(cycled_image, unlabelled),  # 15
            "cycle_mask": self.cycle_mask * functional.cross_entropy(cycled, classes),  # Eq. 16
            "fool_mask_judge": self.adversarial * fool(self.mask_judge, fake_mask),
            "fool_image_judge": self.adversarial * fool(self.image_judge, fake_image),
            "mask_judge": judge(self.mask_judge, masks, fake_mask),  # Eq. 13
            "image_judge": judge(self.image_judge, unlabelled, fake_image),  # Eq. 14
        }


def fool(discriminator: nn.Module, fake: Tensor) -> Tensor:
    """Return the generator's least-squares loss; the discriminator's parameters get no gradient.

    Eq. 17 would have the generators maximise Eq. 13 and 14; like the reference they minimise the
    distance of the verdict from "real", which does not saturate.
    """
    frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
    return (precise(functional_call(discriminator, frozen, (fake,))) - 1).square().mean()


def judge(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's least-squares loss (Eq. 13, 14), halved; fakes get no gradient."""
    on_real, on_fake = precise(discriminator(real)), precise(discriminator(fake.detach()))
    return ((on_real - 1).square().mean() + on_fake.square().mean()) / 2
