"""An event loop whose clock jumps to the next timer, so that an hour of waiting costs a test nothing."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Moves the clock on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class FastLoop(asyncio.SelectorEventLoop):
    """Lives by a clock of its own; serves timers and futures, no network."""

    def __init__(self) -> None:
        self._moved = _Selector()
        super().__init__(self._moved)

    def time(self) -> float:
        return self._moved.now


def run_fast(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end by the fast clock."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(work)


def now() -> float:
    """Return the seconds of the running loop's clock."""
    return asyncio.get_running_loop().time()


class Bucket:
    """A server by the clock of the loop: `rate` requests a second in bursts of `burst`, each answered after `latency`.

    `strays` refuses a share of the requests that come, by their number.
    """

    def __init__(
        self, rate: float, *, burst: int = 1, latency: float = 0.05, strays: Mapping[int, int] | None = None
    ) -> None:
        self.rate, self.burst, self.latency = rate, burst, latency
        self.strays = strays or {}
        self.tokens = float(burst)
        self.filled = 0.0
        self.times: list[float] = []
        self.refused = self.in_flight = self.peak = 0

    def admit(self) -> bool:
        """Count a request and tell whether it is let through."""
        self.tokens = min(float(self.burst), self.tokens + (now() - self.filled) * self.rate)
        self.filled = now()
        self.times.append(now())
        stray = any(len(self.times) % each == at for each, at in self.strays.items())
        if self.tokens < 1 or stray:
            self.refused += 1
            return False
        self.tokens -= 1
        return True

    async def serve(self) -> bool:
        """Take the time of a request and tell whether it was let through."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        admitted = self.admit()
        await asyncio.sleep(self.latency if admitted else 0.01)
        self.in_flight -= 1
        return admitted
