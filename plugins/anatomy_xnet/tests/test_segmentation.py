import copy
from itertools import chain

import pytest
import torch
from anatomy_xnet.segmentation import (
    Generator,
    PixelDiscriminator,
    SemiSupervised,
    Supervised,
    UNet,
    judge,
    one_hot,
    organ_classes,
    organ_probabilities,
)
from torch import nn
from torch.nn import functional


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = SemiSupervised(width=4, blocks=1, dropout=0.0)
    for parameter in network.parameters():  # N(0, 0.02) would leave everything near zero
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return network.double()


def draw(step):
    generator = torch.Generator().manual_seed(step)
    labelled = torch.rand(2, 1, 16, 16, generator=generator, dtype=torch.float64)
    unlabelled = torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64)
    return labelled, torch.randint(3, (2, 16, 16), generator=generator), unlabelled


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2, betas=(0.5, 0.999))


def alternating_step(network, generators, discriminators, labelled, classes, unlabelled):
    """The reference's order: a step of the generators, then one of the discriminators.

    The discriminators' parameters are switched off by requires_grad in between, and their fakes
    are those made before the generators' step.
    """
    labelled, unlabelled = 2 * labelled - 1, 2 * unlabelled - 1
    masks = functional.one_hot(classes, 3).permute(0, 3, 1, 2).double()
    judges = [network.mask_judge, network.image_judge]
    square, entropy = nn.MSELoss(), nn.CrossEntropyLoss()

    for judge_ in judges:
        judge_.requires_grad_(False)
    generators.zero_grad()
    fake_image = torch.tanh(network.to_image(masks))
    fake_mask = torch.softmax(network.to_mask(unlabelled), 1)
    verdicts = network.image_judge(fake_image), network.mask_judge(fake_mask)
    adversarial = sum(square(verdict, torch.ones_like(verdict)) for verdict in verdicts)
    image_cycle = nn.L1Loss()(torch.tanh(network.to_image(fake_mask)), unlabelled)
    mask_cycle = entropy(network.to_mask(fake_image), classes)
    supervised = entropy(network.to_mask(labelled), classes) + square(fake_image, labelled)
    (supervised + 0.5 * adversarial + image_cycle + 0.05 * mask_cycle).backward()
    generators.step()

    for judge_ in judges:
        judge_.requires_grad_(True)
    discriminators.zero_grad()
    loss = 0.0
    for judge_, real, fake in (
        (network.image_judge, unlabelled, fake_image.detach()),
        (network.mask_judge, masks, fake_mask.detach()),
    ):
        on_real, on_fake = judge_(real), judge_(fake)
        loss = loss + 0.5 * square(on_real, torch.ones_like(on_real))
        loss = loss + 0.5 * square(on_fake, torch.zeros_like(on_fake))
    loss.backward()
    discriminators.step()


def test_one_backward_equals_the_alternating_order(network):
    other = copy.deepcopy(network)
    generators = adam(chain(other.to_mask.parameters(), other.to_image.parameters()))
    discriminators = adam(chain(other.mask_judge.parameters(), other.image_judge.parameters()))
    together = adam(network.parameters())
    start = copy.deepcopy(network.state_dict())
    for step in range(3):
        alternating_step(other, generators, discriminators, *draw(step))
        together.zero_grad()
        sum(network(*draw(step)).values()).backward()
        together.step()
    expected, found = other.state_dict(), network.state_dict()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-9)
        assert not torch.equal(value, start[name]), f"{name} never moved"


def test_each_side_gets_gradients_of_its_own_losses_only(network):
    judges = ("mask_judge", "image_judge")
    losses = network(*draw(0))
    for name, loss in losses.items():
        gradients = torch.autograd.grad(
            loss, list(network.parameters()), retain_graph=True, allow_unused=True
        )
        reached = {
            parameter.split(".")[0]
            for (parameter, _), gradient in zip(network.named_parameters(), gradients, strict=True)
            if gradient is not None
        }
        expected = {name} if name in judges else reached - set(judges)
        assert reached == expected
    assert set(judges) < set(losses)


def test_adversarial_term_reaches_the_segmenter(network):
    loss = network(*draw(0))["fool_mask_judge"]
    gradients = torch.autograd.grad(loss, list(network.to_mask.parameters()), allow_unused=True)
    assert max(gradient.abs().max() for gradient in gradients) > 1e-6


def test_judge_by_hand():
    class Mean(nn.Module):
        def forward(self, maps):
            return maps.mean((1, 2, 3), keepdim=True)

    real, fake = torch.full((2, 1, 4, 4), 0.75), torch.full((3, 1, 4, 4), 0.5)
    assert judge(Mean(), real, fake).item() == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_judges_and_generators_do_not_mix_images():
    torch.manual_seed(0)
    images = torch.randn(3, 1, 16, 16)
    for network in (PixelDiscriminator(1, 4), Generator(1, 3, 4, 1).eval(), UNet(1, 3, 4, 2)):
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
        torch.testing.assert_close(network(images)[1:], network(images[1:]))


def test_generator_has_the_reference_layout():
    generator = Generator(1, 3)
    convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    assert shapes[:3] == [(1, 64, 7, 1), (64, 128, 3, 2), (128, 256, 3, 2)]
    assert shapes[3:21] == [(256, 256, 3, 1)] * 18
    assert shapes[21:] == [(256, 128, 3, 2), (128, 64, 3, 2), (64, 3, 7, 1)]
    assert convolutions[5].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert generator(torch.zeros(1, 1, 32, 20)).shape == (1, 3, 32, 20)


def test_organ_classes_by_hand():
    left, right = torch.tensor([[[1.0, 0, 0, 1]]]), torch.tensor([[[0.0, 1, 0, 0.4]]])
    heart = torch.tensor([[[0.0, 0, 1, 0.6]]])
    classes = organ_classes(left, right, heart)
    assert classes.tolist() == [[[1, 1, 2, 2]]]
    assert one_hot(classes)[0, :, 0].tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("build", [lambda: UNet(1, 3, 8, 2), lambda: Generator(1, 3, 8, 1, 0.0)])
def test_supervised_training_learns_bright_and_dark_organs(build):
    torch.manual_seed(0)
    classes = torch.zeros(4, 32, 32, dtype=torch.long)
    classes[:, 4:20, 2:14], classes[:, 16:28, 16:28] = 1, 2
    images = torch.tensor([0.5, 0.1, 0.9])[classes][:, None] + 0.05 * torch.randn(4, 1, 32, 32)
    training = Supervised(build())
    optimizer = torch.optim.Adam(training.parameters(), lr=1e-2)
    for _ in range(50):
        optimizer.zero_grad()
        sum(training(images, classes).values()).backward()
        optimizer.step()
    organs = organ_probabilities(training.to_mask, images)
    assert organs.shape == (4, 2, 32, 32)
    assert organs.dtype == torch.float32
    organs, truth = (organs > 0.5).float(), one_hot(classes)[:, 1:]
    dice = 2 * (organs * truth).sum((0, 2, 3)) / (organs + truth).sum((0, 2, 3))
    assert (dice > 0.9).all()
