"""What the local teacher says: good questions and answers made of the words of the document, always the same."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

_COUNT = re.compile(r"Write exactly (\d+)|写出恰好\s*(\d+)\s*个问题")
_KIND = re.compile("factoid|reasoning|procedural|multi-hop")
_ORDER = re.compile("(?:kinds in this order|按顺序属于以下类型)[^\\n]*")
_STOPS = (". ", "! ", "? ", "。", "！", "？")
_WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_CLAUSE = re.compile(r"[^\u4e00-\u9fffA-Za-z0-9]+|[的了是在和与及或等为由从对把被将并也都就而]")
_MARKUP = ("#", "|", "```", "---", "===")
# Words that would make a question lean on the document it came from, and words that say nothing.
_LEANING = """
about above according after also another because been before being below between chapter could document does
each every figure following from given have here however into itself mentioned more most much only other over
page paragraph passage same section should since some such table text than that their them then there these
they this those through under until upon very were what when where which while will with within without would
your
"""
_AVOID = frozenset(_LEANING.split())
_AVOID_ZH = ("本文", "上述", "该文", "下表", "上表", "文中", "本节", "本章", "如图", "文档", "以上", "以下")
_SHAPES = ("How do {} relate to {}?", "What connects {} with {}?", "Why do {} matter for {}?", "When do {} affect {}?")
_SHAPES_ZH = ("{}与{}有何关系？", "为什么{}关系到{}？", "{}如何影响{}？", "{}对{}有何要求？")


@dataclass(frozen=True, slots=True)
class Job:
    """What a conversation wants.

    Attributes:
        name: `ask`, `answer`, `judge` or `other`.
        given: The answer that came with a user's own question.
        turn: 0 for the first request of a conversation, 1 after one earlier reply, and so on.
        said: What was replied earlier in the conversation.
    """

    name: str
    documents: tuple[str, ...] = ()
    question: str = ""
    given: str = ""
    count: int = 3
    kinds: tuple[str, ...] = ("factoid",)
    turn: int = 0
    said: str = ""


def read_job(messages: list[dict[str, Any]]) -> Job:
    """Tell what is wanted from the first user message, what stands before it, and the last one for a count."""
    contents = [_plain(message.get("content")) for message in messages]
    roles = [message.get("role") for message in messages]
    place = roles.index("user")
    first, turn = contents[place], roles.count("assistant")
    start, last = first.find("<DOCUMENT>"), first.rfind("</DOCUMENT>")
    if start < 0 or last < 0:
        return Job("other", question=first, turn=turn)
    documents = tuple(part.split("</DOCUMENT>")[0] for part in first[start + 10 : last].split("<DOCUMENT>"))
    rest = first[last + 11 :].strip()
    if "<REPLY>" in rest:
        return Job("judge", documents, turn=turn)
    if rest:
        return Job("answer", documents, _between(rest, "QUESTION") or rest, _between(rest, "GIVEN"), turn=turn)
    told = "\n".join(contents[:place])
    kinds = ("multi-hop",) if len(documents) > 1 else _kinds(told)
    said = "".join(content for content, role in zip(contents, roles, strict=True) if role == "assistant")
    return Job("ask", documents, count=_count(contents[-1]) or _count(told) or 3, kinds=kinds, turn=turn, said=said)


def _plain(content: object) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _between(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].strip()


@lru_cache(1024)
def _count(told: str) -> int:
    found = _COUNT.search(told)
    return int(found[1] or found[2]) if found else 0


@lru_cache(64)
def _kinds(told: str) -> tuple[str, ...]:
    listed = _ORDER.search(told)
    return tuple(_KIND.findall(listed[0] if listed else told)) or ("factoid",)


def is_chinese(text: str) -> bool:
    """Tell whether a text has more Chinese characters than words of letters."""
    return not text.isascii() and len(_HAN.findall(text)) > len(_WORD.findall(text))


@lru_cache(8192)
def sentences_of(document: str) -> tuple[str, ...]:
    """Cut a document into sentences that can carry a question."""
    lines = document
    for stop in _STOPS:
        lines = lines.replace(stop, stop + "\n")
    pieces = [piece for piece in map(str.strip, lines.split("\n")) if piece]
    for shortest in (40, 12):
        kept = [p for p in pieces if len(p) >= (shortest if p.isascii() else 12) and not p.startswith(_MARKUP)]
        if kept:
            return tuple(kept)
    return tuple(pieces)


@lru_cache(8192)
def words_of(sentence: str) -> tuple[str, ...]:
    """Return the words that tell a sentence from others, in its order; for Chinese short runs of characters."""
    if is_chinese(sentence):
        runs = [run[:6] for run in _CLAUSE.split(sentence) if len(run) >= 2]
        return tuple(dict.fromkeys(run for run in runs if not any(bad in run for bad in _AVOID_ZH)))
    words = [w for w in _WORD.findall(sentence) if len(w) >= 4 and w.lower() not in _AVOID]
    return tuple(dict.fromkeys(words))


@lru_cache(8192)
def questions_of(documents: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Write up to `count` different questions, spread over the document; over both when there are two."""
    sentences, *others = (sentences_of(document) for document in documents[:2])
    if not sentences:
        return ()
    rounds = -(-count // len(sentences))
    order = [i * len(sentences) // count for i in range(count)] if rounds == 1 else range(len(sentences))
    written: dict[str, None] = {}
    for number in range(rounds):
        for place in order:
            second = others[0][place % len(others[0])] if others and others[0] else ""
            question = _write(sentences[place], second, number, place)
            if question and len(written) < count:
                written[question] = None
    return tuple(written)


def _write(sentence: str, second: str, number: int, place: int) -> str:
    chinese = is_chinese(sentence)
    size = 2 if chinese else 3
    words, more = words_of(sentence)[2 * number * size :], words_of(second)[2 * number * size :]
    first, last = (words[:size], more[:size]) if more else (words[:size], words[size : 2 * size])
    if not (first and last):
        return "" if number else ("什么是{}？" if chinese else "What is {}?").format(sentence[:40].rstrip(".。 "))
    shapes, joint = (_SHAPES_ZH, "、") if chinese else (_SHAPES, " ")
    return shapes[(place + number) % 4].format(joint.join(first), joint.join(last))


def find_sources(job: Job) -> list[str]:
    """Return the sentence that shares most words with the question or holds the given answer; of a pair one each."""
    question = job.question
    pairs = (question[i : i + 2] for i in range(len(question) - 1))
    asked = set(pairs if is_chinese(question) else words_of(question))
    found = []
    for document in job.documents:
        best, most = "Nothing is said.", -1
        for sentence in sentences_of(document):
            shared = sum([word in sentence for word in asked]) + 1000 * bool(job.given and job.given in sentence)
            if shared > most:
                best, most = sentence, shared
        found.append((most, best))
    if len(found) == 2 and min(found)[0] > 1:
        return [best for _, best in found]
    return [max(found, key=lambda item: item[0])[1]]


def final_of(sentence: str) -> str:
    """Copy the last few words of a sentence."""
    text = sentence.rstrip(".!?。！？ \"'”’)）|")
    if is_chinese(text):
        return re.split(r"[，。；：、,;:\n]", text)[-1][-12:] or text[-12:]
    return " ".join(text.split(" ")[-5:])


def questions_reply(job: Job) -> list[dict[str, str]]:
    """Write the questions of a job, none said before, with their kinds in turn."""
    written = questions_of(job.documents, job.count)
    if job.said:
        more = dict.fromkeys((*written, *questions_of(job.documents, 50)))
        written = tuple(question for question in more if question not in job.said)[: job.count]
    return [{"question": text, "kind": job.kinds[i % len(job.kinds)]} for i, text in enumerate(written)]


def answer_reply(job: Job, quotes: list[str]) -> str:
    """Write a chain of thought with quotations and its answer line."""
    source = find_sources(job)[0]
    about, final = words_of(source)[:3], job.given or final_of(source)
    marked = [f"##begin_quote##{quote}##end_quote##" for quote in quotes]
    if is_chinese(source):
        told = f"问题涉及{'、'.join(about)}。资料写道：{'又写道：'.join(marked)} 由此可以得出答案。"
    else:
        told = f"What is asked is about {' '.join(about)}. It is known that {' and that '.join(marked)}, so it is so."
    return f"{told}\n<ANSWER>: {final}"


def good_reply(job: Job) -> str:
    """Do the job well."""
    if job.name == "ask":
        return orjson.dumps({"questions": questions_reply(job)}).decode()
    if job.name == "answer":
        return answer_reply(job, find_sources(job))
    if job.name == "judge":
        return '{"supported": true, "reason": "Each statement stands in the quotation."}'
    return "Yes.\n<ANSWER>: yes"
