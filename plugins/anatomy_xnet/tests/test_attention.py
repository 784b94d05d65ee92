import pytest
import torch
from anatomy_xnet.attention import (
    AnatomyAwareAttention,
    Attention,
    MomentNorm,
    attention_loss,
)
from anatomy_xnet.surface import Upsampling
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_attention import LiteralAttention
from saved_memory import saved_bytes
from torch.nn import functional

TERMS = ("mask", "mask_feature")


def inputs(seed, batch=3, channels=5, low=(7, 7), size=42, offset=0.0, dtype=torch.float64):
    """A feature map with a mean per channel, and masks of blobs, grained lest maxima tie."""
    generator = torch.Generator().manual_seed(seed)
    feature = torch.randn(batch, channels, *low, generator=generator, dtype=torch.float64)
    feature = feature + offset * torch.randn(channels, 1, 1, generator=generator).double()
    masks = torch.rand(batch, 2, 6, 6, generator=generator, dtype=torch.float64)
    masks = functional.interpolate(masks, size, mode="bilinear").square()
    masks = masks + 0.01 * torch.rand(masks.shape, generator=generator, dtype=torch.float64)
    return feature.to(dtype).requires_grad_(), masks.to(dtype).requires_grad_()


def pair(channels=5, seed=0, dtype=torch.float64, **options):
    """Both forms with the same parameters, none of them at its initial value."""
    torch.manual_seed(seed)
    literal = LiteralAttention(channels, **options)
    with torch.no_grad():
        for name, parameter in literal.named_parameters():
            if "power" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    cheap = AnatomyAwareAttention(channels, **options)
    cheap.load_state_dict(literal.state_dict())
    return literal.to(dtype), cheap.to(dtype)


def outcome(module, feature, masks):
    """Output, and gradients of a fixed random projection of it."""
    output = module(feature, masks)
    output = output[0] if isinstance(output, tuple) else output
    generator = torch.Generator().manual_seed(9)
    direction = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
    wanted = [feature, masks, *module.parameters()]
    gradients = torch.autograd.grad((output * direction).sum(), wanted)
    names = ["feature", "masks", *(name for name, _ in module.named_parameters())]
    return output, dict(zip(names, gradients, strict=True))


