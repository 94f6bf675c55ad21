import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scripted import Scripted, completion
from teacher import Teacher
from test_endpoint import ASKED, open_endpoint

from raft_cli.chat.fault import Fault, Kind
from raft_cli.data import Sampling


def settle(teacher: Teacher, sampling: Sampling, **more: Any) -> tuple[int, str, list[str]]:
    """Ask until it works, then twice more; return refusals, what is remembered, and the notes for people."""
    remembered: list[str] = []

    async def work() -> tuple[int, str, list[str]]:
        endpoint, refused = open_endpoint(teacher.url, remember=remembered.append, **more), 0
        replies = 0
        while replies < 3:
            try:
                await endpoint.ask(ASKED, sampling)
                replies += 1
            except Fault as fault:
                assert fault.kind is Kind.UNSUPPORTED and not replies
                refused += 1
        await endpoint.close()
        return refused, remembered[-1] if remembered else "", endpoint.notes

    return asyncio.run(work())


QUESTIONS = Sampling(0.5, 64, schema="questions")


@pytest.mark.parametrize(
    ("settings", "refused", "note"),
    [
        ({}, 0, []),
        ({"no_json_schema": True}, 1, ["replies without JSON schema"]),
        ({"no_schema": True}, 2, ["replies without JSON mode"]),
        ({"no_max_tokens": True}, 1, []),
        ({"no_temperature": True}, 1, ["temperature not supported, left out"]),
    ],
)
def test_what_a_server_lacks_is_settled_once_and_remembered(
    teacher: Callable[..., Teacher], settings: dict[str, bool], refused: int, note: list[str]
) -> None:
    started = teacher(**settings)
    seen, remembered, notes = settle(started, QUESTIONS)
    assert (seen, notes) == (refused, note)
    assert settle(started, QUESTIONS, settled=remembered)[0] == 0


def test_all_of_it_at_once(teacher: Callable[..., Teacher]) -> None:
    refused, _, notes = settle(teacher(no_schema=True, no_max_tokens=True, no_temperature=True), QUESTIONS)
    assert refused == 4 and len(notes) == 2


def test_requests_under_way_do_not_settle_twice(teacher: Callable[..., Teacher]) -> None:
    async def work() -> tuple[int, list[str]]:
        endpoint = open_endpoint(teacher(no_json_schema=True, latency=0.05).url)
        tried = await asyncio.gather(*(endpoint.ask(ASKED, QUESTIONS) for _ in range(20)), return_exceptions=True)
        await endpoint.ask(ASKED, QUESTIONS)
        await endpoint.close()
        return sum(isinstance(result, Fault) for result in tried), endpoint.notes

    refused, notes = asyncio.run(work())
    assert refused > 1 and notes == ["replies without JSON schema"]


def test_a_complaint_that_nothing_helps_against_is_a_bad_request() -> None:
    async def work() -> list[Kind]:
        async with Scripted((400, {}, {"error": "Unsupported parameter: 'temperature'"})) as server:
            endpoint = open_endpoint(server.url)
            tried = [await asyncio.gather(endpoint.ask(ASKED, QUESTIONS), return_exceptions=True) for _ in range(2)]
            await endpoint.close()
            return [fault.kind for (fault,) in tried if isinstance(fault, Fault)]

    assert asyncio.run(work()) == [Kind.UNSUPPORTED, Kind.BAD_REQUEST]


def test_stop_strings_are_left_out_where_a_model_takes_none() -> None:
    """Reasoning models of today refuse them."""

    async def work() -> tuple[list[Kind], list[str], dict[str, Any]]:
        asked = replace(QUESTIONS, schema="", extra_body='{"stop": ["</ANSWER>"], "seed": 7}')
        complaint = {"error": {"message": "Unsupported parameter: 'stop' is not supported with this model."}}
        remembered: list[str] = []
        async with Scripted((400, {}, complaint), (200, {}, completion())) as server:
            endpoint = open_endpoint(server.url, remember=remembered.append)
            tried = await asyncio.gather(endpoint.ask(ASKED, asked), return_exceptions=True)
            await endpoint.ask(ASKED, asked)
            await endpoint.close()
        again = open_endpoint(server.url, settled=remembered[-1])
        return (
            [fault.kind for fault in tried if isinstance(fault, Fault)],
            endpoint.notes + again.notes,
            server.bodies[-1],
        )

    kinds, notes, body = asyncio.run(work())
    assert kinds == [Kind.UNSUPPORTED] and notes == ["stop not supported, left out"] * 2
    assert "stop" not in body and body["seed"] == 7


@pytest.mark.parametrize(
    ("messages", "kinds"),
    [
        (
            ["Unsupported parameter: 'max_tokens'", "Unsupported parameter: 'max_completion_tokens'"],
            [Kind.UNSUPPORTED, Kind.BAD_REQUEST],
        ),
        (["Invalid max_tokens value, the valid range is [1, 4096]"] * 2, [Kind.BAD_REQUEST, Kind.BAD_REQUEST]),
        (["max_tokens is too large: 99999 (invalid_request_error)"] * 2, [Kind.BAD_REQUEST, Kind.BAD_REQUEST]),
    ],
)
def test_a_limit_is_not_renamed_to_and_fro(messages: list[str], kinds: list[Kind]) -> None:
    async def work() -> list[Kind]:
        async with Scripted(*((400, {}, {"error": message}) for message in messages)) as server:
            endpoint = open_endpoint(server.url)
            tried = [await asyncio.gather(endpoint.ask(ASKED, QUESTIONS), return_exceptions=True) for _ in messages]
            await endpoint.close()
            return [fault.kind for (fault,) in tried if isinstance(fault, Fault)]

    assert asyncio.run(work()) == kinds
