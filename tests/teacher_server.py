"""The local teacher itself: slots, the line of waiting requests, the log. Knows nothing of the package it tests."""

import asyncio
import math
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, Protocol

import orjson
from teacher_faults import Draw, Outcome, completion, refuse, strike
from teacher_replies import Job, good_reply, read_job
from teacher_rules import Rules, Settings

_NORMAL = NormalDist()


class Client(Protocol):
    """The connection a reply goes to."""

    number: int

    def send(self, outcome: Outcome, headers: bytes = b"") -> None: ...


@dataclass(slots=True, eq=False)
class Ticket:
    """One request on its way; its public fields are the log."""

    connection: Client
    time: float
    hash: str
    attempt: int
    in_flight: int
    size: int
    replied: float | None = None
    status: int = 0
    fault: str = ""
    job: str = ""
    turn: int = 0
    outcome: Outcome | None = None
    seconds: float = 0.0
    timer: asyncio.TimerHandle | None = None
    gone: bool = False

    def logged(self) -> dict[str, Any]:
        """Return what the log shows."""
        names = ("time", "replied", "hash", "attempt", "status", "fault", "in_flight", "job", "turn", "size", "gone")
        return {name: getattr(self, name) for name in names}


class TeacherServer:
    """State of one teacher: settings, counters, log, line of waiting requests."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[Ticket] = deque()
        self.in_flight = self.serving = 0
        self.set(settings)
        self.reset()

    def set(self, settings: Settings) -> None:
        """Behave by `settings` from the next request on."""
        self.settings = settings
        self.draw = Draw(settings.faults)
        self.rules = Rules(settings)
        self.seed = str(settings.seed).encode()

    def reset(self) -> None:
        """Forget what was seen; what is in flight stays."""
        self.log: list[Ticket] = []
        self.requests: deque[tuple[bytes, bytes]] = deque(maxlen=2000)
        self.attempts: dict[str, int] = {}
        self.peak = self.in_flight
        self.replies = self.sent = self.received = 0
        self.connections: set[int] = set()
        self.cpu = time.process_time()

    def stats(self) -> dict[str, Any]:
        """Sum up what was seen since the last reset."""
        replied = [ticket.replied for ticket in self.log if ticket.replied]
        counts: dict[str, int] = {}
        for ticket in self.log:
            name = ticket.fault or str(ticket.status)
            counts[name] = counts.get(name, 0) + 1
        first, last = (self.log[0].time if self.log else 0.0), max(replied, default=0.0)
        return {
            "requests": len(self.log),
            "replies": len(replied),
            "bodies": len(self.attempts),
            "peak": self.peak,
            "first": first,
            "last": last,
            "window": max(0.0, last - first),
            "connections": len(self.connections),
            "bytes_in": self.received,
            "bytes_out": self.sent,
            "counts": counts,
            "cpu": time.process_time() - self.cpu,
        }

    def chat(self, connection: Client, head: bytes, body: bytes) -> Ticket:
        """Take a chat request in; its reply comes when it is due."""
        key = blake2b(body, digest_size=8).hexdigest()
        attempt = self.attempts[key] = self.attempts.get(key, 0) + 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.received += len(head) + len(body)
        self.connections.add(connection.number)
        self.requests.append((head, body))
        ticket = Ticket(connection, time.time(), key, attempt, self.in_flight, len(body))
        self.log.append(ticket)
        outcome = self.rules.gate(head, self.replies) or self._outcome(ticket, body)
        ticket.outcome = outcome
        if outcome.act == "hang":
            ticket.fault = "hang"
        elif outcome.quick:
            self._reply(ticket)
        elif self.settings.slots and self.serving >= self.settings.slots:
            self.waiting.append(ticket)
        else:
            self._serve(ticket)
        return ticket

    def _outcome(self, ticket: Ticket, body: bytes) -> Outcome:
        told = self.settings
        try:
            request = orjson.loads(body)
            job = read_job(request["messages"])
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return refuse(400, "We could not parse the JSON body of your request.", None)
        ticket.job, ticket.turn = job.name, job.turn
        model = str(request.get("model", told.model))
        if told.model and model != told.model:
            return refuse(404, f"The model `{model}` does not exist.", "model_not_found")
        refused = self.rules.check(request)
        if refused:
            return refused
        draw = blake2b(body, digest_size=16, key=self.seed, salt=ticket.attempt.to_bytes(4, "big")).digest()
        ticket.seconds = told.latency
        if told.sigma and told.latency:
            deviate = _NORMAL.inv_cdf((int.from_bytes(draw[:6], "big") + 1) / (2**48 + 2))
            ticket.seconds *= math.exp(told.sigma * deviate - told.sigma**2 / 2)
        tried = ticket.attempt + job.turn
        if told.faults and (not told.fault_attempts or tried <= told.fault_attempts):
            ticket.fault = self.draw.draw(job.name, int.from_bytes(draw[8:], "big") / 2**64)
        return self._write(ticket, job, body, model)

    def _write(self, ticket: Ticket, job: Job, body: bytes, model: str) -> Outcome:
        if ticket.fault:
            return strike(ticket.fault, job, body, model, self.settings.retry_after)
        return Outcome(200, completion(body, model, self.settings.reply or good_reply(job)))

    def _serve(self, ticket: Ticket) -> None:
        self.serving += 1
        ticket.timer = self.loop.call_later(ticket.seconds, self._finish, ticket)

    def _finish(self, ticket: Ticket) -> None:
        ticket.timer = None
        self._free()
        self._reply(ticket)

    def _free(self) -> None:
        self.serving -= 1
        while self.waiting and self.serving < (self.settings.slots or math.inf):
            self._serve(self.waiting.popleft())

    def _reply(self, ticket: Ticket) -> None:
        outcome = ticket.outcome
        assert outcome is not None
        ticket.outcome = None
        ticket.status, ticket.replied = outcome.status, time.time()
        self.in_flight -= 1
        self.replies += outcome.status == 200
        self.sent += len(outcome.body)
        ticket.connection.send(outcome, self.rules.limit_headers())

    def drop(self, ticket: Ticket) -> None:
        """Give up a request whose client went away."""
        ticket.gone = True
        self.in_flight -= 1
        if ticket.timer:
            ticket.timer.cancel()
            self._free()
        elif ticket in self.waiting:
            self.waiting.remove(ticket)

    def admin(self, path: str, body: bytes) -> bytes:
        """Answer what the test asks about its teacher."""
        if path == "/admin/log":
            return orjson.dumps([ticket.logged() for ticket in self.log])
        if path == "/admin/requests":
            return orjson.dumps([_readable(head, body) for head, body in self.requests])
        if path == "/admin/reset":
            self.reset()
        elif path == "/admin/set":
            self.set(replace(self.settings, **orjson.loads(body)))
        return orjson.dumps(self.stats() if path == "/admin/stats" else asdict(self.settings))


def _readable(head: bytes, body: bytes) -> dict[str, Any]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    return {"path": first.split(" ")[1], "headers": headers, "body": parsed}
