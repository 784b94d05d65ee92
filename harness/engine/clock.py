"""Where the time of a stage goes, and how many images a second it trains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.engine.compute import Compute

WARM_UP = 5  # optimiser batches of a sitting that images per second leave out


class Clock:
    """Seconds by kind ("train", "wait", "validation", "checkpoint"), kept over all sittings.

    "timed" are the seconds, and ``images`` the images, from which images per second are made: whole
    stretches of training with their waits, after the warm-up, with the device synchronised at both
    ends.
    """

    def __init__(self, compute: Compute, seconds: dict[str, float]) -> None:
        self._compute, self.seconds = compute, seconds
        self._warm = 0
        self._since: float | None = None
        self._images = 0

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """Count the time of the block, without waiting for the device."""
        began = time.perf_counter()
        yield
        self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - began

    def trained(self, images: int) -> None:
        """Count a batch; the stretch begins when the warm-up is over."""
        self._warm += 1
        if self._since is not None:
            self._images += images
        elif self._warm >= WARM_UP:
            self.resume()

    def resume(self) -> None:
        """Begin a stretch, unless the warm-up is not over yet."""
        if self._warm >= WARM_UP and self._since is None:
            self._compute.synchronize()
            self._since, self._images = time.perf_counter(), 0

    def pause(self) -> None:
        """End a stretch: something that is not training follows."""
        if self._since is not None:
            self._compute.synchronize()
            self._add("timed", time.perf_counter() - self._since)
            self._add("timed_images", self._images)
            self._since = None

    def _add(self, kind: str, amount: float) -> None:
        self.seconds[kind] = self.seconds.get(kind, 0.0) + amount


def images_per_second(seconds: dict[str, float]) -> float | None:
    """Return the images trained a second, or None where the stage ended within its warm-up."""
    images, timed = seconds.get("timed_images", 0.0), seconds.get("timed", 0.0)
    return images / timed if images and timed else None
