"""Many requests to one server at once: ended by the last of them, by Ctrl-C, or by a server that refuses everything."""

import asyncio
from collections.abc import Awaitable, Callable

from raft_cli.chat.endpoint import Endpoint
from raft_cli.chat.fault import Fault
from raft_cli.chat.halting import give_up, stop_on_signals
from raft_cli.chat.journal import Journal
from raft_cli.chat.keys import Access
from raft_cli.chat.pace import Halted, Pace
from raft_cli.chat.session import Caps, Session, Usage
from raft_cli.errors import Interrupted


def connect_endpoint(model: str, access: Access, journal: Journal, *, timeout: float) -> Endpoint:
    """Return a model of a server; what it does not support is remembered in the journal."""
    note = f"endpoint {access.address} {model}"
    return Endpoint(
        model,
        access,
        timeout=timeout,
        settled=journal.note(note),
        remember=lambda settled: journal.note(note, settled),
    )


async def run_round(
    ask: Callable[[Session, int], Awaitable[None]],
    count: int,
    *,
    endpoint: Endpoint,
    journal: Journal,
    concurrency: int,
    where: str,
    max_outage: float,
    say: Callable[[str], None],
) -> list[str]:
    """Do `ask` for 0 to `count`, then close the endpoint; return why the server failed some of them too often.

    Args:
        where: What names model and server, for messages.
        max_outage: Seconds without any answer after which it is given up.

    Raises:
        ChatError: The server refuses the key, does not know the model, or cannot be reached.
        Incomplete: The quota is used up, or it gave no answer for too long.
        Interrupted: Ctrl-C.
    """
    pace, failed = Pace(concurrency=concurrency, where=where, max_outage=max_outage), list[str]()
    session = Session(endpoint, journal=journal, pace=pace, caps=Caps(), usage=Usage())

    async def ask_one(number: int) -> None:
        try:
            await ask(session, number)
        except Fault as fault:
            failed.append(fault.detail)

    work = asyncio.ensure_future(_do_all(ask_one, count, workers=2 * concurrency))
    pace.on_outage = lambda told: say(f"{where}: {told}")
    pace.on_halt = lambda reason: give_up(work, reason, answered=pace.ever_answered)
    try:
        with stop_on_signals(pace, work, say):
            await work
    except asyncio.CancelledError:
        raise pace.stopped_by or Interrupted("at once; every answer that had arrived is kept") from None
    finally:
        await endpoint.close()
    if pace.stopped_by:
        raise pace.stopped_by
    return failed


async def _do_all(work: Callable[[int], Awaitable[None]], count: int, *, workers: int) -> None:
    """Work on 0 to `count`, at most `workers` at once, until the run is told to stop."""
    waiting = iter(range(count))

    async def go_on() -> None:
        for number in waiting:
            try:
                await work(number)
            except Halted:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, count)):
                group.create_task(go_on())
    except ExceptionGroup as failures:  # one worker's failure ends the others; show it as what it is
        raise failures.exceptions[0] from None
