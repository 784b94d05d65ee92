"""Which image comes when, with which random numbers, in memory that nobody else uses."""

import gc
import hashlib
import threading
import time

import numpy as np
import pytest
import torch
from data_toys import everything
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Draws, Samples, random_affine, random_crop, random_flip
from harness.data.samples import Column
from harness.engine import feed as feeding
from harness.engine.distributed import Ranks
from harness.engine.feed import ahead, epoch_draws, feed, plain_feed

CPU = torch.device("cpu")
PATH = ("epoch", 0)


def draws_of(count, batch_size=4, seed=0, path=PATH, here=None, second=0, **options):
    sources = {"one": everything(count)}
    if second:
        sources["two"] = everything(second)
    return epoch_draws(sources, batch_size, seed, path, here or Ranks(), **options)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5), st.integers(1, 5))
def test_every_image_once_an_epoch_over_all_ranks(count, batch_size, seed, world):
    shares = [draws_of(count, batch_size, seed, here=Ranks(rank, world)) for rank in range(world)]
    seen = [row for draws in shares for draw in draws for row in draw.share["one"].tolist()]
    assert sorted(seen) == list(range(count))
    alone = draws_of(count, batch_size, seed)
    assert all(0 < draw.size <= batch_size for draw in alone)
    for draws in shares:  # the batches of all ranks together are those of one process
        for draw, whole in zip(draws, alone, strict=True):
            np.testing.assert_array_equal(draw.whole["one"], whole.share["one"])
    for number in range(len(alone)):  # and nobody has two images more than another
        sizes = [len(draws[number].share["one"]) for draws in shares]
        assert max(sizes) - min(sizes) <= 1


def order(draws):
    return [row for draw in draws for row in draw.whole["one"].tolist()]


def test_the_order_depends_only_on_the_seed_and_the_place():
    first = order(draws_of(30))
    assert first == order(draws_of(30, batch_size=7))
    assert first == order(draws_of(30, here=Ranks(1, 3)))
    assert first == order(draws_of(30, second=5))
    assert first != order(draws_of(30, seed=1))
    assert first != order(draws_of(30, path=("epoch", 1)))
    assert first != sorted(first)
    torch.manual_seed(9)
    np.random.seed(9)
    assert first == order(draws_of(30))


def test_an_incomplete_last_batch_is_kept_or_left_out():
    assert [draw.size for draw in draws_of(10)] == [4, 4, 2]
    assert [draw.size for draw in draws_of(10, drop_last=True)] == [4, 4]
    assert draws_of(3, drop_last=True) == []


def test_other_sources_are_drawn_with_replacement():
    draws = draws_of(40, second=3)
    rows = np.concatenate([draw.whole["two"] for draw in draws])
    assert [len(draw.whole["two"]) for draw in draws] == [draw.size for draw in draws]
    assert set(rows.tolist()) == {0, 1, 2}
    assert len(set(map(tuple, (draw.whole["two"] for draw in draws)))) > 1


def augment(batch, seed=3):
    draws = Draws(batch.index, seed, "augment", 0)
    return random_affine(random_flip(random_crop(batch, draws, 20), draws), draws, 5, shift=0.05)


EIGHT = everything(8)
ALONE = [augment(EIGHT.batch(np.array([row]))).images for row in range(8)]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(8)), st.integers(1, 8))
def test_augmentation_of_an_image_knows_no_batch_mates(order, size):
    together = augment(EIGHT.batch(np.array(order[:size])))
    for place, row in enumerate(order[:size]):
        assert torch.equal(together.images[place], ALONE[row][0])


def test_draws_are_uniform_independent_and_stable():
    index = torch.arange(20_000)
    draws = Draws(index, 0, "a")
    first, second = draws.uniform(), draws.uniform()
    for values in (first, second):
        assert values.min() >= 0
        assert values.max() < 1
        counts = torch.histc(values, 20, 0, 1)
        assert ((counts - 1000) ** 2 / 1000).sum() < 45  # chi squared of 19, p = 0.001: 43.8
    others = [second, Draws(index, 1, "a").uniform(), Draws(index, 0, "b").uniform(), first.roll(1)]
    for other in others:
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.03
    torch.testing.assert_close(Draws(torch.tensor([7]), 0, "a").uniform(), first[7:8])
    integers = Draws(index, 0).integers(7)
    assert torch.bincount(integers, minlength=7).min() > 2600
    assert len(torch.bincount(integers)) == 7
    assert abs(Draws(index, 0).chance(0.3).float().mean() - 0.3) < 0.015
    low = Draws(index, 0).uniform(-2, 3)
    assert -2 <= low.min() < -1.99
    assert 2.99 < low.max() < 3


