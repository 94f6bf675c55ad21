"""Models behind a server under examination: faults, refusals, interruptions; nothing is lost or bought twice."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from teacher import Teacher

pytest.importorskip("torch")

from examined import QUIET, answer_all, open_them

from raft_cli.chat.journal import Journal
from raft_cli.chat.remote import EndpointStudent
from raft_cli.data import Message, Reply
from raft_cli.errors import ChatError, ConfigError, Incomplete, Interrupted

Start = Callable[..., Teacher]

_TEXT = "The {} pump runs for {} seconds after each start, and it needs 230 volts and two litres of water."
PROMPTS = [
    (
        Message("system", "Answer."),
        Message("user", f"<DOCUMENT>{_TEXT.format(number, number + 2)}</DOCUMENT>\nHow long does pump {number} run?"),
    )
    for number in range(60)
]
STORM = {"429": 0.1, "500": 0.1, "reset": 0.05, "cut": 0.05, "cutjson": 0.05}


def open_endpoint(url: str, path: Path, **settings: object) -> tuple[EndpointStudent, Journal]:
    (student,), journal = open_them([f"endpoint:sim@{url}"], path, **settings)
    assert isinstance(student, EndpointStudent)
    return student, journal


def test_a_storm_changes_no_answer(teacher: Start, tmp_path: Path) -> None:
    calm, stormy = teacher(), teacher(faults=STORM, fault_attempts=2, retry_after="0.05")
    replies = []
    for at, server in enumerate((calm, stormy)):
        student, journal = open_endpoint(server.url, tmp_path / f"{at}.sqlite")
        replies.append(answer_all(student, PROMPTS, max_tokens=100, stop=["</ANSWER>"]))
        assert journal.totals()[0] == len(PROMPTS) and student.replayed == 0
        journal.close()
    assert replies[0] == replies[1] and len({reply.text for reply in replies[0]}) == len(PROMPTS)
    assert all(reply.finish == "stop" and not reply.replayed for reply in replies[0])
    body = calm.requests()[0]["body"]
    assert '"stop":["</ANSWER>"]' in str(body).replace(" ", "").replace("'", '"')
    assert calm.stats().requests == len(PROMPTS) and 1 < calm.stats().peak <= 8
    assert stormy.stats().replies > len(PROMPTS)


def test_a_second_run_sends_nothing(teacher: Start, tmp_path: Path) -> None:
    server = teacher()
    student, journal = open_endpoint(server.url, tmp_path / "journal.sqlite")
    first = answer_all(student, [*PROMPTS, PROMPTS[0]])
    second = answer_all(student, PROMPTS)
    assert server.stats().requests == len(PROMPTS) == student.replayed
    assert second == [replace(reply, replayed=True) for reply in first[:-1]] and first[0] == first[-1]
    answer_all(student, PROMPTS[:3], max_tokens=99)
    assert server.stats().requests == len(PROMPTS) + 3
    assert student.measure(PROMPTS) is None and student.context == 0
    journal.close()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"auth": "sk-right"}, "refuses the key.*401"),
        ({"model": "another"}, "does not know this model.*404.*check endpoint:sim@http"),
    ],
)
def test_a_refusal_of_all_stops_at_once(teacher: Start, tmp_path: Path, settings: dict[str, str], why: str) -> None:
    server = teacher(**settings)
    student, journal = open_endpoint(server.url, tmp_path / "journal.sqlite")
    with pytest.raises(ChatError, match=why):
        answer_all(student, PROMPTS)
    assert server.stats().requests <= 8 and journal.totals()[0] == 0
    journal.close()


def test_an_empty_account_keeps_what_was_answered(teacher: Start, tmp_path: Path) -> None:
    server = teacher(quota=20)
    student, journal = open_endpoint(server.url, tmp_path / "journal.sqlite")
    with pytest.raises(Incomplete, match="quota"):
        answer_all(student, PROMPTS)
    had = journal.totals()[0]
    assert 20 <= had < 40
    server.set(quota=0)
    server.reset()
    replies = answer_all(student, PROMPTS)
    assert sum(reply.replayed for reply in replies) == had and server.stats().requests == 60 - had
    journal.close()


def test_ctrl_c_finishes_what_is_in_flight(teacher: Start, tmp_path: Path) -> None:
    server = teacher(latency=0.02)
    student, journal = open_endpoint(server.url, tmp_path / "journal.sqlite")
    kept: dict[int, Reply] = {}

    def keep(place: int, reply: Reply) -> None:
        kept[place] = reply
        if len(kept) == 10:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="Ctrl-C"):
        student.answer(PROMPTS, max_tokens=100, stop=(), keep=keep, progress=QUIET)
    assert 10 <= len(kept) < 40 and journal.totals()[0] == len(kept) == server.stats().requests
    replies = answer_all(student, PROMPTS, max_tokens=100)
    assert {place for place, reply in enumerate(replies) if reply.replayed} == set(kept)
    assert server.stats().requests == len(PROMPTS)
    journal.close()


@pytest.mark.parametrize(
    ("fault", "finish"),
    [("truncated", "length"), ("empty", "stop"), ("context", "context_length"), ("filter", "content_filter")],
)
def test_what_is_no_whole_answer_says_why(teacher: Start, tmp_path: Path, fault: str, finish: str) -> None:
    student, journal = open_endpoint(teacher(faults={fault: 1.0}).url, tmp_path / "journal.sqlite")
    for _ in range(2):
        assert {reply.finish for reply in answer_all(student, PROMPTS[:4])} == {finish}
    journal.close()


def test_what_the_server_does_not_take_is_left_out_and_told(teacher: Start, tmp_path: Path) -> None:
    student, journal = open_endpoint(teacher(no_temperature=True).url, tmp_path / "journal.sqlite")
    assert len(answer_all(student, PROMPTS)) == 60 and student.notes == ["temperature not supported, left out"]
    journal.close()


def test_names_of_endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["endpoint:@cf/meta/llama@http://localhost:8000/v1", "endpoint:org/model:7b@http://localhost:8000/v1"]
    students, journal = open_them(names, tmp_path / "journal.sqlite")
    assert [student.identity for student in students] == [
        "http://localhost:8000/v1 @cf/meta/llama",
        "http://localhost:8000/v1 org/model:7b",
    ]
    journal.close()
    for wrong in ("endpoint:", "endpoint:model@localhost:8000"):
        with pytest.raises(ConfigError, match="endpoint:MODEL@http://HOST:PORT/v1"):
            open_them([wrong], tmp_path / "wrong.sqlite")
    with pytest.raises(ChatError, match=r"no key for https://api.openai.com/v1: set OPENAI_API_KEY") as caught:
        open_them(["endpoint:gpt-4.1"], tmp_path / "keyless.sqlite")
    assert "teacher" not in str(caught.value)
    monkeypatch.setenv("EVAL_OPENAI_API_KEY", "sk-one")
    (student,), journal = open_them(["endpoint:gpt-4.1"], tmp_path / "key.sqlite")
    assert student.identity == "https://api.openai.com/v1 gpt-4.1"
    journal.close()
