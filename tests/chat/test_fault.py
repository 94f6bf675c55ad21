import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.chat.fault import Kind, classify_status, find_unsupported, read_seconds

QUOTA = '{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "Incorrect API key", Kind.AUTH),
        (403, "Forbidden", Kind.AUTH),
        (403, '{"message": "Insufficient balance"}', Kind.QUOTA),
        (402, '{"message": "insufficient credits"}', Kind.QUOTA),
        (404, "The model `x` does not exist", Kind.NOT_FOUND),
        (405, "Method Not Allowed", Kind.NOT_FOUND),
        (301, "Moved", Kind.NOT_FOUND),
        (408, "", Kind.TRANSIENT),
        (409, "", Kind.TRANSIENT),
        (429, "Rate limit reached", Kind.RATE_LIMIT),
        (429, QUOTA, Kind.QUOTA),
        (500, "The server had an error", Kind.TRANSIENT),
        (502, "<html>", Kind.TRANSIENT),
        (503, "overloaded", Kind.TRANSIENT),
        (529, "overloaded", Kind.TRANSIENT),
        (400, "filtered by the content management policy", Kind.FILTER),
        (400, '{"code": "context_length_exceeded"}', Kind.CONTEXT),
        (400, "'max_tokens' is too large: maximum context length is 128", Kind.CONTEXT),
        (413, "prompt is too long", Kind.CONTEXT),
        (400, "Unsupported parameter: 'temperature'", Kind.UNSUPPORTED),
        (422, "temperature: Extra fields not permitted", Kind.UNSUPPORTED),
        (400, "temperature must be at most 1", Kind.BAD_REQUEST),
        (400, "messages: field required", Kind.BAD_REQUEST),
        (418, "", Kind.BAD_REQUEST),
    ],
)
def test_each_status_has_its_fault(status: int, body: str, kind: Kind) -> None:
    fault = classify_status(status, {}, body)
    assert fault.kind is kind and fault.detail.startswith(f"HTTP {status}: ")


def test_a_busy_server_that_names_a_wait_limits_the_rate() -> None:
    fault = classify_status(503, {"retry-after": "7"}, "busy")
    assert fault.kind is Kind.RATE_LIMIT and fault.retry_after == 7
    assert classify_status(500, {"retry-after": "7"}, "").retry_after == 7


def test_milliseconds_go_before_seconds() -> None:
    assert classify_status(429, {"retry-after-ms": "250", "retry-after": "9"}, "").retry_after == 0.25


def test_only_the_beginning_of_a_body_reaches_the_message() -> None:
    assert len(classify_status(500, {}, "word \n" * 1000).detail) < 320


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens"),
        ("Unrecognized request argument supplied: max_completion_tokens", "max_completion_tokens"),
        ("'response_format' of type 'json_schema' is not supported", "response_format"),
        ("temperature does not support 0.5", "temperature"),
        ("top_k is not supported", ""),
        ("max_tokens must be positive", ""),
        ("unknown field: my_max_tokens_limit", ""),
    ],
)
def test_the_parameter_complained_of_is_found(body: str, parameter: str) -> None:
    assert find_unsupported(body) == parameter


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2),
        (" 1.5 ", 1.5),
        ("20ms", 0.02),
        ("1m30s", 90),
        ("6m0s", 360),
        ("2h", 7200),
        ("1h2m3.5s", 3723.5),
        ("0", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_durations_as_servers_write_them(text: str, seconds: float | None) -> None:
    assert read_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(alphabet="0123456789hms. -", max_size=12) | st.text(max_size=20))
def test_any_duration_is_read_or_refused(text: str) -> None:
    seconds = read_seconds(text)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
