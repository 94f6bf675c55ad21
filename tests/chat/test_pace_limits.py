import asyncio

import pytest
from clock import Bucket, now, run_fast
from test_pace import fail, outcome_of

from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.pace import Pace


def drain(bucket: Bucket, pace: Pace, count: int, retry_after: float | None = 1.0) -> float:
    """Send `count` requests through a bucket; return the seconds it took."""

    async def send() -> None:
        if not await bucket.serve():
            raise Fault(Kind.RATE_LIMIT, "HTTP 429", retry_after=retry_after)

    async def work() -> float:
        await asyncio.gather(*(pace.run(send) for _ in range(count)))
        return now()

    return run_fast(work())


@pytest.mark.parametrize("retry_after", [1.0, None])
@pytest.mark.parametrize(("rate", "burst", "count"), [(40, 1, 2000), (40, 40, 2000), (5, 1, 300), (0.5, 1, 30)])
def test_no_request_fails_and_little_time_is_lost_to_a_bucket(
    rate: float, burst: int, count: int, retry_after: float | None
) -> None:
    bucket, pace = Bucket(rate, burst=burst), Pace(concurrency=64)
    seconds = drain(bucket, pace, count, retry_after)
    assert pace.stopped_by is None
    assert seconds < 2 * count / rate + 15
    assert bucket.refused < 0.7 * count + 150


def test_stray_refusals_cost_their_own_requests_only() -> None:
    clean = drain(Bucket(10**9, burst=10**9), Pace(concurrency=32), 3000)
    stray = drain(Bucket(10**9, burst=10**9, strays={20: 7}), Pace(concurrency=32), 3000)
    assert stray < 1.2 * clean + 2.5


def test_given_limits_are_kept() -> None:
    bucket = Bucket(10**9, burst=10**9)
    seconds = drain(bucket, Pace(concurrency=64, rpm=600), 300)
    assert 29 < seconds < 32
    assert all(later - earlier > 0.99 for earlier, later in zip(bucket.times, bucket.times[11:], strict=False))


def test_given_token_limits_are_kept() -> None:
    async def work() -> float:
        pace = Pace(concurrency=64, tpm=6000)
        await asyncio.gather(*(pace.run(fail(Kind.TRANSIENT, 0), tokens=100) for _ in range(40)))
        return now()

    assert 29 < run_fast(work()) < 32  # 4,000 tokens: 1,000 at once, the rest at 100 a second


def test_timeouts_make_it_ask_for_less_at_once() -> None:
    async def work() -> int:
        bucket = Bucket(10**9, burst=10**9)
        pace = Pace(concurrency=64)
        await asyncio.gather(*(outcome_of(pace, fail(Kind.TIMEOUT, 1)) for _ in range(64)))
        while_recovering = asyncio.gather(*(pace.run(bucket.serve) for _ in range(64)))
        await asyncio.sleep(0.04)
        peak = bucket.peak
        await while_recovering
        return peak

    assert run_fast(work()) < 64
