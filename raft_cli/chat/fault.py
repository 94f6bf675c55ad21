"""What can go wrong with one request, as values that pace and session decide upon. Pure."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Class of a fault; decides what happens next."""

    RATE_LIMIT = "rate limit"  # wait and send again, without limit of tries
    TRANSIENT = "server error"  # send again a few times
    CONNECTION = "no connection"  # send again; an outage when nothing else comes
    TIMEOUT = "timeout"  # send again; fewer at once when they come together
    QUOTA = "quota"  # stop the run, resumable
    AUTH = "authentication"  # stop the run
    NOT_FOUND = "not found"  # stop the run
    TLS = "TLS"  # stop the run
    UNSUPPORTED = "unsupported parameter"  # drop the parameter for the whole run, send again
    BAD_REQUEST = "bad request"  # this request can never work
    CONTEXT = "context length"  # this request can never work
    FILTER = "content filter"  # this request was refused by a filter


class Fault(Exception):
    """A request without a usable reply.

    Attributes:
        retry_after: Seconds that the server asked to wait, or None.
    """

    def __init__(self, kind: Kind, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after


PARAMETERS = ("response_format", "max_completion_tokens", "max_tokens", "temperature", "stop")

_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|insufficient (?:credit|balance|funds)", re.I
)
_CONTEXT = re.compile(r"context[_ ](?:length|window)|maximum context|too many tokens|prompt is too long", re.I)
_FILTER = re.compile(r"content_filter|content management policy|responsibleaipolicy", re.I)
_OUT_OF_RANGE = re.compile(
    r"too (?:large|small|high|low)|valid range|at most|less than|greater than|<=|>=|maximum value", re.I
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecognized|unknown|extra fields|not permitted|invalid|does not", re.I
)


def classify_status(status: int, headers: Mapping[str, str], body: str) -> Fault:
    """Name the fault behind a reply with an error status.

    Args:
        body: The error body as text; only its first 300 characters reach a message.
    """
    detail = f"HTTP {status}: {' '.join(_read_message(body).split())[:300]}"
    wait = read_seconds(headers.get("retry-after-ms", ""), 0.001) or read_seconds(headers.get("retry-after", ""))
    if status in (402, 403, 429) and _QUOTA.search(body):
        return Fault(Kind.QUOTA, detail)
    if status == 429 or (status in (503, 529) and wait is not None):
        return Fault(Kind.RATE_LIMIT, detail, retry_after=wait)
    if status in (401, 403):
        return Fault(Kind.AUTH, detail)
    if status in (404, 405) or status < 400:  # a redirect is a wrong address too
        return Fault(Kind.NOT_FOUND, detail)
    if status in (408, 409, 425) or status >= 500:
        return Fault(Kind.TRANSIENT, detail, retry_after=wait)
    if _FILTER.search(body):
        return Fault(Kind.FILTER, detail)
    if _CONTEXT.search(body):
        return Fault(Kind.CONTEXT, detail)
    if find_unsupported(body):
        return Fault(Kind.UNSUPPORTED, detail)
    return Fault(Kind.BAD_REQUEST, detail)


def _read_message(body: str) -> str:
    """Return what an error body says to people: its `error.message` or `message`, else all of it."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    inner = value.get("error", value) if isinstance(value, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) and message else body


def find_unsupported(body: str) -> str:
    """Return the request parameter that a refusal names, or an empty string."""
    named = [name for name in PARAMETERS if re.search(rf"\b{name}\b", body)]
    if not named or not _UNSUPPORTED.search(body) or _OUT_OF_RANGE.search(body):
        return ""
    return min(named, key=body.index)  # the one complained of comes first, its replacement later


def read_seconds(text: str, unit: float = 1.0) -> float | None:
    """Read a duration as servers write it (`2`, `1.5`, `20ms`, `1m30s`), in seconds; None when it is something else."""
    text = text.strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text) * unit
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", text)
    if not text or not parts:
        return None
    hours, minutes, seconds, millis = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
