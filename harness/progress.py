"""Progress of anything long: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY = 15.0  # seconds between plain lines


class Bar:
    """A count towards a total, written to standard error; a context manager.

    Silent under ``quiet`` (on ranks other than the first, in tests). Nothing is written by work of
    under a second.
    """

    def __init__(self, what: str, total: int, unit: str = "images", *, quiet: bool = False) -> None:
        self.what, self.total, self.unit, self.quiet = what, total, unit, quiet
        self.done = 0
        self.note = ""
        self._rich: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._start = self._shown = time.monotonic()
        return self

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count on; ``note`` stands behind the numbers."""
        self.done += count
        self.note = note or self.note
        now = time.monotonic()
        wait = 0.2 if sys.stderr.isatty() else _LINE_EVERY
        if not self.quiet and now - self._start > 1 and now - self._shown > wait:
            self._shown = now
            self._show()

    def _show(self) -> None:
        if not sys.stderr.isatty():
            print(self._line(), file=sys.stderr, flush=True)
            return
        if self._rich is None:
            self._rich = _bar()
            self._rich.start()
            self._task = self._rich.add_task(self.what, total=self.total, rate="", note="")
        assert self._task is not None
        self._rich.update(self._task, completed=self.done, rate=self._rate(), note=self.note)

    def _rate(self) -> str:
        return f"{self.done / max(time.monotonic() - self._start, 1e-9):,.0f} {self.unit}/s"

    def _line(self) -> str:
        left = (self.total - self.done) * (time.monotonic() - self._start) / max(self.done, 1)
        line = f"{self.what}: {self.done:,} of {self.total:,} {self.unit}, {self._rate()}"
        return f"{line}, {duration(left)} left  {self.note}".rstrip()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rich is not None:
            self._show()
            self._rich.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: 12 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


_MUTED = ContextVar("muted", default=False)


def say(text: str) -> None:
    """Tell what is being done, on standard error."""
    if not _MUTED.get():
        print(text, file=sys.stderr, flush=True)


@contextmanager
def muted() -> Iterator[None]:
    """Let nothing be said inside the block: what a rehearsal finds on eight images is no news."""
    token = _MUTED.set(True)
    try:
        yield
    finally:
        _MUTED.reset(token)
