"""Ctrl-C and the signals of schedulers: one message and an exit code, whatever is being done."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 75  # the exit code that schedulers read as "try again"
_HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(BaseException):
    """A signal asked this process to end; raised where it is, so that whatever is open is closed.

    No KeyboardInterrupt: the command line's parser would take that for its own business.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            "stopped; nothing is left half-written, the same command goes on from here"
        )
        self.number = number


def exit_code(number: int) -> int:
    """Return the exit code for a signal: 130 by convention for Ctrl-C, else AGAIN."""
    return 128 + number if number == signal.SIGINT else AGAIN


def _end_where_nothing_can_be_raised(found: sys.UnraisableHookArgs) -> None:
    """End at once if Stopped was raised in a callback of Python's own, which would go on."""
    if isinstance(found.exc_value, Stopped):
        os.write(2, f"{found.exc_value}\n".encode())
        os._exit(exit_code(found.exc_value.number))
    sys.__unraisablehook__(found)


@contextmanager
def heeding_signals() -> Iterator[None]:
    """Raise Stopped at the first signal inside the block and end at once at the second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if asked:
            os._exit(exit_code(number))
        asked.append(number)
        raise Stopped(number)

    hook, sys.unraisablehook = sys.unraisablehook, _end_where_nothing_can_be_raised
    before = {kind: signal.signal(kind, stop) for kind in _HEEDED}
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for kind, handler in before.items():
            signal.signal(kind, handler)
