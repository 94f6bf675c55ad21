"""How the local teacher is set, and what it refuses by rule: keys, quota, rate, parameters it does not know."""

import time
from dataclasses import dataclass, field
from typing import Any

from teacher_faults import Outcome, limit, refuse


@dataclass(frozen=True)
class Settings:
    """How the teacher behaves.

    Attributes:
        latency: Seconds that a slot is held; with `sigma` the mean of a lognormal drawn from the request.
        slots: Requests served at once; further ones wait in line. 0 for no limit.
        rate: Requests a second let through, in bursts of `burst`; over it 429. 0 for no limit.
        retry_after: Header of each 429, sent as it stands; empty for none.
        headers: Whether replies carry `x-ratelimit-*` (with `rate`).
        faults: Shares by fault, or by `ask:fault` and `answer:fault` for one job only.
        fault_attempts: Faults strike only the first tries of a request and its conversation; 0 for all.
        quota: Replies after which the account is empty. 0 for no limit.
        reply: Said in place of everything else when not empty.
    """

    latency: float = 0.0
    sigma: float = 0.0
    slots: int = 0
    rate: float = 0.0
    burst: int = 1
    retry_after: str = "1"
    headers: bool = False
    faults: dict[str, float] = field(default_factory=dict)
    fault_attempts: int = 0
    seed: int = 0
    quota: int = 0
    auth: str = ""
    model: str = ""
    reply: str = ""
    no_schema: bool = False
    no_json_schema: bool = False
    no_max_tokens: bool = False
    no_temperature: bool = False


class Rules:
    """Refuses by the settings, with the token bucket that this takes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._keys = (f"Bearer {settings.auth}\r\n".encode(), f": {settings.auth}\r\n".encode())
        self._tokens, self._filled = float(settings.burst), time.monotonic()
        self._picky = settings.no_schema or settings.no_json_schema or settings.no_max_tokens or settings.no_temperature

    def gate(self, head: bytes, replies: int) -> Outcome | None:
        """Refuse a request for what stands before its body, or let it through."""
        told = self.settings
        if told.auth and not any(key in head for key in self._keys):
            return refuse(401, "Incorrect API key provided. Check your key.", "invalid_api_key")
        if told.quota and replies >= told.quota:
            return refuse(429, "You exceeded your current quota, please check your plan.", "insufficient_quota")
        if told.rate:
            now = time.monotonic()
            self._tokens = min(float(told.burst), self._tokens + (now - self._filled) * told.rate)
            self._filled = now
            if self._tokens < 1:
                return limit(told.retry_after)
            self._tokens -= 1
        return None

    def limit_headers(self) -> bytes:
        """Say what is left of the rate, where the settings want it."""
        if not (self.settings.headers and self.settings.rate):
            return b""
        left = int(self._tokens)
        wait = (self.settings.burst - self._tokens) / self.settings.rate
        told = f"limit-requests: {self.settings.burst}", f"remaining-requests: {left}", f"reset-requests: {wait:.3f}s"
        return "".join(f"x-ratelimit-{line}\r\n" for line in told).encode()

    def check(self, request: dict[str, Any]) -> Outcome | None:
        """Refuse a request for what it asks, or let it through."""
        if not self._picky:
            return None
        told, form = self.settings, request.get("response_format") or {}
        if form and (told.no_schema or (told.no_json_schema and form.get("type") == "json_schema")):
            message = (
                f"Invalid parameter: 'response_format' of type '{form.get('type')}' is not supported with this model."
            )
            return refuse(400, message, None, "response_format")
        if told.no_max_tokens and "max_tokens" in request:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. "
            return refuse(400, message + "Use 'max_completion_tokens' instead.", "unsupported_parameter", "max_tokens")
        if told.no_temperature and "temperature" in request:
            message = f"Unsupported value: 'temperature' does not support {request['temperature']} with this model. "
            return refuse(400, message + "Only the default (1) value is supported.", "unsupported_value", "temperature")
        return None
