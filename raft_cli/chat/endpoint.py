"""One request to an OpenAI-compatible server and what came of it. Knows no retry, no journal, no stage.

The openai SDK addresses and signs a request (key, organisation, Azure deployment); the bodies then go through aiohttp.
Measured: `create()` costs 1.6 ms of CPU a request, this path 0.11 ms (benchmarks/RESULTS.md).
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from raft_cli.chat.fault import Fault, Kind, classify_status, find_unsupported, read_seconds
from raft_cli.chat.keys import Access
from raft_cli.chat.schemas import SCHEMAS
from raft_cli.chat.sign import sign_request
from raft_cli.data import Message, Reply, Sampling

if TYPE_CHECKING:
    import aiohttp

_STOPPED = {None, "stop", "eos", "eos_token", "end_turn", "stop_sequence"}
_NO_SCHEMA = 2
_OPTIONAL = ("temperature", "stop")  # what a request can do without
Sent = tuple[str, int, frozenset[str]]  # name of the limit, rung of the schema, parameters left out


@dataclass(frozen=True, slots=True)
class Received:
    """A reply with what stays outside of it.

    Attributes:
        raw: The body as it came.
        remaining: Requests left by the server's count, or None.
        reset: Seconds until that count is reset.
    """

    reply: Reply
    raw: bytes
    remaining: float | None = None
    reset: float = 0.0


class Endpoint:
    """A model of an OpenAI-compatible server; what it does not support is settled once and told to `remember`."""

    def __init__(
        self, model: str, access: Access, *, timeout: float, settled: str = "", remember: Callable[[str], object] = len
    ) -> None:
        self.model = model
        self.identity = f"{access.address} {model}"
        self._access = access
        self._timeout = timeout
        self._remember: Callable[[str], object] = remember
        known = json.loads(settled) if settled else {}
        official = access.azure or access.address.startswith("https://api.openai.com")
        self._limit_name: str = known.get("limit", "max_completion_tokens" if official else "max_tokens")
        self._rung: int = known.get("rung", 0)
        self._without: frozenset[str] = frozenset(known.get("without", ()))
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._refused_limits: set[str] = set()
        self._url: Any = None
        self._headers: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        """What the server does not support, for people."""
        found = []
        if self._rung:
            found.append("replies without JSON schema" if self._rung == 1 else "replies without JSON mode")
        return found + [f"{name} not supported, left out" for name in sorted(self._without)]

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        """Send one request.

        Raises:
            Fault: There is no usable reply.
        """
        import aiohttp

        session = self._session or await self._open()
        sent = (self._limit_name, self._rung, self._without)
        body = orjson.dumps(self._build_body(messages, sampling))
        try:
            async with session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as response:
                raw = await response.read()
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise self._fault(Kind.TLS, str(error)) from error
        except TimeoutError as error:
            raise self._fault(Kind.TIMEOUT, f"no reply within {self._timeout:g} s (--timeout)") from error
        except aiohttp.ClientConnectorError as error:
            raise self._fault(Kind.CONNECTION, f"{self._access.address}: {error.os_error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._fault(Kind.TRANSIENT, f"{type(error).__name__}: {error}") from error
        if response.status != 200:
            raise self._refused(response.status, response.headers, raw.decode("utf-8", "replace"), sent)
        return self._read(raw, response.headers, messages)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> "aiohttp.ClientSession":
        import aiohttp
        import httpx2
        from yarl import URL

        async with self._opening:  # the first wave of requests shares one session
            if self._session is not None:
                return self._session
            url, self._headers = await sign_request(self.model, self._access)
            self._url = URL(url, encoded=True)
            trust = httpx2.create_ssl_context() if url.startswith("https") else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=trust),
                timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(self._timeout, 30)),
                proxy=_find_proxy(self._url.scheme, self._url.host or ""),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            return self._session

    def _build_body(self, messages: tuple[Message, ...], sampling: Sampling) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        body: dict[str, Any] = {"model": self.model, "messages": turns}
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.max_tokens is not None:
            body[self._limit_name] = sampling.max_tokens
        if sampling.schema and self._rung < _NO_SCHEMA:
            body["response_format"] = (
                {"type": "json_object"}
                if self._rung
                else {
                    "type": "json_schema",
                    "json_schema": {"name": sampling.schema, "strict": True, "schema": SCHEMAS[sampling.schema]},
                }
            )
        body |= json.loads(sampling.extra_body or "{}")
        return {name: value for name, value in body.items() if name not in self._without}

    def _refused(self, status: int, headers: Mapping[str, str], text: str, sent: Sent) -> Fault:
        fault = classify_status(status, headers, self._access.redact(text))
        if fault.kind is Kind.UNSUPPORTED and not self._downgrade(find_unsupported(text), sent):
            return Fault(Kind.BAD_REQUEST, fault.detail)
        return fault

    def _downgrade(self, parameter: str, sent: Sent) -> bool:
        """Do without `parameter` from now on, unless a reply since has settled it; tell whether that can help."""
        limit_name, rung, without = sent
        if parameter == "response_format" and rung < _NO_SCHEMA:
            self._rung = max(self._rung, rung + 1)
        elif parameter == limit_name:
            other = "max_completion_tokens" if limit_name == "max_tokens" else "max_tokens"
            self._refused_limits.add(limit_name)
            if other in self._refused_limits:
                return False
            self._limit_name = other if self._limit_name == limit_name else self._limit_name
        elif parameter in _OPTIONAL and parameter not in without:
            self._without |= {parameter}
        else:
            return False
        self._remember(json.dumps({"limit": self._limit_name, "rung": self._rung, "without": sorted(self._without)}))
        return True

    def _read(self, raw: bytes, headers: Mapping[str, str], messages: tuple[Message, ...]) -> Received:
        try:
            body = _load(raw)
        except ValueError as error:
            raise self._fault(Kind.TRANSIENT, f"a reply that is not JSON: {raw[:80]!r}") from error
        choices = body.get("choices") if isinstance(body, dict) else None
        if not choices:
            text = orjson.dumps(body).decode()
            inner = body.get("error") if isinstance(body, dict) else None
            status = inner.get("code") if isinstance(inner, dict) else None
            status = status if isinstance(status, int) and 400 <= status < 600 else 502
            raise classify_status(status, {}, self._access.redact(text))
        try:
            reply = _read_reply(body, choices[0], messages)
        except (AttributeError, KeyError, TypeError) as error:
            raise self._fault(Kind.TRANSIENT, f"a reply of unknown form: {raw[:80]!r}") from error
        remaining = headers.get("x-ratelimit-remaining-requests", "")
        return Received(
            reply,
            raw,
            float(remaining) if remaining.isdigit() else None,
            read_seconds(headers.get("x-ratelimit-reset-requests", "")) or 0.0,
        )

    def _fault(self, kind: Kind, detail: str) -> Fault:
        return Fault(kind, self._access.redact(detail))


def _load(raw: bytes) -> Any:  # noqa: ANN401 - a JSON value
    """Read JSON; half a surrogate pair, which some servers cut, becomes `?` instead of costing the reply."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return orjson.loads(json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8", "replace"))


def _read_reply(body: dict[str, Any], choice: dict[str, Any], messages: tuple[Message, ...]) -> Reply:
    message = choice.get("message") or {}
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    finish = choice.get("finish_reason")
    finish = "stop" if finish in _STOPPED else str(finish)
    if message.get("refusal"):
        text, finish = str(message["refusal"]), "refusal"
    elif finish == "stop" and not text.strip():
        finish = "empty"
    usage = body.get("usage") or {}
    asked, said = usage.get("prompt_tokens"), usage.get("completion_tokens")
    estimated = not (isinstance(asked, int) and isinstance(said, int))
    if estimated:
        asked, said = sum(len(turn.content.encode()) for turn in messages) // 4, len(text.encode()) // 4
    return Reply(text, finish, asked or 0, said or 0, estimated=estimated)


def _find_proxy(scheme: str, host: str) -> str | None:
    """Return the proxy of the environment, looked up once: aiohttp's own look-up costs 0.3 ms a request."""
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
