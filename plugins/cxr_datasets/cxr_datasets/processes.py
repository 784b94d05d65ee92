"""Work on all cores, each in a fresh process; Ctrl-C is the business of the first one alone."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_processes(
    cores: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    chunk: int = 1,
    begin: Callable[..., object],
    given: tuple[object, ...],
) -> Iterator[Result]:
    """Yield ``function`` of each item in order; each process calls ``begin(*given)`` first."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, fresh, initializer=begin, initargs=given) as pool:
        try:
            with _born_deaf():
                coming = pool.map(function, items, chunksize=chunk)
            yield from coming
        except BaseException:
            pool.shutdown(cancel_futures=True)  # waits for what is being written
            raise


@contextmanager
def _born_deaf() -> Iterator[None]:
    """Let processes that start inside the block ignore Ctrl-C, which a terminal sends to all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
