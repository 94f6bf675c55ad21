"""Questions are read from whatever a teacher sends, checked, and asked for once more with the fault named."""

import asyncio
import json

import pytest
from fakes import FakeChat, fake_chat, make_chunk

from raft_cli.data import Chunk, Reply, Sampling
from raft_cli.generate.ask import Asked, ask_questions
from raft_cli.prompts import load_prompts

PROMPTS = load_prompts()
CHUNK = make_chunk("Event logs are kept for 14 days. The GW-4 listens on port 8443.")
CHINESE = make_chunk("事件日志保存 14 天。GW-4 使用 8443 端口。", language="zh")
LOGS, PORT, OWNER = "How long are event logs kept?", "Which port does the GW-4 listen on?", "Who made the GW-4 gateway?"


def as_json(*questions: str) -> str:
    return json.dumps({"questions": [{"question": question, "kind": "factoid"} for question in questions]})


def ask(
    chat: FakeChat, *, kinds: str = "factoid reasoning", chunks: tuple[Chunk, ...] = (CHUNK,), round: int = 0
) -> Asked:
    prompts = PROMPTS[chunks[0].language]
    sampling = Sampling(temperature=0.5, max_tokens=100)
    asked = asyncio.run(
        ask_questions(chunks, kinds=kinds.split(), chat=chat, prompts=prompts, sampling=sampling, round=round)
    )
    assert not chat.queue, "fewer requests than replies"
    assert len(asked.questions) + len(asked.rejects) == len(kinds.split())
    return asked


def texts(asked: Asked) -> list[str]:
    return [question.text for question in asked.questions]


def reasons(asked: Asked) -> list[str]:
    return [reject.reason for reject in asked.rejects]


@pytest.mark.parametrize(
    "reply",
    [
        as_json(LOGS, PORT),
        f"Here they are:\n```json\n{as_json(LOGS, PORT)}\n```",
        json.dumps([LOGS, PORT]),
        json.dumps([{"question": LOGS}, {"question": PORT}]),
        f"<think>hm {{}} [1]</think>{as_json(LOGS, PORT)}",
        as_json(LOGS, PORT)[:-3] + ",]",
        f"1. {LOGS}\n2) {PORT}",
        f"- **{LOGS}**\n* {PORT}",
        f"Sure! Here are some questions:\n\n{LOGS}\n{PORT}",
        f"Q1: {LOGS}\nQ2: {PORT}",
        as_json(f"Question 1: {LOGS}", f"  {PORT}\n"),
        as_json(LOGS, PORT, OWNER),
    ],
)
def test_questions_are_read_from_any_form(reply: str) -> None:
    asked = ask(fake_chat(reply))
    assert texts(asked) == [LOGS, PORT] and asked.rejects == ()
    assert {question.chunk_ids for question in asked.questions} == {(CHUNK.id,)}
    assert len({question.id for question in asked.questions}) == 2


def test_the_request_shows_the_escaped_chunk_and_the_kinds() -> None:
    chat = fake_chat(as_json(LOGS, PORT))
    chunk = make_chunk("Logs: </DOCUMENT> 14 days of event logs. Port 8443.")
    ask(chat, chunks=(chunk,))
    ((system, user), sampling) = chat.history[0]
    assert "exactly 2 questions" in system.content and "factoid, reasoning" in system.content
    assert "English" in system.content and "<DOCUMENT>Logs: <\u200d/DOCUMENT> 14 days" in user.content
    assert (sampling.schema, sampling.attempt, sampling.temperature) == ("questions", 0, 0.5)


def test_what_is_missing_is_asked_for_once_with_the_fault_named() -> None:
    chat = fake_chat(as_json(LOGS, "What does this section say?"), as_json(PORT))
    assert texts(ask(chat)) == [LOGS, PORT]
    messages, sampling = chat.history[1]
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert "exactly 1 further" in messages[-1].content and "refers to the passage" in messages[-1].content
    assert sampling.attempt == 1


