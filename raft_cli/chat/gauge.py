"""What a server takes: slots, requests and tokens a minute, and the pace learned from its refusals.

Every method is given the time, so that tests need no clock.
"""

from collections import deque

_RECENT = 48  # outcomes looked at for refusals that come together
_TOGETHER, _SHARE = 3, 1 / 3  # so many within _SPAN seconds, and this share of the recent ones
_SPAN = 2.0
_WINDOW = 5.0  # seconds over which the accepted pace is measured
_CAUTION = 0.9
_GROWTH = 1.06  # per second
_SLOWEST = 0.05  # requests a second


class Gauge:
    """Answers one question: how long must the next request wait?"""

    def __init__(self, slots: int, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self.in_flight = 0
        self.limited_by = "nothing"
        self._ceiling = slots
        self._slots = float(slots)
        self._interval = 60 / rpm if rpm else 0.0
        self._tokens_per_second = tpm / 60 if tpm else 0.0
        self._tokens = tpm / 6 if tpm else 0.0  # ten seconds' worth at once
        self._tokens_at: float | None = None
        self._next = 0.0  # no request before this, by the request limit
        self._pace: float | None = None  # requests a second that the server was seen to take
        self._pace_at = 0.0
        self._paced_next = 0.0
        self._closed_until = 0.0
        self._last_cut = float("-inf")
        self._outcomes: deque[bool] = deque(maxlen=_RECENT)
        self._refusals: deque[float] = deque(maxlen=_TOGETHER)
        self._successes: deque[float] = deque(maxlen=4096)
        self._first = float("inf")
        self._closed: deque[tuple[float, float]] = deque(maxlen=16)
        self._hint_until = 0.0
        self._hint_interval = 0.0

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a request of `tokens` tokens may go; infinity while no slot is free."""
        if self.in_flight >= int(self._slots):
            self.limited_by = "concurrency"
            return float("inf")
        waits = {
            "the request limit": self._next - now,
            "the token limit": self._wait_tokens(now, tokens),
            "the server's refusals": max(self._closed_until, self._paced_next) - now,
        }
        longest = max(waits, key=lambda name: waits[name])
        self.limited_by = longest if waits[longest] > 0 else "nothing"
        return max(0.0, waits[longest])

    def take(self, now: float, tokens: int) -> None:
        """Record that a request goes now."""
        self.in_flight += 1
        self._first = min(self._first, now)
        if self._interval:
            self._next = max(self._next, now - self._interval) + self._interval
        if self._tokens_per_second:
            self._refill(now)
            self._tokens -= tokens
        interval = 0.0
        if pace := self.current_pace(now):
            interval = 1 / pace
        if now < self._hint_until:
            interval = max(interval, self._hint_interval)
        self._paced_next = max(self._paced_next, now - interval) + interval

    def give_back(self) -> None:
        """Record that a request came back."""
        self.in_flight -= 1

    def note_success(self, now: float) -> None:
        """Record a reply."""
        self._outcomes.append(False)
        self._successes.append(now)
        if self._slots < self._ceiling:
            self._slots = min(self._ceiling, self._slots + 1 / self._slots)

    def note_refusal(self, now: float, sent: float, retry_after: float | None) -> None:
        """Record a 429; together with others it lowers the pace, at most once a round trip."""
        self._outcomes.append(True)
        self._refusals.append(now)
        share = sum(self._outcomes) / len(self._outcomes)
        together = len(self._refusals) == _TOGETHER and now - self._refusals[0] <= _SPAN
        if not together or share < _SHARE or sent <= self._last_cut:
            return
        self._last_cut = now
        self._pace = max(_SLOWEST, _CAUTION * self._accepted(now))
        self._pace_at = now
        self._paced_next = now
        if share >= 0.5:
            closed = now + (retry_after if retry_after is not None else 1.0)
            self._closed.append((max(now, self._closed_until), closed))
            self._closed_until = max(self._closed_until, closed)

    def note_timeout(self) -> None:
        """Record a request that was given up: a server that queues is asked fewer things at once."""
        self._slots = max(1.0, self._slots * 0.8)

    def note_remaining(self, now: float, remaining: float, reset: float) -> None:
        """Record what the server says is left (requests) until a reset in `reset` seconds."""
        if remaining <= self.in_flight and reset > 0:
            self._hint_until = now + min(reset, 60.0)
            self._hint_interval = min(reset, 60.0) / max(remaining, 1.0)

    def current_pace(self, now: float) -> float | None:
        """Return the learned pace, grown since it was learned, in requests a second; None when there is none."""
        if self._pace is None:
            return None
        pace: float = self._pace * _GROWTH ** (now - self._pace_at)
        if pace > 4 * self._accepted(now) and now - self._pace_at > 2 * _WINDOW:
            self._pace = None  # what the server takes is no longer what holds us back
            return None
        return pace

    def _accepted(self, now: float) -> float:
        """Return replies a second over the last seconds in which asking was allowed."""
        start = max(now - _WINDOW, min(self._first, now))
        closed = sum(max(0.0, min(end, now) - max(begin, start)) for begin, end in self._closed)
        while self._successes and self._successes[0] < now - _WINDOW:
            self._successes.popleft()
        return len(self._successes) / max(1.0, now - start - closed)

    def _wait_tokens(self, now: float, tokens: int) -> float:
        if not self._tokens_per_second:
            return 0.0
        self._refill(now)
        need = min(tokens, self._tokens_per_second * 10)
        return (need - self._tokens) / self._tokens_per_second

    def _refill(self, now: float) -> None:
        if self._tokens_at is not None:
            gained = (now - self._tokens_at) * self._tokens_per_second
            self._tokens = min(self._tokens_per_second * 10, self._tokens + gained)
        self._tokens_at = now
