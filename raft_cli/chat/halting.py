"""How work in an event loop comes to an early end: by signals, or by a server that refuses everything."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from raft_cli.chat.pace import Pace
from raft_cli.errors import ChatError, Interrupted, RaftError


def give_up(work: "asyncio.Future[Any]", reason: RaftError, *, answered: bool) -> None:
    """Wait for nothing when the server refused the run before it gave any reply."""
    if isinstance(reason, ChatError) and not answered:
        work.cancel()


@contextlib.contextmanager
def stop_on_signals(pace: Pace, work: "asyncio.Future[Any]", say: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) finish what is in flight, and the second stop at once."""
    loop = asyncio.get_running_loop()

    def stop(name: str) -> None:
        if isinstance(pace.stopped_by, Interrupted):
            work.cancel()
            return
        reason = Interrupted(f"by {name}; every reply is kept")
        pace.halt(reason)
        pace.stopped_by = reason
        requests = "request" if pace.in_flight == 1 else "requests"
        say(f"finishing {pace.in_flight} {requests} in flight; Ctrl-C again to stop at once")

    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
    with contextlib.suppress(NotImplementedError):  # no signal handlers in the event loops of Windows
        for number, name in names.items():
            loop.add_signal_handler(number, stop, name)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in names:
                loop.remove_signal_handler(number)
