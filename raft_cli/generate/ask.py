"""Chunk in, questions out: ask the teacher, read its list, ask once more for what is missing. Knows no other stage."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import orjson

from raft_cli.cot import strip_thinking
from raft_cli.data import Chat, Chunk, Message, Question, Reject, Reply, Sampling, make_id
from raft_cli.generate.check import describe_fault, find_question_fault
from raft_cli.generate.retry import HOPELESS, build_retry, name_finish
from raft_cli.prompts import Prompts, name_language, render_documents, render_title

_ITEM = re.compile(r'"question"\s*:\s*"((?:[^"\\]|\\.)*)"(?:\s*,\s*"kind"\s*:\s*"([^"]*)")?')
_LISTED = re.compile(r'"questions"\s*:\s*\[')
_LINE = re.compile(r"^\s*(?:[-*•]|Q?\d+[.:)、]|[(（]\d+[)）])\s*(.+)$")
_LABEL = re.compile(r"^\s*(?:Q(?:uestion)?\s*\d*\s*[:：.]|问题\s*\d*\s*[:：])\s*", re.IGNORECASE)


Posed = tuple[str, str]  # a question, and what the teacher called its kind (empty when it did not say)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking about a chunk: each question asked for is accepted or rejected.

    Attributes:
        replayed: Whether every reply came from the journal.
    """

    questions: tuple[Question, ...]
    rejects: tuple[Reject, ...]
    replayed: bool


async def ask_questions(
    chunks: tuple[Chunk, ...], *, kinds: Sequence[str], chat: Chat, prompts: Prompts, sampling: Sampling, round: int = 0
) -> Asked:
    """Ask for one question of each of `kinds` about a chunk (or about two, for multi-hop).

    Args:
        round: How often these were asked anew after a rejection.

    Raises:
        ChatError: The run has to stop.
    """
    chunk, count = chunks[0], len(kinds)
    messages = _open(chunks, kinds, prompts)
    accepted: list[Posed] = []
    refused: list[tuple[str, str]] = []
    replayed = True
    for attempt in range(0, 2 * round + 2, 2):  # questions of earlier rounds are kept, later ones fill the gaps
        if len(accepted) < count:
            draw = replace(sampling, schema="questions", priority=2, attempt=attempt)
            more, refused, replayed = await _ask_twice(messages, chunk, count, accepted, chat, prompts, draw)
            accepted += more
    ids = tuple(chunk.id for chunk in chunks)
    questions = tuple(
        Question(make_id("question", *ids, text), ids, text, said if said in kinds else kind)
        for (text, said), kind in zip(accepted, kinds, strict=False)
    )
    missing = itertools.islice(
        itertools.chain(refused, itertools.repeat(("too-few-questions", ""))), count - len(accepted)
    )
    rejects = tuple(
        Reject("ask", reason, detail[:300], source=chunk.source, chunk_id=chunk.id, question=detail[:300])
        for reason, detail in missing
    )
    return Asked(questions, rejects, replayed)


async def _ask_twice(
    messages: tuple[Message, ...],
    chunk: Chunk,
    count: int,
    others: Sequence[Posed],
    chat: Chat,
    prompts: Prompts,
    sampling: Sampling,
) -> tuple[list[Posed], list[tuple[str, str]], bool]:
    """Return usable questions, what was refused at last, and whether all of it was replayed."""
    wanted = count - len(others)
    reply = await chat.complete(messages, sampling)
    replayed = reply.replayed
    accepted, refused = _read_reply(reply, chunk, wanted, others)
    if len(accepted) < wanted and reply.finish not in HOPELESS:
        missing = wanted - len(accepted)
        again, sampling = build_retry(messages, sampling, reply, lambda: _complain(refused, missing, prompts))
        reply = await chat.complete(again, sampling)
        more, refused = _read_reply(reply, chunk, missing, [*others, *accepted])
        accepted += more
    return accepted, refused, replayed and reply.replayed


def _open(chunks: tuple[Chunk, ...], kinds: Sequence[str], prompts: Prompts) -> tuple[Message, ...]:
    name = "ask" if len(chunks) == 1 else "ask_pair"
    values = {
        "count": len(kinds),
        "language": name_language(chunks[0].language),
        "title": render_title(chunks[0]),
        "document": render_documents(chunks).strip(),
    }
    return prompts.fill(name, **values, **({"kinds": ", ".join(kinds)} if name == "ask" else {}))


def _complain(refused: list[tuple[str, str]], count: int, prompts: Prompts) -> tuple[Message, ...]:
    names = dict.fromkeys(reason for reason, _ in refused) or {"too-few-questions": None}
    faults = " ".join(describe_fault(name, prompts.language) for name in names)
    return prompts.fill("ask_again", count=count, faults=faults)


def _read_reply(
    reply: Reply, chunk: Chunk, count: int, others: Sequence[Posed]
) -> tuple[list[Posed], list[tuple[str, str]]]:
    """Return at most `count` usable questions, and (reason, text) of what was refused."""
    if reply.finish != "stop":
        reason = name_finish(reply.finish)
        salvaged = list(_find_questions(reply.text)) if reply.finish == "length" else []
        accepted, refused = _sift(salvaged, chunk, count, others)
        return accepted, [*refused, *[(reason, reply.text)] * (count - len(accepted))]
    found = list(_find_questions(strip_thinking(reply.text)))
    if not found and not _LISTED.search(reply.text):
        return [], [("malformed-questions", reply.text)] * count
    return _sift(found, chunk, count, others)


def _sift(
    found: Sequence[Posed], chunk: Chunk, count: int, others: Sequence[Posed]
) -> tuple[list[Posed], list[tuple[str, str]]]:
    accepted: list[Posed] = []
    refused: list[tuple[str, str]] = []
    for text, kind in found:
        if len(accepted) == count:
            break
        known = [other for other, _ in (*others, *accepted)]
        if fault := find_question_fault(text, language=chunk.language, others=known):
            refused.append((fault, text))
        else:
            accepted.append((text, kind))
    return accepted, refused


def _find_questions(text: str) -> Iterator[Posed]:
    """Yield the questions of a reply: from JSON, from the whole items of broken JSON, or from a list of lines."""
    broken = ((_unquote(match[1]), match[2] or "") for match in _ITEM.finditer(text))
    for raw, kind in _from_json(text) or list(broken) or [(line, "") for line in _from_lines(text)]:
        if cleaned := _LABEL.sub("", " ".join(raw.split())).strip(' *_"“”'):
            yield cleaned, kind


def _from_json(text: str) -> list[Posed]:
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    end = max(text.rfind("}"), text.rfind("]")) + 1
    if not starts or end <= min(starts):
        return []
    try:
        value = orjson.loads(text[min(starts) : end])
    except orjson.JSONDecodeError:
        return []
    if isinstance(value, dict):
        value = next((item for item in value.values() if isinstance(item, list)), [])
    items = [item if isinstance(item, dict) else {"question": item} for item in value]
    return [(item["question"], str(item.get("kind", ""))) for item in items if isinstance(item.get("question"), str)]


def _unquote(text: str) -> str:
    try:
        return str(orjson.loads(f'"{text}"'))
    except orjson.JSONDecodeError:
        return text


def _from_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [match[1] for match in map(_LINE.match, lines) if match]
    return marked or [line for line in lines if line.endswith(("?", "？"))]
