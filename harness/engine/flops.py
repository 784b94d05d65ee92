"""Parameters and floating-point operations of one prediction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from harness.data.samples import Samples
from harness.engine.compute import Compute
from harness.engine.evaluate import evaluating, networks
from harness.engine.feed import plain_feed
from harness.model.model import Model


@contextmanager
def counting(model: object) -> Iterator[FlopCounterMode]:
    """Count the operations of predictions inside the block, with a model's parameters frozen.

    torch's counter follows gradients of whatever wants any, which inference mode has none of.
    """
    wanting = [p for net in networks(model) for p in net.parameters() if p.requires_grad]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)


def flops_per_image(model: Model, samples: Samples, compute: Compute) -> tuple[int, int]:
    """Return the parameters a model holds and the FLOPs of predicting one image.

    A multiply-add is two operations; what a backend computes outside PyTorch's operators (custom
    detection kernels) is not counted.
    """
    held = {id(p): p.numel() for network in networks(model) for p in network.parameters()}
    one = np.zeros(1, dtype=np.int64)
    batch = next(iter(plain_feed(samples, one, 1, compute.device, inputs_only=True)))
    with evaluating(model), counting(model) as counter:
        model.predict(batch)
    return sum(held.values()), counter.get_total_flops()
