"""Anatomy X-Net: the cheap attention against the literal one, the whole step against DenseNet-121.

Run with ``pytest benchmarks/bench_anatomy_xnet.py --benchmark-only``. Both sides of a ratio are
timed alternately in one process; the ratio is the median over rounds, printed with its range and
stored in ``extra_info``.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from anatomy_xnet.attention import AnatomyAwareAttention, attention_loss
from anatomy_xnet.network import AnatomyXNetwork
from torch.nn.functional import binary_cross_entropy_with_logits

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "anatomy_xnet" / "tests"))
from literal_attention import LiteralAttention
from saved_memory import saved_bytes

BATCH, SIZE, ROUNDS = 8, 84, 7


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(benchmark, first, second):
    """Time both alternately and return first / second; pytest-benchmark reports the second."""
    first(), second()
    pairs = np.array([(seconds(first), seconds(second)) for _ in range(ROUNDS)])
    ratios = pairs[:, 0] / pairs[:, 1]
    low, ratio, high = np.quantile(ratios, [0, 0.5, 1])
    times = np.median(pairs, 0) * 1e3
    benchmark.extra_info.update(
        median_ms=times.tolist(), ratio=ratio, range=[low, high], threads=torch.get_num_threads()
    )
    print(f"\n{times[0]:.1f} ms / {times[1]:.1f} ms = {ratio:.3f} [{low:.3f}, {high:.3f}]")
    benchmark.pedantic(second, rounds=3)
    return ratio


def attention_step(module, feature, masks):
    def step():
        output = module(feature, masks)
        output = output[0] if isinstance(output, tuple) else output
        output.square().sum().backward()

    return step


@pytest.fixture(params=[(1024, 7), (512, 14)], ids=["DB4", "transition3"])
def attention(request):
    """Both forms on one tap as it is at 224 x 224, with equal parameters."""
    channels, low = request.param
    torch.manual_seed(0)
    literal, cheap = LiteralAttention(channels), AnatomyAwareAttention(channels)
    cheap.load_state_dict(literal.state_dict())
    feature = torch.randn(BATCH, channels, low, low).relu().requires_grad_()
    return literal, cheap, feature, torch.rand(BATCH, 2, SIZE, SIZE)


def test_attention_time(benchmark, attention):
    literal, cheap, *inputs = attention
    ratio = compare(benchmark, attention_step(literal, *inputs), attention_step(cheap, *inputs))
    assert ratio >= 30


def test_attention_memory(benchmark, attention):
    literal, cheap, *inputs = attention
    weights = sum(parameter.nbytes for parameter in cheap.parameters())
    dear, few = (saved_bytes(lambda m=m: m(*inputs)) - weights for m in (literal, cheap))
    benchmark.extra_info.update(saved_mb=[dear / 1e6, few / 1e6], ratio=dear / few)
    print(f"\n{dear / 1e6:.1f} MB / {few / 1e6:.2f} MB = {dear / few:.1f}, parameters left out")
    benchmark.pedantic(lambda: cheap(*inputs), rounds=1)
    assert dear / few >= 30


def training_step(network, loss):
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def step():
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()

    return step


def test_training_step(benchmark):
    torch.manual_seed(0)
    images, masks = torch.rand(BATCH, 1, 224, 224), torch.rand(BATCH, 2, 224, 224)
    labels, organs = torch.randint(2, (BATCH, 15)).float(), torch.randint(2, (BATCH, 2)).float()

    def plain(network):
        return binary_cross_entropy_with_logits(network(images, None).logits, labels)

    def anatomy(network):
        found = network(images, masks)
        attended = attention_loss(found.attention, organs, after_softmax=True)
        return binary_cross_entropy_with_logits(found.logits, labels) + 0.2 * attended

    channels_last = {"memory_format": torch.channels_last}
    ratio = compare(
        benchmark,
        training_step(AnatomyXNetwork(15).to(**channels_last), anatomy),
        training_step(AnatomyXNetwork(15, level=0).to(**channels_last), plain),
    )
    assert ratio <= 1.2
