"""How fast one core draws phantoms: the harness promises 200 images/s at 256 x 256.

The clock is processor time, so that other work on the machine counts as little as possible.
"""

import itertools
import time

import cv2
import pytest

from harness.data.phantom import PhantomSettings, describe, draw

FILMS = 100

pytestmark = pytest.mark.benchmark(timer=time.process_time)


@pytest.fixture(autouse=True)
def one_core():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def each_film(function, settings):
    """Return a call that works on the next of FILMS films, its textures made beforehand."""
    for index in range(FILMS):
        function(settings, index)
    indices = itertools.cycle(range(FILMS))
    return lambda: function(settings, next(indices))


@pytest.mark.parametrize("style", ["nih", "jsrt"])
@pytest.mark.parametrize("size", [128, 256, 512, 1024])
def test_draw(benchmark, size, style):
    benchmark.pedantic(
        each_film(draw, PhantomSettings(size=size, style=style)), rounds=FILMS, iterations=1
    )
    benchmark.extra_info["images_per_s"] = round(1 / benchmark.stats["mean"], 1)


def test_describe(benchmark):
    benchmark.pedantic(each_film(describe, PhantomSettings()), rounds=FILMS, iterations=1)
    benchmark.extra_info["images_per_s"] = round(1 / benchmark.stats["mean"], 1)
