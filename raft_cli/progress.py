"""Progress bars on stderr, silent when that is no terminal; and a clock for the stages of a run."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

_REDRAW = 0.1


class Progress:
    """One bar at a time."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._bar: tqdm[object] | None = None
        self._noted = 0.0

    def track(self, items: Iterable[T], *, title: str, total: int | None = None, unit: str = "") -> Iterator[T]:
        """Yield `items` under a bar."""
        with tqdm(items, desc=title, total=total, unit=unit, disable=self._quiet, leave=False) as bar:
            yield from bar

    def open(self, title: str, total: int, unit: str) -> None:
        """Show a bar that `show` moves."""
        self.close()
        self._bar = tqdm(desc=title, total=total or None, unit=unit, disable=self._quiet, leave=False)

    def show(self, done: int, note: Callable[[], str]) -> None:
        """Move the bar to `done`, with a note behind it (made only when the bar is drawn)."""
        if self._bar is None or self._quiet or done <= self._bar.n:
            return
        if time.monotonic() - self._noted > _REDRAW:
            self._noted = time.monotonic()
            self._bar.set_postfix_str(note(), refresh=False)
        self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """Show a line above the bar, terminal or not."""
        tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Clock:
    """Measures the stages of a run, one after the other, in seconds."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._last = time.monotonic()

    def mark(self, stage: str) -> None:
        """Name what happened since the last mark."""
        now = time.monotonic()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._last
        self._last = now
