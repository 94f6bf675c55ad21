"""Answers are checked, asked for once more with the fault named, judged when a judge is there, else rejected."""

import asyncio
from dataclasses import replace

import pytest
from fakes import BEGIN, END, FakeChat, fake_chat, make_chunk, make_question

from raft_cli.data import Chunk, Question, Reply, Sampling
from raft_cli.generate.answer import Answered, answer_question
from raft_cli.prompts import load_prompts

PROMPTS = load_prompts()
CHUNK = make_chunk("Event logs are kept for 14 days and then overwritten. Nobody can switch this off.")
QUESTION = make_question(CHUNK, "How long are event logs kept?")
GOOD = f"The manual says {BEGIN}logs are kept for 14 days{END}.\n<ANSWER>: 14 days"
BAD = f"The manual says {BEGIN}logs are kept for 15 days{END}.\n<ANSWER>: 15 days"
YES, NO = '{"supported": true, "reason": "it is"}', '{"supported": false, "reason": "it is not"}'


def answer(
    chat: FakeChat,
    *,
    question: Question = QUESTION,
    chunks: tuple[Chunk, ...] = (CHUNK,),
    judge: FakeChat | None = None,
    round: int = 0,
) -> Answered:
    answered = asyncio.run(
        answer_question(
            question,
            chunks,
            chat=chat,
            judge=judge,
            prompts=PROMPTS[chunks[0].language],
            sampling=Sampling(max_tokens=100),
            round=round,
        )
    )
    assert not chat.queue and not (judge and judge.queue), "fewer requests than replies"
    assert (answered.answer is None) is not (answered.reject is None)
    return answered


def reason(answered: Answered) -> str:
    return answered.reject.reason if answered.reject else ""


@pytest.mark.parametrize(
    "reply", [GOOD, f"<think>15 <ANSWER>: 15</think>\n{GOOD}", GOOD.replace("\n<ANSWER>:", "\n**<ANSWER>:**")]
)
def test_a_good_answer_takes_one_request(reply: str) -> None:
    chat = fake_chat(reply)
    made = answer(chat).answer
    assert made is not None and (made.final, made.question_id) == ("14 days", QUESTION.id)
    assert [quote.text for quote in made.quotes] == ["logs are kept for 14 days"]
    ((system, user), sampling) = chat.history[0]
    assert "##begin_quote##" in system.content and "English" in system.content
    assert user.content.index(CHUNK.text) < user.content.index(QUESTION.text)
    assert (sampling.schema, sampling.attempt) == ("", 0)


def test_a_bad_answer_is_asked_for_again_with_its_fault() -> None:
    chat = fake_chat(BAD, GOOD)
    assert answer(chat).answer is not None
    messages, sampling = chat.history[1]
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2].content == BAD and "copy it exactly" in messages[3].content
    assert sampling.attempt == 1


def test_two_bad_answers_are_a_reject_that_says_all() -> None:
    reject = answer(fake_chat(BAD, BAD)).reject
    assert reject is not None
    assert (reject.stage, reject.reason, reject.detail) == ("answer", "quote-not-found", BAD)
    assert (reject.chunk_id, reject.question_id, reject.question) == (CHUNK.id, QUESTION.id, QUESTION.text)


@pytest.mark.parametrize(
    ("finish", "said", "requests"),
    [
        ("length", "truncated", 2),
        ("content_filter", "content-filter", 2),
        ("refusal", "refusal", 2),
        ("context_length", "context-length", 1),
        ("bad_request", "bad-request", 1),
        ("tool_calls", "tool_calls", 2),
    ],
)
def test_only_a_reply_that_ended_well_counts(finish: str, said: str, requests: int) -> None:
    chat = fake_chat(*[Reply(GOOD, finish, 1, 1)] * requests)
    assert reason(answer(chat)) == said
    room = [sampling.max_tokens for _, sampling in chat.history]
    assert room == ([100, 200] if finish == "length" else [100] * requests)
    assert all(len(messages) == 2 for messages, _ in chat.history)


def test_an_empty_reply_is_asked_for_again_as_it_was() -> None:
    chat = fake_chat("  ", GOOD)
    assert answer(chat).answer is not None
    assert chat.history[0][0] == chat.history[1][0]


