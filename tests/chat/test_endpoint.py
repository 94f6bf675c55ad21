import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from scripted import Scripted, completion
from teacher import Teacher

from raft_cli.chat.endpoint import Endpoint, Received
from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.keys import Access, find_access
from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import ChatError

ASKED = (Message("system", "Answer."), Message("user", "Is it so?"))
PLAIN = Sampling(max_tokens=100)


def open_endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint("sim", find_access(url, role="COMPLETION", env_file=".env"), **{"timeout": 5, **more})


async def ask_once(url: str, sampling: Sampling = PLAIN, **more: Any) -> Received:
    endpoint = open_endpoint(url, **more)
    try:
        return await endpoint.ask(ASKED, sampling)
    finally:
        await endpoint.close()


def ask_scripted(
    body: object, status: int = 200, headers: dict[str, str] | None = None, **more: Any
) -> tuple[Received | Fault, Scripted]:
    """Return what came of one request that a server answers with `body`."""

    async def work() -> tuple[Received | Fault, Scripted]:
        async with Scripted((status, headers or {}, body)) as server:
            try:
                return await ask_once(server.url, **more), server
            except Fault as fault:
                return fault, server

    return asyncio.run(work())


def read(body: object) -> Reply:
    received, _ = ask_scripted(body)
    assert isinstance(received, Received), received
    return received.reply


def fault_of(body: object, status: int = 200, **more: Any) -> Fault:
    fault, _ = ask_scripted(body, status, **more)
    assert isinstance(fault, Fault)
    return fault


def test_the_request_says_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    sampling = Sampling(0.5, 64, schema="questions", extra_body='{"top_k": 20, "max_tokens": 65}')
    received, server = ask_scripted(completion(), sampling=sampling)
    body = server.bodies[0]
    assert server.paths == ["/v1/chat/completions"] and server.headers[0]["authorization"] == "Bearer sk-one"
    assert body["model"] == "sim" and body["temperature"] == 0.5 and body["top_k"] == 20 and body["max_tokens"] == 65
    assert body["messages"] == [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Is it so?"}]
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["required"] == ["questions"]
    assert isinstance(received, Received) and json.loads(received.raw)["usage"]["prompt_tokens"] == 7


def test_what_is_not_set_is_not_sent() -> None:
    _, server = ask_scripted(completion(), sampling=Sampling())
    assert set(server.bodies[0]) == {"model", "messages"}


def test_azure_is_asked_its_own_way() -> None:
    async def work() -> Scripted:
        async with Scripted((200, {}, completion())) as server:
            base = server.url.removesuffix("/v1")
            access = Access(base, base, True, version="2024-10-21", key="azure-key")
            endpoint = Endpoint("gpt-mine", access, timeout=5)
            await endpoint.ask(ASKED, PLAIN)
            await endpoint.close()
            return server

    server = asyncio.run(work())
    assert server.paths == ["/openai/deployments/gpt-mine/chat/completions?api-version=2024-10-21"]
    assert server.headers[0]["api-key"] == "azure-key" and server.bodies[0]["max_completion_tokens"] == 100


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (completion("Yes."), "Yes.", "stop"),
        (completion("Yes.", finish_reason=None), "Yes.", "stop"),
        (completion("Yes.", finish_reason="eos"), "Yes.", "stop"),
        (completion("Ye", finish_reason="length"), "Ye", "length"),
        (completion("", finish_reason="content_filter"), "", "content_filter"),
        (completion(None), "", "empty"),
        (completion(" \n"), " \n", "empty"),
        (completion(None, message={"refusal": "I cannot."}), "I cannot.", "refusal"),
        (completion([{"type": "text", "text": "Ye"}, {"type": "text", "text": "s."}]), "Yes.", "stop"),
        (completion("Yes.", finish_reason="tool_calls"), "Yes.", "tool_calls"),
        ({"choices": [{"finish_reason": "stop"}]}, "", "empty"),
    ],
)
def test_replies_of_many_forms_are_read(body: object, text: str, finish: str) -> None:
    reply = read(body)
    assert (reply.text, reply.finish, reply.replayed) == (text, finish, False)


def test_token_counts_are_taken_or_estimated() -> None:
    counted, guessed = read(completion()), read({**completion("Yes, it is so."), "usage": None})
    assert (counted.prompt_tokens, counted.completion_tokens, counted.estimated) == (7, 3, False)
    assert guessed.estimated and guessed.prompt_tokens > 0 and guessed.completion_tokens > 0
    assert read({**completion(), "usage": {"prompt_tokens": "7"}}).estimated


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome</html>",
        b'{"choices": [{"mess',
        b"",
        b"null",
        [],
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": "none"},
        {"choices": [{"message": "Yes."}]},
        {"choices": [{"message": {"content": [1, 2]}}]},
        {**completion(), "usage": "little"},
        {"error": "overloaded"},
        {"error": {"message": "Provider returned error", "code": 502}},
        {"error": {"message": "odd", "code": 0}},
    ],
)
def test_what_is_no_reply_is_tried_again(body: object) -> None:
    assert fault_of(body).kind is Kind.TRANSIENT


def test_errors_inside_a_good_status_are_told_apart() -> None:
    assert fault_of({"error": {"message": "slow down", "code": 429}}).kind is Kind.RATE_LIMIT
    assert fault_of({"error": {"message": "no such key", "code": 401}}).kind is Kind.AUTH


def test_what_the_server_has_left_is_read() -> None:
    told = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1m2s"}
    received, _ = ask_scripted(completion(), headers=told)
    assert isinstance(received, Received) and (received.remaining, received.reset) == (3, 62)
    received, _ = ask_scripted(completion(), headers={"x-ratelimit-remaining-requests": "many"})
    assert isinstance(received, Received) and received.remaining is None


def test_redirects_are_not_followed() -> None:
    fault = fault_of(b"", 302, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    assert fault.kind is Kind.NOT_FOUND


def test_a_key_that_the_server_repeats_reaches_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "verysecret123")
    for status, body in ((401, {"error": "bad key verysecret123"}), (200, {"error": "verysecret123"})):
        assert "verysecret" not in fault_of(body, status).detail
    assert "verysecret" not in fault_of(b"verysecret123").detail


def test_nobody_listens() -> None:
    with pytest.raises(Fault) as caught:
        asyncio.run(ask_once("http://127.0.0.1:9/v1"))
    assert caught.value.kind is Kind.CONNECTION and "http://127.0.0.1:9/v1" in caught.value.detail


def test_an_address_that_cannot_be_asked_is_an_error_for_people() -> None:
    access = Access("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", False, key="ключ")
    with pytest.raises(ChatError, match="cannot ask http://127"):
        asyncio.run(Endpoint("sim", access, timeout=5).ask(ASKED, PLAIN))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", Kind.RATE_LIMIT),
        ("500", Kind.TRANSIENT),
        ("reset", Kind.TRANSIENT),
        ("cut", Kind.TRANSIENT),
        ("cutjson", Kind.TRANSIENT),
        ("hang", Kind.TIMEOUT),
        ("filter", Kind.FILTER),
        ("context", Kind.CONTEXT),
    ],
)
def test_faults_of_a_real_server(teacher: Callable[..., Teacher], fault: str, kind: Kind) -> None:
    with pytest.raises(Fault) as caught:
        asyncio.run(ask_once(teacher(faults={fault: 1.0}).url, timeout=0.3))
    assert caught.value.kind is kind
