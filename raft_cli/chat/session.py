"""A model with journal, pace and spending cap: what the stages talk to. Knows no stage and no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from raft_cli.chat.endpoint import Received
from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.journal import Journal, hash_request
from raft_cli.chat.pace import Halted, Pace
from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import Incomplete, RaftError

_FINAL = {Kind.FILTER: "content_filter", Kind.CONTEXT: "context_length", Kind.BAD_REQUEST: "bad_request"}
_BAD_IN_ROW = 5
_LOOK_AGAIN = 0.05  # seconds


class Model(Protocol):
    """What a session asks: an endpoint, the embedded teacher, local weights."""

    identity: str

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        """Return one reply.

        Raises:
            Fault: There is none.
        """
        ...


@dataclass(slots=True)
class Usage:
    """What this run has used.

    Attributes:
        requests: Requests sent, refused ones included.
        replayed: Replies that came from the journal.
        cost: Dollars, 0 without prices.
        reserved: Dollars that requests in flight may still cost.
    """

    requests: int = 0
    replies: int = 0
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    cost: float = 0.0
    reserved: float = 0.0


@dataclass(frozen=True, slots=True)
class Caps:
    """What one run may spend.

    Attributes:
        prices: Dollars per million prompt tokens and completion tokens, or None when unknown.
    """

    requests: int | None = None
    cost: float | None = None
    prices: tuple[float, float] | None = None

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars that so many tokens cost."""
        if self.prices is None:
            return 0.0
        return (prompt_tokens * self.prices[0] + completion_tokens * self.prices[1]) / 1e6


class Session:
    """A `Chat`: replies come from the journal where it has them, and are journaled before anybody sees them."""

    def __init__(self, model: Model, *, journal: Journal, pace: Pace | None, caps: Caps, usage: Usage) -> None:
        self.usage = usage
        self.pace = pace
        self._model = model
        self._journal = journal
        self._caps = caps
        self._bad_in_row = 0  # refusals with no reply between them
        self._bad_keys: list[str] = []  # those of them that were kept as replies
        self._proven = journal.totals()[0] > 0

    async def complete(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        """Return the reply to `messages`; one that can never be had is a reply whose `finish` says so.

        Raises:
            Halted: The run was told to stop; nothing was sent.
            Fault: The server failed this request too often.
        """
        try:
            return await self._complete(messages, sampling)
        except RaftError as error:  # told to everybody at once, so that what is in flight is still awaited and kept
            if self.pace is None:
                raise
            self.pace.halt(error)
            raise Halted from error

    def key(self, messages: tuple[Message, ...], sampling: Sampling) -> str:
        """Return the hash of a whole request and the model's identity."""
        return hash_request(self._model.identity, messages, sampling)

    async def _complete(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        key = self.key(messages, sampling)
        if stored := self._journal.get(key):
            self.usage.replayed += 1
            return stored
        received = await self._receive(messages, sampling)
        self._journal.put(key, received.reply, received.raw)
        if received.reply.finish == "bad_request":
            self._bad_keys.append(key)
        else:
            self._bad_keys, self._bad_in_row = [], 0
        self._count(received.reply)
        return received.reply

    async def _receive(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        if self.pace is None:
            return await self._model.ask(messages, sampling)
        expected = sum(len(message.content.encode()) for message in messages) // 3 + (sampling.max_tokens or 0)
        reserve = self._caps.price(expected - (sampling.max_tokens or 0), sampling.max_tokens or 0)
        try:
            return await self.pace.run(
                self._sender(messages, sampling, reserve), priority=sampling.priority, tokens=expected
            )
        except Fault as fault:
            if fault.kind not in _FINAL:
                raise
            if fault.kind is Kind.BAD_REQUEST:
                self._note_bad(fault)
            return Received(Reply(fault.detail, _FINAL[fault.kind], 0, 0), fault.detail.encode())

    def _sender(
        self, messages: tuple[Message, ...], sampling: Sampling, reserve: float
    ) -> Callable[[], Awaitable[Received]]:
        async def send() -> Received:
            while self._must_wait(reserve):
                await asyncio.sleep(_LOOK_AGAIN)
            self._check_caps(reserve)
            self.usage.requests += 1
            self.usage.reserved += reserve
            try:
                received = await self._model.ask(messages, sampling)
            finally:
                self.usage.reserved -= reserve
            if received.remaining is not None and self.pace is not None:
                self.pace.note_remaining(received.remaining, received.reset)
            return received

        return send

    def _must_wait(self, reserve: float) -> bool:
        """Tell whether there is money left for a request, but others in flight might still need it."""
        cap, spent = self._caps.cost, self.usage.cost + reserve
        return cap is not None and spent <= cap < spent + self.usage.reserved and not self._stopped()

    def _stopped(self) -> bool:
        return self.pace is not None and self.pace.stopped_by is not None

    def _check_caps(self, reserve: float) -> None:
        """Refuse to send what would pass a cap.

        Raises:
            Halted: It would; the run is told to stop.
        """
        if self._stopped():
            raise Halted
        reason = ""
        if self._caps.requests is not None and self.usage.requests >= self._caps.requests:
            reason = f"--max-requests {self._caps.requests} reached"
        if self._caps.cost is not None and self.usage.cost + self.usage.reserved + reserve > self._caps.cost:
            reason = f"--max-cost {self._caps.cost:g} reached: {self.usage.cost:.4f} dollars spent"
        if reason and self.pace is not None:
            self.pace.halt(Incomplete(f"{reason}; every reply is kept"))
            raise Halted

    def _count(self, reply: Reply) -> None:
        self.usage.replies += 1
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        self.usage.estimated += reply.estimated
        self.usage.cost += self._caps.price(reply.prompt_tokens, reply.completion_tokens)

    def _note_bad(self, fault: Fault) -> None:
        """Decide whether a refusal is about this request alone; only then may it be kept as its reply.

        Raises:
            Fault: The server has not answered anything yet, so nothing is known of it.
            Halted: It refuses one request after the other: those stay pending, and the run is told to stop.
        """
        if self.pace is None:
            return
        self._bad_in_row += 1
        if self._bad_in_row >= _BAD_IN_ROW:
            for key in self._bad_keys:
                self._journal.forget(key)
            self._bad_keys = []
            self.pace.halt(
                Incomplete(f"the server refuses every request ({fault.detail}); check the model and --extra-body")
            )
        if self._stopped():
            raise Halted from fault
        if not (self._proven or self.pace.ever_answered):
            raise fault