def test_a_judge_decides_on_the_support() -> None:
    loose = GOOD.replace("<ANSWER>: 14 days", "<ANSWER>: for a fortnight")
    assert reason(answer(fake_chat(loose, loose))) == "not-supported"
    judge = fake_chat(YES)
    assert answer(fake_chat(loose), judge=judge).answer is not None
    ((_, user), sampling) = judge.history[0]
    assert sampling.schema == "verdict" and sampling.temperature == 0
    assert all(text in user.content for text in (CHUNK.text, QUESTION.text, "for a fortnight"))


@pytest.mark.parametrize("verdict", ["yes", "{}", '{"supported": "true"}', '{"supported": 1}', "[true]", "{", ""])
def test_a_judge_without_a_clear_verdict_is_asked_again_with_more_room(verdict: str) -> None:
    judge = fake_chat(verdict, YES)
    assert answer(fake_chat(GOOD), judge=judge).answer is not None
    first, second = (sampling for _, sampling in judge.history)
    assert second.max_tokens == 2 * first.max_tokens and second.attempt != first.attempt
    assert reason(answer(fake_chat(GOOD), judge=fake_chat(verdict, verdict))) == "no-verdict"


def test_a_judge_that_says_no_sends_the_answer_back() -> None:
    chat = fake_chat(GOOD, GOOD)
    assert reason(answer(chat, judge=fake_chat(NO, NO))) == "not-supported"
    assert "neither in the quotes nor" in chat.history[1][0][-1].content


def test_no_judge_is_asked_about_a_bad_answer() -> None:
    assert reason(answer(fake_chat(BAD, BAD), judge=fake_chat())) == "quote-not-found"


def test_a_given_answer_is_to_be_proved() -> None:
    chat = fake_chat(GOOD)
    assert answer(chat, question=replace(QUESTION, given="14 days")).answer is not None
    assert "<GIVEN>14 days</GIVEN>" in chat.history[0][0][1].content


@pytest.mark.parametrize("given", ["42", "30 days", "by the administrator", "114 days", "not 14 days", "4"])
def test_a_given_answer_that_the_source_does_not_bear_out_makes_no_row(given: str) -> None:
    chat = fake_chat(GOOD, GOOD)
    assert reason(answer(chat, question=replace(QUESTION, given=given))) == "differs-from-given"
    assert "between <GIVEN> and </GIVEN>" in chat.history[1][0][-1].content


@pytest.mark.parametrize("given", ["14 days", "14", "They are kept for 14 days.", "for 14 days only"])
def test_a_given_answer_may_be_put_in_other_words(given: str) -> None:
    assert answer(fake_chat(GOOD), question=replace(QUESTION, given=given)).answer is not None


def test_multi_hop_needs_both_passages() -> None:
    other = make_chunk("Audit logs are kept for 90 days.", 1)
    question = make_question(CHUNK, "Which logs are kept longer, audit or event logs?", other)
    both = f"{GOOD[:-19]} and {BEGIN}Audit logs are kept for 90 days{END}.\n<ANSWER>: audit logs"
    chat = fake_chat(GOOD, both)
    made = answer(chat, question=question, chunks=(CHUNK, other)).answer
    assert made is not None and {quote.chunk_id for quote in made.quotes} == {CHUNK.id, other.id}
    assert "each of the two documents" in chat.history[1][0][-1].content
    assert chat.history[0][0][1].content.count("</DOCUMENT>") == 2


def test_replayed_only_if_every_reply_was() -> None:
    old, bad = Reply(GOOD, "stop", 1, 1, replayed=True), Reply(BAD, "stop", 1, 1, replayed=True)
    assert answer(fake_chat(old)).replayed
    assert answer(fake_chat(bad, bad)).replayed
    assert not answer(fake_chat(bad, GOOD)).replayed and not answer(fake_chat(BAD, old)).replayed
    assert not answer(fake_chat(old), judge=fake_chat(YES)).replayed


def test_another_round_is_another_request() -> None:
    chat = fake_chat(BAD, GOOD)
    answer(chat, round=3)
    assert [sampling.attempt for _, sampling in chat.history] == [6, 7]
