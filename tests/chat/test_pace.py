import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from clock import Bucket, now, run_fast

from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.pace import Halted, Pace
from raft_cli.errors import ChatError, Incomplete, Interrupted, RaftError

Send = Callable[[], Awaitable[object]]


def fail(kind: Kind, times: int = 10**9, *, then: object = "reply", after: float | None = None) -> Send:
    """Return a request that fails some times before it succeeds."""
    left = [times]

    async def send() -> object:
        await asyncio.sleep(0.1)
        if left[0]:
            left[0] -= 1
            raise Fault(kind, f"a {kind}", retry_after=after)
        return then

    return send


async def time_of(pace: Pace, send: Send) -> float:
    start = now()
    await pace.run(send)
    return now() - start


async def outcome_of(pace: Pace, send: Send, **more: int) -> str:
    try:
        await pace.run(send, **more)
    except (Fault, Halted) as error:
        return type(error).__name__
    return "reply"


def test_passing_faults_are_tried_again() -> None:
    for kind in (Kind.TRANSIENT, Kind.CONNECTION, Kind.TIMEOUT, Kind.RATE_LIMIT, Kind.UNSUPPORTED):
        pace = Pace(concurrency=4)
        seconds = run_fast(time_of(pace, fail(kind, 3)))
        assert pace.stopped_by is None and pace.in_flight == 0
        assert seconds < (0.5 if kind is Kind.UNSUPPORTED else 6)


def test_a_fifth_failure_is_the_last() -> None:
    pace = Pace(concurrency=4)
    assert run_fast(outcome_of(pace, fail(Kind.TRANSIENT, 4))) == "reply"
    assert run_fast(outcome_of(Pace(concurrency=4), fail(Kind.TRANSIENT))) == "Fault"


def test_rate_limits_are_no_failures() -> None:
    assert run_fast(outcome_of(Pace(concurrency=4), fail(Kind.RATE_LIMIT, 40, after=0.5))) == "reply"


def test_a_named_wait_is_kept() -> None:
    for seconds in (0.0, 2.0, 30.0):
        taken = run_fast(time_of(Pace(concurrency=4), fail(Kind.RATE_LIMIT, 1, after=seconds)))
        assert seconds + 0.2 <= taken <= 1.2 * seconds + 0.3


@pytest.mark.parametrize("kind", [Kind.BAD_REQUEST, Kind.CONTEXT, Kind.FILTER])
def test_what_can_never_work_is_not_tried_again(kind: Kind) -> None:
    pace = Pace(concurrency=4)
    assert run_fast(outcome_of(pace, fail(kind))) == "Fault"
    assert pace.stopped_by is None


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        (Kind.AUTH, ChatError, "OPENAI_API_KEY"),
        (Kind.NOT_FOUND, ChatError, "--base-url"),
        (Kind.TLS, ChatError, "SSL_CERT_FILE"),
        (Kind.QUOTA, Incomplete, "quota is used up"),
    ],
)
def test_some_faults_stop_the_run(kind: Kind, error: type[RaftError], words: str) -> None:
    async def work() -> Counter[str]:
        return Counter(await asyncio.gather(*(outcome_of(pace, fail(kind)) for _ in range(50))))

    pace = Pace(concurrency=4)
    assert run_fast(work()) == {"Halted": 50}
    assert type(pace.stopped_by) is error and words in str(pace.stopped_by) and f"a {kind}" in str(pace.stopped_by)


def test_what_is_in_flight_at_a_stop_is_kept() -> None:
    async def work() -> list[str]:
        slow = [asyncio.ensure_future(outcome_of(pace, fail(Kind.TRANSIENT, 0))) for _ in range(10)]
        retrying = asyncio.ensure_future(outcome_of(pace, fail(Kind.TRANSIENT, 1)))
        await asyncio.sleep(0.15)
        pace.halt(Interrupted("stop"))
        pace.halt(Incomplete("too late"))
        return [*await asyncio.gather(*slow), await retrying, await outcome_of(pace, fail(Kind.TRANSIENT, 0))]

    pace = Pace(concurrency=8)
    assert run_fast(work()) == ["reply"] * 10 + ["Halted"] * 2
    assert str(pace.stopped_by) == "stop"


def test_no_more_than_the_ceiling_at_once() -> None:
    async def work() -> None:
        await asyncio.gather(*(pace.run(bucket.serve) for _ in range(200)))

    for ceiling in (1, 7, 64):
        pace, bucket = Pace(concurrency=ceiling), Bucket(10**9, burst=10**9)
        run_fast(work())
        assert bucket.peak == ceiling and pace.in_flight == 0