def splitmix(value):
    """Return splitmix64's finaliser, from its definition, with Python's integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_draws_are_those_of_the_definition():
    """A change of these numbers would be another run under the same seed."""
    images = [0, 1, 7, 10**9]
    draws = Draws(torch.tensor(images), 42, "augment", 3)
    place = hashlib.sha256(b"42\x1faugment\x1f3").digest()[:8]
    keys = [splitmix(image ^ splitmix(int.from_bytes(place, "big") >> 1)) for image in images]
    for count in (1, 2):
        expected = [(splitmix(key ^ splitmix(count)) >> 11) / 2**53 for key in keys]
        torch.testing.assert_close(draws.uniform(), torch.tensor(expected), rtol=0, atol=1e-7)


def numbered(count=300, size=24):
    """Return images that hold their own row in every pixel pair."""
    samples = everything(1, size)
    rows = np.zeros(count, dtype=np.int64)
    columns = {n: Column(c.values, rows, spatial=c.spatial) for n, c in samples.columns.items()}
    images = np.zeros((count, size, size), dtype=np.uint8)
    images[:, ::2], images[:, 1::2] = [
        part[:, None, None] for part in divmod(np.arange(count), 256)
    ]
    return Samples(
        {**columns, "images": Column(images, np.arange(count))}, samples.space, samples.view
    )


def rows_in(images):
    return (images[:, 0, 0, 0].long() * 256 + images[:, 0, 1, 0].long()).tolist()


@pytest.mark.parametrize("pause", ["consumer", "producer"])
def test_buffers_are_not_used_again_while_their_batch_is(pause, monkeypatch):
    """A batch is whole until the next is asked for, however far the thread is ahead."""
    samples = numbered()
    if pause == "producer":
        gather = Samples.images

        def slow(self, *arguments, **options):
            time.sleep(0.002)
            return gather(self, *arguments, **options)

        monkeypatch.setattr(Samples, "images", slow)
    draws = epoch_draws({"data": samples}, 7, 0, PATH, Ranks())
    for draw, batches in feed({"data": samples}, draws, CPU):
        batch = batches["data"]
        if pause == "consumer":
            time.sleep(0.002)
        assert rows_in(batch.images) == draw.whole["data"].tolist()
        assert batch.index.tolist() == draw.whole["data"].tolist()
        assert (batch.images[:, :, ::2] == batch.images[:, :, :1]).all()


def test_plain_feeds_come_in_order():
    samples = numbered(50)
    rows = np.array([5, 3, 40, 3, 0, 49, 21])
    coming = plain_feed(samples, rows, 3, CPU, inputs_only=True)
    found = []
    for batch in coming:
        time.sleep(0.002)
        found += rows_in((batch.images * 255).round())
    assert found == rows.tolist()


def test_a_rank_without_images_has_one_that_weighs_nothing():
    samples = everything(9)
    (draw,) = draws_of(9, batch_size=8, here=Ranks(1, 2))[1:]
    assert draw.size == 1
    assert len(draw.share["one"]) == 0
    _, batches = next(feed({"one": samples}, [draw], CPU))
    assert len(batches["one"]) == 1


def test_batch_labels_are_those_of_the_whole_batch():
    samples = everything(9)
    samples = samples.with_column("labels", np.arange(27, dtype=np.float32).reshape(9, 3))
    draws = epoch_draws({"one": samples}, 8, 0, PATH, Ranks(1, 2))
    for draw, batches in feed({"one": samples}, draws, CPU):
        expected = samples.labels[draw.whole["one"]]
        np.testing.assert_array_equal(batches["one"].batch_labels.numpy(), expected)
        part = batches["one"].part(0, 1)
        np.testing.assert_array_equal(part.batch_labels.numpy(), expected)


def test_what_goes_wrong_in_the_thread_is_raised():
    def fails():
        yield from range(4)
        raise OSError("the disk is gone")

    coming = ahead(fails())
    assert [next(coming) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_all_that_is_made_comes_in_order(count):
    assert list(ahead(iter(range(count)))) == list(range(count))


def test_a_feed_that_is_left_ends_its_thread():
    before = threading.active_count()
    coming = feed({"data": numbered()}, epoch_draws({"data": numbered()}, 7, 0, PATH, Ranks()), CPU)
    next(coming)
    coming.close()
    assert threading.active_count() == before


def test_images_on_the_device_are_forgotten_with_those_they_were_copied_from(monkeypatch):
    """Another array may get the address of one that is gone, and must not get its images."""
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(feeding, "_uploaded", lambda values, device: torch.from_numpy(values + 0))
    samples = everything(3)
    first = feeding.resident_images(samples, device)
    assert feeding.resident_images(samples.take([1]), device) is first
    assert feeding.resident_images(samples, CPU) is None
    assert len(feeding._RESIDENT) == 1
    del samples
    gc.collect()
    assert not feeding._RESIDENT
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    assert feeding.resident_images(everything(3), device) is None
