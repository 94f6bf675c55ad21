"""Waits that can be broken off all at once."""

import asyncio


class Naps:
    """The waits of one run."""

    def __init__(self) -> None:
        self._taken: set[asyncio.Future[None]] = set()

    async def take(self, seconds: float) -> None:
        """Wait so long, or until `break_off`, whose error is raised then."""
        loop = asyncio.get_running_loop()
        nap: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, nap)
        self._taken.add(nap)
        try:
            await nap
        finally:
            timer.cancel()
            self._taken.discard(nap)

    def break_off(self, error: Exception) -> None:
        """End every wait with an error."""
        for nap in self._taken:
            if not nap.done():
                nap.set_exception(error)


def _finish(nap: asyncio.Future[None]) -> None:
    if not nap.done():
        nap.set_result(None)