def test_lower_priorities_go_first_and_equals_in_order() -> None:
    async def work() -> list[int]:
        order: list[int] = []

        async def send(name: int) -> None:
            await asyncio.sleep(0.1)
            order.append(name)

        waiting = [(9, 2), (1, 1), (2, 1), (0, 0), (8, 2)]
        async with asyncio.TaskGroup() as group:
            for name, priority in [(5, 5), *waiting]:
                group.create_task(pace.run(lambda name=name: send(name), priority=priority))
                await asyncio.sleep(0)
        return order

    pace = Pace(concurrency=1)
    assert run_fast(work()) == [5, 0, 1, 2, 9, 8]


def test_cancelled_waiters_leave_no_slot_behind() -> None:
    async def work() -> str:
        tasks = [asyncio.ensure_future(outcome_of(pace, fail(Kind.TRANSIENT, 0))) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await outcome_of(pace, fail(Kind.TRANSIENT, 0))

    pace = Pace(concurrency=3)
    assert run_fast(work()) == "reply" and pace.in_flight == 0


def test_a_server_that_is_not_there_stops_the_run_soon() -> None:
    async def work() -> tuple[list[str], float]:
        return await asyncio.gather(*(outcome_of(pace, fail(Kind.CONNECTION)) for _ in range(30))), now()

    pace = Pace(concurrency=8)
    outcomes, seconds = run_fast(work())
    assert type(pace.stopped_by) is ChatError and "cannot be reached" in str(pace.stopped_by)
    assert seconds < 15 and "reply" not in outcomes


def test_a_server_that_comes_up_late_is_waited_for() -> None:
    async def work() -> list[str]:
        async def send() -> None:
            if now() < 4:
                raise Fault(Kind.CONNECTION, "refused")

        return await asyncio.gather(*(outcome_of(pace, send) for _ in range(30)))

    pace = Pace(concurrency=8)
    assert set(run_fast(work())) == {"reply"}


def test_an_outage_in_the_middle_is_survived() -> None:
    async def work() -> Counter[str]:
        async def send() -> None:
            await asyncio.sleep(0.1)
            if 5 < now() < 305:
                raise Fault(Kind.CONNECTION, "refused")

        return Counter(await asyncio.gather(*(outcome_of(pace, send) for _ in range(2000))))

    pace = Pace(concurrency=16)
    assert run_fast(work()) == {"reply": 2000} and pace.stopped_by is None


@pytest.mark.parametrize("lasts", [0.3, 3, 40])
def test_an_outage_costs_about_as_long_as_it_lasts_and_is_told_once(lasts: float) -> None:
    """Many requests that fail together are one outage: their number must not lengthen the wait."""

    async def work() -> float:
        async def send() -> None:
            await asyncio.sleep(0.05)
            if 2 < now() < 2 + lasts:
                raise Fault(Kind.CONNECTION, "refused")

        await asyncio.gather(*(outcome_of(pace, send) for _ in range(4000)))
        return now()

    pace, told = Pace(concurrency=32), list[str]()
    pace.on_outage = told.append
    undisturbed = 4000 * 0.05 / 32
    assert run_fast(work()) < undisturbed + 3 * lasts + 2
    assert len(told) <= 1 and (lasts < 1 or "no answer any more (refused); waiting, 900 s at most" in told[0])


def test_an_outage_without_end_stops_the_run() -> None:
    async def work() -> float:
        async def send() -> None:
            await asyncio.sleep(0.1)
            if now() > 5:
                raise Fault(Kind.TRANSIENT, "HTTP 500")

        await asyncio.gather(*(outcome_of(pace, send) for _ in range(2000)))
        return now()

    pace = Pace(concurrency=16, max_outage=120)
    assert 120 < run_fast(work()) < 260
    assert type(pace.stopped_by) is Incomplete and "--max-outage" in str(pace.stopped_by)


def test_refusals_without_end_stop_the_run() -> None:
    pace = Pace(concurrency=16, max_outage=60)
    assert run_fast(outcome_of(pace, fail(Kind.RATE_LIMIT, after=1))) == "Halted"
    assert type(pace.stopped_by) is Incomplete


def test_requests_that_fail_alone_are_given_up_soon() -> None:
    """Some fail from the start to the end of a run whose others are answered: no outage to sit out."""

    async def work() -> tuple[Counter[str], float]:
        sends = [fail(Kind.TRANSIENT) if number < 30 else fail(Kind.TRANSIENT, 0) for number in range(800)]
        return Counter(await asyncio.gather(*(outcome_of(pace, send) for send in sends))), now()

    pace = Pace(concurrency=16)
    outcomes, seconds = run_fast(work())
    assert outcomes == {"reply": 770, "Fault": 30} and seconds < 30 and pace.stopped_by is None
