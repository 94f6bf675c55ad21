"""Question in, checked answer out: ask the teacher, check, ask once more with the fault named. Knows no other stage."""

from dataclasses import dataclass, replace

import orjson

from raft_cli.cot import render_answer, strip_thinking
from raft_cli.data import Answer, Chat, Chunk, Message, Question, Reject, Reply, Sampling
from raft_cli.generate.check import check_answer, describe_fault
from raft_cli.generate.retry import HOPELESS, build_retry, name_finish
from raft_cli.prompts import Prompts, name_language, render_documents, render_title

_JUDGE_TOKENS = 2048
_NO_VERDICT = "no-verdict"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question: an answer, or why there is none."""

    answer: Answer | None
    reject: Reject | None
    replayed: bool


async def answer_question(
    question: Question,
    chunks: tuple[Chunk, ...],
    *,
    chat: Chat,
    judge: Chat | None,
    prompts: Prompts,
    sampling: Sampling,
    round: int = 0,
) -> Answered:
    """Have a question answered from its own chunks, and check the answer.

    Args:
        judge: Confirms that the quotes bear the answer out; without one, words and numbers are compared.
        round: How often this was asked anew after a rejection.

    Raises:
        ChatError: The run has to stop.
    """
    messages = _open(question, chunks, prompts)
    sampling = replace(sampling, priority=1, attempt=2 * round)
    reply = await chat.complete(messages, sampling)
    result, replayed = await _examine(reply, question, chunks, judge, prompts, sampling)
    if isinstance(result, str) and result != _NO_VERDICT and reply.finish not in HOPELESS:
        fault = result
        again, sampling = build_retry(messages, sampling, reply, lambda: _complain(fault, prompts))
        replayed = replayed and reply.replayed
        reply = await chat.complete(again, sampling)
        result, fresh = await _examine(reply, question, chunks, judge, prompts, sampling)
        replayed = replayed and fresh
    replayed = replayed and reply.replayed
    if isinstance(result, Answer):
        return Answered(result, None, replayed)
    chunk = chunks[0]
    reject = Reject(
        "answer", result, reply.text[:600], source=chunk.source, chunk_id=chunk.id, question_id=question.id,
        question=question.text,
    )  # fmt: skip
    return Answered(None, reject, replayed)


def _open(question: Question, chunks: tuple[Chunk, ...], prompts: Prompts) -> tuple[Message, ...]:
    values = {
        "language": name_language(chunks[0].language),
        "title": render_title(chunks[0]),
        "document": render_documents(chunks).strip(),
        "question": question.text,
    }
    if question.given:
        return prompts.fill("answer_given", **values, given=question.given)
    return prompts.fill("answer", **values)


def _complain(fault: str, prompts: Prompts) -> tuple[Message, ...]:
    return prompts.fill("answer_again", fault=describe_fault(fault, prompts.language))


async def _examine(
    reply: Reply,
    question: Question,
    chunks: tuple[Chunk, ...],
    judge: Chat | None,
    prompts: Prompts,
    sampling: Sampling,
) -> tuple[Answer | str, bool]:
    """Return the answer or the fault, and whether everything needed came from the journal."""
    if reply.finish != "stop":
        return name_finish(reply.finish), reply.replayed
    result = check_answer(
        strip_thinking(reply.text),
        question=question,
        chunks=chunks,
        language=chunks[0].language,
        lexical=judge is None,
    )
    if isinstance(result, str) or judge is None:
        return result, reply.replayed
    supported, replayed = await _judge(judge, _open_judge(result, question, chunks, prompts), sampling)
    fault = _NO_VERDICT if supported is None else "not-supported"
    return (result if supported else fault), reply.replayed and replayed


async def _judge(judge: Chat, messages: tuple[Message, ...], sampling: Sampling) -> tuple[bool | None, bool]:
    """Return the verdict (None when two replies held none), and whether it came from the journal."""
    room = sampling.max_tokens or _JUDGE_TOKENS
    replayed = True
    for attempt in (0, 1):
        draw = replace(
            sampling, temperature=0.0, max_tokens=room << attempt, schema="verdict", attempt=attempt, priority=0
        )
        verdict = await judge.complete(messages, draw)
        replayed = replayed and verdict.replayed
        if verdict.finish == "stop" and (supported := _read_verdict(verdict.text)) is not None:
            return supported, replayed
    return None, replayed


def _open_judge(answer: Answer, question: Question, chunks: tuple[Chunk, ...], prompts: Prompts) -> tuple[Message, ...]:
    said = render_answer(answer.reasoning, answer.final)
    return prompts.fill("judge", document=render_documents(chunks).strip(), question=question.text, answer=said)


def _read_verdict(text: str) -> bool | None:
    """Read a verdict; None when there is none in the text."""
    text = strip_thinking(text)
    try:
        value = orjson.loads(text[text.find("{") : text.rfind("}") + 1])
    except orjson.JSONDecodeError:
        return None
    supported = value.get("supported") if isinstance(value, dict) else None
    return supported if isinstance(supported, bool) else None
