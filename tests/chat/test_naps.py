import asyncio

import pytest

from raft_cli.chat.naps import Naps


def test_a_nap_ends_by_itself_or_all_are_broken_off() -> None:
    async def work() -> list[object]:
        naps = Naps()
        await naps.take(0.001)
        long = [asyncio.ensure_future(naps.take(60)) for _ in range(3)]
        await asyncio.sleep(0)
        naps.break_off(RuntimeError("up"))
        naps.break_off(RuntimeError("again"))  # what is over stays over
        return [type(result) for result in await asyncio.gather(*long, return_exceptions=True)]

    assert asyncio.run(work()) == [RuntimeError] * 3


def test_a_nap_that_is_cancelled_is_forgotten() -> None:
    async def work() -> None:
        naps = Naps()
        nap = asyncio.ensure_future(naps.take(60))
        await asyncio.sleep(0)
        nap.cancel()
        with pytest.raises(asyncio.CancelledError):
            await nap
        naps.break_off(RuntimeError("nobody there"))

    asyncio.run(work())
