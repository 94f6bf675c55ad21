"""What the local teacher says is good where it should be and bad where it should be."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from teacher_faults import FAULTS, Draw, strike
from teacher_replies import Job, good_reply
from test_teacher import ANSWER, GANG, HARBOR, QUESTION, START, answer_messages, ask_messages, post, said


def test_questions_are_different_and_stand_alone(teacher: START) -> None:
    status, _, body = post(teacher(), ask_messages(count=5))
    questions = json.loads(said(body))["questions"]
    assert status == 200 and body["usage"]["completion_tokens"] > 20
    assert len({item["question"] for item in questions}) == 5
    assert all(item["question"].endswith("?") for item in questions)
    assert [item["kind"] for item in questions] == ["factoid", "reasoning", "factoid", "reasoning", "factoid"]


def test_each_question_gets_a_verbatim_quote_and_a_short_answer(teacher: START) -> None:
    started = teacher()
    for document, mark in ((HARBOR, "?"), (GANG, "？")):
        for item in json.loads(said(post(started, ask_messages(document))[2]))["questions"]:
            assert item["question"].endswith(mark)
            text = said(post(started, answer_messages(item["question"], document))[2])
            quote = text.split("##begin_quote##")[1].split("##end_quote##")[0]
            final = text.split("\n<ANSWER>: ")[1]
            assert quote in document and final in quote and text.count("<ANSWER>") == 1


def test_a_second_turn_writes_other_questions(teacher: START) -> None:
    started, first = teacher(), ask_messages(count=3)
    text = said(post(started, first)[2])
    again = [
        *first,
        {"role": "assistant", "content": text},
        {"role": "user", "content": "That cannot be used.\nWrite exactly 2 further questions."},
    ]
    more = json.loads(said(post(started, again)[2]))["questions"]
    assert len(more) == 2 and not any(item["question"] in text for item in more)
    assert started.log()[1].turn == 1


def test_pairs_judgements_given_answers_and_fixed_replies(teacher: START) -> None:
    started = teacher()
    pair = ask_messages(f"{HARBOR}</DOCUMENT>\n<DOCUMENT>{GANG}", 1)
    assert json.loads(said(post(started, pair)[2]))["questions"][0]["kind"] == "multi-hop"
    judged = said(post(started, answer_messages(QUESTION, more="<REPLY>so it is</REPLY>"))[2])
    assert json.loads(judged)["supported"] is True
    assert said(post(started, answer_messages("Which?", more="<GIVEN>buoy seven</GIVEN>"))[2]).endswith(": buoy seven")
    started.set(reply="Just this.")
    assert said(post(started, ANSWER)[2]) == "Just this."


def test_replies_depend_on_the_request_alone(teacher: START) -> None:
    first, second = teacher(), teacher(latency=0.01)
    assert post(first, ask_messages())[2] == post(second, ask_messages())[2]


CONTENT: dict[str, Callable[[str], bool]] = {
    "malformed": lambda text: "<ANSWER>" not in text and "##" not in text,
    "empty": lambda text: text == "",
    "think": lambda text: text.startswith("<think>") and "</think>" in text,
    "reasoning": lambda text: text == "",
    "truncated": lambda text: "<ANSWER>" not in text,
    "badquote": lambda text: text.split("##")[2] not in HARBOR,
    "nearquote": lambda text: text.split("##")[2] not in HARBOR and len(text.split("##")[2]) > 40,
    "notag": lambda text: "<ANSWER>" not in text,
    "twotags": lambda text: text.count("<ANSWER>") == 2,
}


@pytest.mark.parametrize("fault", CONTENT)
def test_faults_in_the_content_of_answers(teacher: START, fault: str) -> None:
    status, _, body = post(teacher(faults={fault: 1.0}), ANSWER)
    assert status == 200 and CONTENT[fault](said(body))


def test_faults_in_the_content_of_questions(teacher: START) -> None:
    started = teacher()
    texts = {}
    for fault in ("few", "repeat", "prose", "fenced", "malformed"):
        started.set(faults={f"ask:{fault}": 1.0})
        texts[fault] = said(post(started, ask_messages())[2])
        assert "<ANSWER>" in said(post(started, ANSWER)[2])
    assert len(json.loads(texts["few"])["questions"]) == 1
    assert len({item["question"] for item in json.loads(texts["repeat"])["questions"]}) == 1
    assert "\n1. " in texts["prose"] and "```json" in texts["fenced"]
    with pytest.raises(ValueError, match="delimiter"):
        json.loads(texts["malformed"])


@pytest.mark.parametrize("job", ["ask", "answer", "judge", "other"])
def test_every_fault_can_strike(job: str) -> None:
    for fault in (fault for fault, jobs in FAULTS.items() if job in jobs):
        outcome = strike(fault, Job(job, (HARBOR,), QUESTION), b"{}", "sim", "1")
        assert outcome.body and outcome.status in (200, 400, 429, 500)
        assert Draw({f"{job}:{fault}": 1.0}).draw(job, 0.999) == fault


@given(st.text())
def test_any_document_can_be_asked_about(document: str) -> None:
    assert isinstance(json.loads(good_reply(Job("ask", (document,))))["questions"], list)
    assert "<ANSWER>: " in good_reply(Job("answer", (document,), "What is it?"))