def test_what_fails_twice_is_rejected_with_the_last_reason() -> None:
    asked = ask(fake_chat(as_json(LOGS), as_json("Logs are kept.", LOGS)))
    assert texts(asked) == [LOGS] and reasons(asked) == ["not-a-question"]
    assert asked.rejects[0].question == "Logs are kept." and asked.rejects[0].chunk_id == CHUNK.id
    assert reasons(ask(fake_chat(as_json(LOGS), as_json(LOGS)))) == ["repeated-question"]
    assert reasons(ask(fake_chat(as_json(LOGS), as_json()))) == ["too-few-questions"]


def test_replies_that_are_no_list() -> None:
    assert reasons(ask(fake_chat("I cannot help.", "No."))) == ["malformed-questions"] * 2
    assert reasons(ask(fake_chat(as_json(), as_json()))) == ["too-few-questions"] * 2


@pytest.mark.parametrize(
    ("finish", "reason", "requests"),
    [
        ("content_filter", "content-filter", 2),
        ("refusal", "refusal", 2),
        ("context_length", "context-length", 1),
        ("bad_request", "bad-request", 1),
    ],
)
def test_refusals_keep_their_reason(finish: str, reason: str, requests: int) -> None:
    chat = fake_chat(*[Reply("no", finish, 1, 0)] * requests)
    assert reasons(ask(chat)) == [reason] * 2
    assert [len(messages) for messages, _ in chat.history] == [2] * requests


def test_a_cut_reply_is_salvaged_and_asked_for_with_more_room() -> None:
    cut = Reply(as_json(LOGS, PORT)[:-40], "length", 10, 100)
    chat = fake_chat(cut, as_json(PORT))
    assert texts(ask(chat)) == [LOGS, PORT]
    assert [sampling.max_tokens for _, sampling in chat.history] == [100, 200]
    assert reasons(ask(fake_chat(cut, cut))) in (["truncated"], ["repeated-question"])


def test_another_round_keeps_what_was_good_and_fills_the_gap() -> None:
    first = [as_json(LOGS), as_json(LOGS)]
    chat = fake_chat(*first, as_json(PORT))
    asked = ask(chat, round=1)
    assert texts(asked) == [LOGS, PORT]
    assert [sampling.attempt for _, sampling in chat.history] == [0, 1, 2]


def test_replayed_only_if_every_reply_was() -> None:
    old = Reply(as_json(LOGS, PORT), "stop", 1, 1, replayed=True)
    assert ask(fake_chat(old)).replayed
    assert not ask(fake_chat(Reply(as_json(LOGS), "stop", 1, 1, replayed=True), as_json(PORT))).replayed


def test_chinese() -> None:
    questions = ["GW-4 的事件日志保存多久？", "GW-4 使用哪个端口？"]
    assert texts(ask(fake_chat(as_json(*questions)), chunks=(CHINESE,))) == questions
    listed = "\n".join(f"{n}、{question}" for n, question in enumerate(questions, 1))
    assert texts(ask(fake_chat(listed), chunks=(CHINESE,))) == questions
    chat = fake_chat(as_json(LOGS, questions[0]), as_json(questions[1]))
    assert texts(ask(chat, chunks=(CHINESE,))) == questions
    assert "语言" in chat.history[1][0][-1].content


def test_multi_hop_asks_about_both() -> None:
    chat = fake_chat(as_json(LOGS))
    asked = ask(chat, kinds="multi-hop", chunks=(CHUNK, make_chunk("The other passage.", 1)))
    assert asked.questions[0].chunk_ids == ("chunk0000", "chunk0001")
    assert chat.history[0][0][1].content.count("<DOCUMENT>") == 2


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (("reasoning", "factoid"), ["reasoning", "factoid"]),  # the teacher knows what it wrote
        (("", "essay"), ["factoid", "reasoning"]),  # it did not say, or not in our words: as asked
    ],
)
def test_kind_is_what_the_teacher_says_of_it(said: tuple[str, str], kinds: list[str]) -> None:
    items = [{"question": text, "kind": kind} for text, kind in zip((LOGS, PORT), said, strict=True)]
    asked = ask(fake_chat(json.dumps({"questions": items})))
    assert [question.kind for question in asked.questions] == kinds
