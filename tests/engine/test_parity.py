"""The harness's loop and a bare PyTorch loop doing the same work end with the same bits."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from engine_toys import COMPUTE, SIZE, bce, jitter, noisy, plain, samples
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

from harness import Draws, Stage
from harness.engine import loop
from harness.seeds import derive, generator

SEED = 11


@dataclass(frozen=True)
class Work:
    """What both loops do."""

    images: int = 21
    batch_size: int = 8
    epochs: int | None = 2
    steps: int | None = None
    accumulate: int = 1
    micro_batch: int | None = None
    network: object = plain
    augmented: bool = False
    optimizer: object = AdamW
    scheduler: object = None
    schedule: str = "epoch"
    clip_norm: float | None = None
    drop_last: bool = False
    second: int = 0  # images of a second source


WORKS = {
    "even": Work(images=24),
    "uneven-last-batch": Work(),
    "one-image-left": Work(images=17),
    "batch-larger-than-data": Work(images=5),
    "drop-last": Work(drop_last=True),
    "accumulate": Work(images=27, batch_size=4, accumulate=3),
    "micro-batch": Work(micro_batch=3),
    "micro-batch-and-accumulate": Work(micro_batch=3, accumulate=2),
    "batchnorm-dropout-augmented": Work(network=noisy, augmented=True, images=24),
    "scheduler-per-epoch": Work(scheduler=lambda o: StepLR(o, 1, 0.1)),
    "scheduler-per-step": Work(scheduler=lambda o: CosineAnnealingLR(o, 6), schedule="step"),
    "steps-end-within-an-epoch": Work(epochs=None, steps=5),
    "steps-with-accumulate": Work(epochs=None, steps=4, accumulate=2, images=37),
    "clip-norm": Work(clip_norm=0.05, optimizer=lambda p, lr: SGD(p, 10 * lr, momentum=0.9)),
    "two-sources": Work(second=7, augmented=True),
}


def both(network, batches):
    """Call the network once for two sources, as a loss must."""
    one, two = batches["one"], batches["two"]
    logits = network(torch.cat([one.images, two.images]))
    first = replace(one, images=one.images)
    known = {"one": logits[: len(first)], "two": logits[len(first) :]}
    return {
        name: nn.functional.binary_cross_entropy_with_logits(
            known[name], batches[name].labels.nan_to_num()
        )
        for name in known
    }


def sources_of(work):
    first = samples(work.images)
    return {"one": first, "two": samples(work.second, 5)} if work.second else {"data": first}


def bare_loop(work, network):  # noqa: C901 - written out, as it would be by hand
    """Train as a careful person would write it by hand, with the harness's random numbers."""
    network.to(memory_format=torch.channels_last)
    sources = sources_of(work)
    optimizer = work.optimizer(network.parameters(), lr=0.01)
    scheduler = work.scheduler and work.scheduler(optimizer)
    steps, history = 0, []
    network.train()
    for epoch in range(work.epochs or 99):
        total, seen = 0.0, 0
        batches = batches_of(work, sources, epoch)
        for number, batch in enumerate(batches):
            group = number - number % work.accumulate
            members = min(work.accumulate, len(batches) - group)
            size = len(next(iter(batch.values())))
            parts = math.ceil(size / (work.micro_batch or size))
            for part in range(parts):
                cut = {
                    n: b.part(len(b) * part // parts, len(b) * (part + 1) // parts)
                    for n, b in batch.items()
                }
                share = len(next(iter(cut.values()))) / size
                torch.manual_seed(derive(SEED, "noise", epoch, number, 0, part))
                losses = both(network, cut) if work.second else bce(network, cut["data"])
                loss = torch.stack(list(losses.values())).sum()
                (loss * (share / members)).backward()
                total += loss.item() * share * size
            seen += size
            if number == group + members - 1:
                if work.clip_norm:
                    nn.utils.clip_grad_norm_(network.parameters(), work.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                steps += 1
                if scheduler and work.schedule == "step":
                    scheduler.step()
                if steps == work.steps:
                    break
        history.append(total / seen)
        if steps == work.steps:
            break
        if scheduler and work.schedule == "epoch":
            scheduler.step()
    return history


def batches_of(work, sources, epoch):
    first, *rest = sources
    order = generator(SEED, "epoch", epoch, first, "order").permutation(work.images)
    made = []
    for number, start in enumerate(range(0, work.images, work.batch_size)):
        rows = {first: order[start : start + work.batch_size]}
        if work.drop_last and len(rows[first]) < work.batch_size:
            break
        for name in rest:
            random = generator(SEED, "epoch", epoch, name, number)
            rows[name] = random.integers(len(sources[name]), size=len(rows[first]))
        batch = {}
        for name, samples_ in sources.items():
            read = samples_.batch(rows[name])
            if work.augmented:
                place = (epoch, name) if name == first else (epoch, name, number)
                read = jitter(read, Draws(read.index, SEED, "augment", *place))
            batch[name] = read.floats()
        made.append(batch)
    return made


def stage_of(work, network, **options):
    optimizer = work.optimizer(network.parameters(), lr=0.01)
    sources = sources_of(work)
    return Stage(
        "stage",
        network,
        both if work.second else bce,
        sources if work.second else sources["data"],
        optimizer,
        epochs=work.epochs,
        steps=work.steps,
        batch_size=work.batch_size,
        accumulate=work.accumulate,
        augment=jitter if work.augmented else None,
        scheduler=work.scheduler and work.scheduler(optimizer),
        schedule=work.schedule,
        clip_norm=work.clip_norm,
        drop_last=work.drop_last,
        **options,
    )


def network_of(work):
    return work.network(SIZE - 2 if work.augmented else SIZE)


def assert_same_bits(first, second):
    one, two = first.state_dict(), second.state_dict()
    assert list(one) == list(two)
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS.keys())
def test_same_weights_as_a_bare_loop(work, tmp_path):
    ours, theirs = network_of(work), network_of(work)
    state = loop.train(
        stage_of(work, ours), tmp_path, replace(COMPUTE, micro_batch=work.micro_batch), SEED
    )
    history = bare_loop(work, theirs)
    assert_same_bits(ours, theirs)
    named = [
        sum(v for k, v in entry.items() if k in ("bce", "one", "two")) for entry in state.history
    ]
    np.testing.assert_allclose(named, history, rtol=1e-5)


def test_training_moves_the_weights(tmp_path):
    ours, untrained = plain(), plain()
    loop.train(stage_of(Work(), ours), tmp_path, COMPUTE, SEED)
    with pytest.raises(AssertionError):
        assert_same_bits(ours, untrained)


@pytest.mark.parametrize(
    ("scores", "patience", "best", "trained"),
    [
        ([0.5, 0.7, 0.6, 0.65, 0.9, 0.9], 2, 2, 4),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 3, 1, 4),  # an equal score is no better one
        ([0.5, 0.4, 0.6, 0.5, 0.7, 0.8], 2, 6, 6),
        ([0.5, 0.9, 0.1, 0.1, 0.1, 0.1], None, 2, 6),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(scores, patience, best, trained, tmp_path):
    ours, theirs = plain(), plain()
    coming = iter(scores)
    options = {"score": lambda: next(coming), "patience": patience}
    work = Work(epochs=6)
    state = loop.train(stage_of(work, ours, **options), tmp_path, COMPUTE, SEED)
    assert (state.epoch, state.best_epoch, state.best) == (trained, best, scores[best - 1])
    assert [entry["score"] for entry in state.history] == scores[:trained]
    bare_loop(replace(work, epochs=best), theirs)
    assert_same_bits(ours, theirs)


def test_plateau_gets_the_score(tmp_path):
    network = plain()
    optimizer = SGD(network.parameters(), lr=1.0)
    coming = iter([0.5, 0.5, 0.5, 0.9])
    stage = Stage(
        "stage", network, bce, samples(8), optimizer, epochs=4, batch_size=8,
        scheduler=ReduceLROnPlateau(optimizer, "max", 0.1, patience=0),
        score=lambda: next(coming),
    )  # fmt: skip
    state = loop.train(stage, tmp_path, COMPUTE, SEED)
    np.testing.assert_allclose([entry["rate"] for entry in state.history], [1, 1, 0.1, 0.01])


def test_no_gradient_is_left_and_history_counts_steps(tmp_path):
    network = plain()
    state = loop.train(stage_of(Work(accumulate=2), network), tmp_path, COMPUTE, SEED)
    assert all(p.grad is None for p in network.parameters())
    assert [entry["steps"] for entry in state.history] == [2, 4]
