"""What a server takes: slots, requests and tokens a minute, and the pace learned from its refusals.

Every method is given the time, so that tests need no clock.
"""

from bisect import bisect_left
from collections import deque

_RECENT = 48  # outcomes looked at for refusals that come together
_TOGETHER, _SHARE = 3, 1 / 3  # so many within _SPAN seconds, and this share of the recent ones
_SPAN = 2.0
_WINDOW = 5.0  # seconds over which the accepted pace is measured
_CAUTION = 0.9
_GROWTH, _PROBING = 1.06, 1.5  # per second; the second while next to nothing is known of the server
_LATELY = 1.5  # seconds over which it is measured as well, since it may just have risen
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
        self._growth = _GROWTH
        self._paced_next = 0.0
        self._closed_until = 0.0
        self._last_cut = float("-inf")
        self._outcomes: deque[bool] = deque(maxlen=_RECENT)
        self._refusals: deque[float] = deque(maxlen=_TOGETHER)
        self._sent: deque[float] = deque(maxlen=16384)
        self._refused: deque[float] = deque(maxlen=16384)  # when they had been sent
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
        self._sent.append(now)
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

    def note_success(self) -> None:
        """Record a reply."""
        self._outcomes.append(False)
        if self._slots < self._ceiling:
            self._slots = min(self._ceiling, self._slots + 1 / self._slots)

    def note_refusal(self, now: float, sent: float, retry_after: float | None) -> None:
        """Record a 429; together with others it lowers the pace, at most once a round trip."""
        self._outcomes.append(True)
        self._refusals.append(now)
        self._refused.append(sent)
        share = sum(self._outcomes) / len(self._outcomes)
        together = len(self._refusals) == _TOGETHER and now - self._refusals[0] <= _SPAN
        if not together or share < _SHARE:
            return
        pace = max(_SLOWEST, _CAUTION * self._accepted(now))
        if sent <= self._last_cut:  # of the same wave: what of it was accepted is known better now
            self._pace = min(pace, self._pace or pace)
            return
        self._last_cut = now
        self._pace = pace
        self._pace_at = now
        self._growth = _PROBING if self._open_time(self._first, now) < _LATELY else _GROWTH
        self._paced_next = now
        if share >= 0.5:
            closed = now + (retry_after if retry_after is not None else 1.0)
            self._closed.append((max(now, self._closed_until), closed))
            self._closed_until = max(self._closed_until, closed)
            self._pace_at = self._closed_until  # it grows by being tried out

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
        pace: float = self._pace * self._growth ** max(0.0, now - self._pace_at)
        if now - self._pace_at > 2 * _WINDOW and pace > 4 * self._accepted(now):
            self._pace = None  # what the server takes is no longer what holds us back
            return None
        return pace

    def _accepted(self, now: float) -> float:
        """Return requests sent and not refused, per second, over the last seconds in which asking was allowed.

        Replies would say it too late: a refusal comes at once, a reply after seconds.
        """
        for times in (self._sent, self._refused):
            while times and times[0] < now - _WINDOW:
                times.popleft()
        return max(self._measure(now - span, now) for span in (_WINDOW, _LATELY))

    def _measure(self, start: float, now: float) -> float:
        start = max(start, min(self._first, now))
        sent, refused = (len(times) - bisect_left(times, start) for times in (self._sent, self._refused))
        return max(0, sent - refused) / max(1.0, self._open_time(start, now))

    def _open_time(self, start: float, now: float) -> float:
        """Return the seconds from `start` in which the gate was not closed."""
        return now - start - sum(max(0.0, min(end, now) - max(begin, start)) for begin, end in self._closed)

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
