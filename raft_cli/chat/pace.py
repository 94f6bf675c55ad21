"""How fast to ask: slots, given limits, limits learned from refusals, retries, outages. Knows no HTTP and no stage.

A lone refusal delays its own request; only refusals that come together lower the pace, to nine tenths of what the
server was seen to accept, and the pace recovers in proportion to itself. (Cutting everybody's concurrency at each
refusal was seen to make a run forty times slower under five per cent of stray 429s.)
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.gauge import Gauge
from raft_cli.chat.naps import Naps
from raft_cli.errors import ChatError, Incomplete, RaftError

T = TypeVar("T")


_TRIES = 5
_BACKOFF, _LONGEST_BACKOFF = 0.5, 60.0
_OUTAGE_AFTER = 8  # faults in a row, with no success between, that make an outage
_STRAGGLERS = 3.0  # seconds into an outage in which replies may still come
_FIRST_CONTACT = 5.0  # seconds in which a server that never answered may come up
_STOPPERS = {
    Kind.AUTH: "the server refuses the key",
    Kind.NOT_FOUND: "the server does not know this model or address",
    Kind.TLS: "no secure connection to the server",
}
_HINTS = {
    Kind.AUTH: "set OPENAI_API_KEY (or the variables of your provider) in the environment or in --env-file",
    Kind.NOT_FOUND: "check {where} (most servers want the address to end in /v1)",
    Kind.TLS: "trust comes from the operating system: set SSL_CERT_FILE for a private authority",
}


class Halted(Exception):
    """Raised to whoever wants a further request after the run was told to stop; the work stays pending."""


class Pace:
    """Lets requests through, at most `concurrency` at once, in order of priority.

    Args:
        rpm: Requests a minute, None for as many as the server takes.
        tpm: Tokens a minute, likewise.
        max_outage: Seconds without any success after which the run stops.
        where: What names model and server, for messages.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        rpm: int | None = None,
        tpm: int | None = None,
        max_outage: float = 900.0,
        where: str = "--teacher and --base-url",
    ) -> None:
        self.gauge = Gauge(concurrency, rpm=rpm, tpm=tpm)
        self.stopped_by: RaftError | None = None
        self.on_halt: Callable[[RaftError], object] = lambda reason: None
        self.on_outage: Callable[[str], object] = lambda told: None
        self._max_outage = max_outage
        self._where = where
        self._waiting: list[tuple[int, int, asyncio.Future[None], int]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._naps = Naps()
        self._faults_in_row = 0
        self._told_outage = False
        self._last_success: float | None = None
        self._started: float | None = None
        self._jitter = random.Random(0)

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return self.gauge.in_flight

    @property
    def ever_answered(self) -> bool:
        """Whether the server has given any reply."""
        return self._last_success is not None

    def halt(self, reason: RaftError) -> None:
        """Send nothing more; requests in flight go on. The first reason given stands."""
        if self.stopped_by is None:
            self.stopped_by = reason
            self.on_halt(reason)
        for _, _, future, _ in self._waiting:
            if not future.done():
                future.set_exception(Halted())
        self._waiting.clear()
        self._naps.break_off(Halted())

    def note_remaining(self, remaining: float, reset: float) -> None:
        """Take the server's word for the requests left, and the seconds until that count is reset."""
        self.gauge.note_remaining(self._now(), remaining, reset)

    async def run(self, send: Callable[[], Awaitable[T]], *, priority: int = 1, tokens: int = 0) -> T:
        """Return what `send` returns, sent when its turn comes and again after passing faults.

        Args:
            tokens: What the request is expected to use, for a token limit.

        Raises:
            Halted: The run was told to stop before the request could be sent (again).
            Fault: The request itself cannot work, or failed too often.
        """
        tries = 0
        failing_since = None
        while True:
            await self._acquire(priority, tokens)
            sent = self._now()
            try:
                result = await send()
            except Fault as fault:
                self._release()
                failing_since = failing_since or self._now()
                counted = self._judge(fault, sent, failing_since)
                tries += counted
                if fault.kind in (Kind.BAD_REQUEST, Kind.CONTEXT, Kind.FILTER) or tries >= _TRIES:
                    raise
                if self.stopped_by:
                    raise Halted from fault
                priority = 0  # what has waited once goes first
                if fault.kind is not Kind.UNSUPPORTED:
                    lasted = 0.0 if counted else self._now() - (self._last_success or self._started or self._now())
                    await self._naps.take(self._delay(fault, tries, lasted))
                continue
            except BaseException:
                self._release()
                raise
            self._last_success = self._now()
            self._faults_in_row = 0
            self._told_outage = False
            self.gauge.note_success()
            self._release()
            return result

    def _judge(self, fault: Fault, sent: float, failing_since: float) -> int:
        """Draw the consequences of a fault for the run; return how many tries it counts.

        In an outage none: it is not the request's fault, unless others were answered while it kept failing.
        """
        now = self._now()
        if fault.kind in _STOPPERS:
            hint = _HINTS[fault.kind].format(where=self._where)
            self.halt(ChatError(f"{_STOPPERS[fault.kind]} ({fault.detail}); {hint}"))
        elif fault.kind is Kind.QUOTA:
            self.halt(Incomplete(f"the quota is used up ({fault.detail}); every reply is kept"))
        elif fault.kind is Kind.RATE_LIMIT:
            self.gauge.note_refusal(now, sent, fault.retry_after)
            self._stop_if_silent(now, fault)
            return 0
        elif fault.kind in (Kind.TRANSIENT, Kind.CONNECTION, Kind.TIMEOUT):
            self._faults_in_row += 1
            if fault.kind is Kind.TIMEOUT:
                self.gauge.note_timeout()
            self._stop_if_silent(now, fault)
            alone = (self._last_success or 0.0) > failing_since + _STRAGGLERS
            if alone or self._faults_in_row <= _OUTAGE_AFTER + self.gauge.in_flight:
                return 1
            if not self._told_outage:
                self._told_outage = True
                self.on_outage(f"no answer any more ({fault.detail}); waiting, {self._max_outage:g} s at most")
        return 0

    def _stop_if_silent(self, now: float, fault: Fault) -> None:
        since = now - (self._last_success or self._started or now)
        if (
            self._last_success is None
            and fault.kind is Kind.CONNECTION
            and since > min(_FIRST_CONTACT, self._max_outage)
        ):
            self.halt(ChatError(f"the server cannot be reached ({fault.detail}); check {self._where} and that it runs"))
        elif since > self._max_outage:
            self.halt(
                Incomplete(
                    f"no answer for {since:.0f} s ({fault.detail}); every reply is kept (--max-outage to wait longer)"
                )
            )

    def _delay(self, fault: Fault, failures: int, lasted: float) -> float:
        if fault.retry_after is not None:
            return fault.retry_after * self._jitter.uniform(1.0, 1.2)
        ceiling = _LONGEST_BACKOFF if self.ever_answered else _FIRST_CONTACT / 2
        longest: float = min(ceiling, max(lasted, _BACKOFF * 2.0 ** min(max(failures, 1) - 1, 10)))
        return self._jitter.uniform(0.5, 1.0) * longest

    async def _acquire(self, priority: int, tokens: int) -> None:
        if self.stopped_by:
            raise Halted
        now = self._now()
        self._started = self._started or now
        if not self._waiting and self.gauge.wait(now, tokens) == 0:
            self.gauge.take(now, tokens)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._waiting, (priority, self._order, turn, tokens))
        self._pump()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()
            raise

    def _release(self) -> None:
        self.gauge.give_back()
        self._pump()

    def _pump(self) -> None:
        """Let through whoever may go now, and come back when the next may."""
        now = self._now()
        while self._waiting:
            _, _, turn, tokens = self._waiting[0]
            if turn.done():
                heapq.heappop(self._waiting)
                continue
            wait = self.gauge.wait(now, tokens)
            if wait == float("inf"):
                return  # a slot has to come free first
            if wait > 0:
                self._wake_in(wait)
                return
            heapq.heappop(self._waiting)
            self.gauge.take(now, tokens)
            turn.set_result(None)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._pump)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