def assert_agree(literal, cheap, feature, masks, tolerance):
    expected, expected_gradients = outcome(literal, feature, masks)
    found, gradients = outcome(cheap, feature, masks)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    largest = max(gradient.abs().max() for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        error = (gradients[name] - gradient).abs().max() / largest
        assert error < tolerance, f"gradient of {name}: {error:.1e}"
    for name, buffer in literal.named_buffers():
        torch.testing.assert_close(
            dict(cheap.named_buffers())[name], buffer, rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("size", [42, 56, 84])
@pytest.mark.parametrize("low", [7, 14])
def test_cheap_form_equals_the_literal_one(term, size, low):
    literal, cheap = pair(term=term)
    for step in range(3):  # the running statistics of several steps
        feature, masks = inputs(step, low=(low, low), size=size, offset=3.0)
        assert_agree(literal, cheap, feature, masks, 1e-10)
    literal.eval(), cheap.eval()
    assert_agree(literal, cheap, *inputs(7, low=(low, low), size=size), 1e-10)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("pool", ["avg", "max", "gem"])
def test_other_poolings_equal_the_literal_ones(term, pool):
    literal, cheap = pair(term=term, pool=pool)
    assert_agree(literal, cheap, *inputs(1), 1e-10)
    literal.eval(), cheap.eval()
    assert_agree(literal, cheap, *inputs(2), 1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(2, 5),
    channels=st.integers(1, 6),
    low=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.integers(2, 30),
    term=st.sampled_from(TERMS),
    reduction=st.sampled_from([0.5, 1.0, 2.0]),
    training=st.booleans(),
)
def test_any_shape_equals_the_literal_form(
    seed, batch, channels, low, size, term, reduction, training
):
    literal, cheap = pair(channels, seed, term=term, reduction=reduction)
    literal.train(training), cheap.train(training)
    feature, masks = inputs(seed, batch, channels, low, size)
    # Down-sampling a map, or a handful of images that agree, can leave a variance near eps, where
    # the normalisation magnifies rounding by up to 1 / eps.
    assert_agree(literal, cheap, feature, masks, 1e-8)


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("term", TERMS)
def test_float32_is_as_accurate_as_the_literal_form(term, offset):
    exact, _ = pair(channels=16, term=term)
    literal, cheap = pair(channels=16, term=term, dtype=torch.float32)
    feature, masks = inputs(3, 4, 16, (14, 14), 84, offset)
    single = [tensor.detach().float().requires_grad_() for tensor in (feature, masks)]
    double = [tensor.detach().double().requires_grad_() for tensor in single]
    expected, expected_gradients = outcome(exact, *double)

    def error(module):
        output, gradients = outcome(module, *single)
        largest = max(gradient.abs().max() for gradient in expected_gradients.values())
        wrong = [
            (gradients[name] - g).abs().max() / largest for name, g in expected_gradients.items()
        ]
        return (output - expected).abs().max().item(), max(wrong).item()

    of_literal, of_cheap = error(literal), error(cheap)
    # The order of summation, and with it the rounding, changes with the number of threads.
    assert of_cheap[0] < max(3 * of_literal[0], 1e-5)
    assert of_cheap[1] < max(3 * of_literal[1], 1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_recalibrated_map_can_be_stored(term):
    literal, cheap = pair(term=term)
    feature, masks = inputs(5)
    surface, _ = cheap.recalibrate(feature, masks)
    torch.testing.assert_close(surface.stored(), literal.recalibrate(feature, masks))
    torch.testing.assert_close(surface.mean, surface.stored().mean((2, 3)))


def test_attention_vectors_sum_to_one():
    _, cheap = pair()
    _, attention = cheap(*inputs(0))
    assert attention.vectors.shape == (3, 3, 5)
    torch.testing.assert_close(attention.vectors.sum(1), torch.ones(3, 5).double())  # Eq. 2
    torch.testing.assert_close(attention.vectors, attention.logits.softmax(1))


def test_hidden_width_is_channels_over_reduction():
    wide, narrow = AnatomyAwareAttention(8), AnatomyAwareAttention(8, reduction=2.0)
    assert wide.encoders[0][0].weight.shape == (16, 8)
    assert narrow.encoders[0][0].weight.shape == (4, 8)


def test_moment_norm_by_hand():
    norm = MomentNorm(1, eps=0.0)
    # Two images of two positions: (0, 2) and (4, 6); mean 3, variance 5, unbiased 20 / 3.
    mean, scale = norm(torch.tensor([[1.0], [5.0]]), torch.tensor([[1.0], [1.0]]), 2)
    assert scale.item() == pytest.approx(5**-0.5)
    assert mean.flatten().tolist() == pytest.approx([-2 * 5**-0.5, 2 * 5**-0.5])
    assert norm.running_mean.item() == pytest.approx(0.3)
    assert norm.running_var.item() == pytest.approx(0.9 + 0.1 * 20 / 3)
    norm.eval()
    _, scale = norm(torch.zeros(2, 1), torch.ones(2, 1), 2)
    assert scale.item() == pytest.approx((0.9 + 2 / 3) ** -0.5)


def test_pwap_survives_evidence_that_underflows():
    _, cheap = pair(dtype=torch.float32)
    with torch.no_grad():
        cheap.squeeze.kernel.weight.fill_(-200.0)
    feature = torch.full((2, 5, 7, 7), 1.0) + torch.rand(2, 5, 7, 7)
    pooled, _ = cheap(feature, torch.rand(2, 2, 42, 42))
    assert pooled.isfinite().all()


def test_weighted_gram_is_the_gram_of_the_matrix():
    upsampling = Upsampling.of(torch.zeros(1, 1, 3, 4, dtype=torch.float64), 11)
    dense = torch.kron(upsampling.rows, upsampling.columns)
    weights = torch.rand(11, 11, dtype=torch.float64)
    expected = dense.T @ torch.diag(weights.flatten()) @ dense
    torch.testing.assert_close(upsampling.weighted_gram(weights), expected)


def test_autocast_keeps_statistics_in_float32():
    _, cheap = pair(channels=16, dtype=torch.float32)
    feature, masks = inputs(4, 4, 16, dtype=torch.float32)
    expected, _ = cheap(feature, masks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, attention = cheap(feature, masks)
        halved, _ = cheap(feature.bfloat16(), masks)
    assert found.dtype == attention.vectors.dtype == halved.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    # bfloat16 features carry 8 bits, and the 50-fold variance of R spreads their rounding.
    assert (halved - expected).abs().max() < 0.1


def test_cheap_form_saves_thirty_times_less():
    channels = 256  # parameters and vectors grow with C^2 and C: the wider, the larger the ratio
    literal, cheap = pair(channels, dtype=torch.float32)
    feature, masks = inputs(0, 4, channels, (7, 7), 84, dtype=torch.float32)
    weights = sum(p.nbytes for p in cheap.parameters())
    needed = saved_bytes(lambda: cheap(feature, masks)) - weights
    assert saved_bytes(lambda: literal(feature, masks)) - weights > 30 * needed


@pytest.mark.parametrize("after_softmax", [True, False])
def test_attention_loss_by_hand(after_softmax):
    vectors = torch.tensor([[[0.5], [0.2], [0.3]]])  # (1, 3, 1)
    logits = torch.tensor([[[2.0], [-1.0], [5.0]]])
    loss = attention_loss([Attention(vectors, logits)], torch.tensor([[1.0, 0.0]]), after_softmax)
    lung, heart = (0.5, 0.2) if after_softmax else (2.0, -1.0)
    p = torch.sigmoid(torch.tensor([lung, heart]))
    assert loss.item() == pytest.approx((-p[0].log() - (1 - p[1]).log()).item() / 2, rel=1e-6)


def test_attention_loss_weighs_modules_equally():
    def module(channels, value):
        values = torch.full((2, 3, channels), value)
        return Attention(values, values)

    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    narrow, wide = module(2, 0.1), module(512, 0.9)
    both = attention_loss([narrow, wide], targets, True)
    single = attention_loss([narrow], targets, True) + attention_loss([wide], targets, True)
    torch.testing.assert_close(both, single / 2)
