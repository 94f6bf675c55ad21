"""The second request after a reply that cannot be used, shared by questions and answers. Pure."""

from collections.abc import Callable
from dataclasses import replace

from raft_cli.cot import strip_thinking
from raft_cli.data import Message, Reply, Sampling

HOPELESS = ("context_length", "bad_request")  # ends that no second request can change

_REASONS = {
    "length": "truncated",
    "content_filter": "content-filter",
    "context_length": "context-length",
    "bad_request": "bad-request",
}
_DEFAULT_ROOM = 2048


def build_retry(
    messages: tuple[Message, ...], sampling: Sampling, reply: Reply, complain: Callable[[], tuple[Message, ...]]
) -> tuple[tuple[Message, ...], Sampling]:
    """Return the second request: more room for a cut reply, the same again for an empty one, else the complaint."""
    sampling = replace(sampling, attempt=sampling.attempt + 1)
    if reply.finish == "length":
        return messages, replace(sampling, max_tokens=2 * (sampling.max_tokens or _DEFAULT_ROOM))
    if reply.finish != "stop" or not reply.text.strip():
        return messages, sampling
    return (*messages, Message("assistant", strip_thinking(reply.text)), *complain()), sampling


def name_finish(finish: str) -> str:
    """Return the reason of a reject for a reply that did not end by itself."""
    return _REASONS.get(finish, finish)
