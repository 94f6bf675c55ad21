"""The embedded teacher: cloze-like questions on salient sentences, answered with a quote. No key, no network, no model.

For trying the tool and for tests of the plumbing; deterministic. English and Chinese; others get an empty reply.
It answers the prompts of any other teacher: the passage between the document tags, the question between its own.
"""

import asyncio
import json
import re
from collections.abc import Iterator

from raft_cli.chat.endpoint import Received
from raft_cli.cot import BEGIN, END, TAG
from raft_cli.data import Message, Reply, Sampling
from raft_cli.language import content_words, detect_language, is_cjk, split_sentences

_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)
_QUESTION = re.compile(r"<QUESTION>(.*?)</QUESTION>\s*(?:<GIVEN>.*</GIVEN>)?\s*\Z", re.DOTALL)
_TITLE = re.compile(r"<TITLE>(.*?)</TITLE>")
_MARKUP = re.compile(r"^(?:[#>|*+\-\s]|\d+[.)、])|\||```")
_EDGES = (r"(?<![\w.:/°+-])(?:", r")(?![\w:]|[.-]\w)")  # a fact is no part of a name, a time or a version
_NAME = r"[A-Z]+[\w.-]*\d[\w.-]*(?<![.-])|[A-Z]{2,}[\w-]*(?<!-)"
_UNITS = (
    r"%|°C|[kKMG]?[bB]its?/s|[kKMGT]i?[BbHh]z?|ms|mm|cm|kg|[smhdVAWg]|seconds?|minutes?|hours?|days?|weeks?|months?|"
    r"years?|volts?|metres?|percent|characters|devices|sensors|entries|retries"
)
_UNITS_ZH = "%|℃|°C|[A-Za-z]{1,4}|个月|小时|分钟|工作日|毫米|厘米|毫安|米|秒|天|年|月|次|个|台|伏|度|条|路"
_FACT = re.compile(rf"{_EDGES[0]}\d+(?:[.,]\d+)*(?:\s?(?:{_UNITS}))?|{_NAME}{_EDGES[1]}")
_FACT_ZH = re.compile(
    rf"(?<![A-Za-z\d.:/°+-])(?:\d+(?:[.,]\d+)*\s?(?:{_UNITS_ZH})?|{_NAME.replace(chr(92) + 'w', 'A-Za-z0-9')})"
    r"(?![A-Za-z\d:]|[.-][A-Za-z\d])"
)
_COPULA = re.compile(
    r"\s(?:is|are|was|were|must|can|may|should|will|has|have|needs?|uses?|supports?|keeps?|requires?)\s"
)
_MAX_QUESTIONS = 12


class Extractive:
    """Picks sentences with a checkable fact, asks for the fact, and answers with the sentence."""

    identity = "extractive v1"

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        """Answer a prompt of `prompts/`; never fails."""
        await asyncio.sleep(0)  # lets Ctrl-C and the progress bar in
        prompt = next(message.content for message in messages if message.role == "user")
        documents = _DOCUMENT.findall(prompt)
        question = _QUESTION.search(prompt)
        if sampling.schema == "verdict":
            text = '{"supported": true, "reason": "embedded teacher"}'
        elif question:
            text = _answer(question[1], documents)
        else:
            title = _TITLE.search(prompt)
            text = _ask(documents, title[1] if title else "")
        reply = Reply(text, "stop", len(prompt) // 4, len(text) // 4, estimated=True)
        return Received(reply, text.encode())


def _ask(documents: list[str], title: str) -> str:
    found: list[dict[str, str]] = []
    if len(documents) > 1:  # a question over two passages joins one fact of each
        pairs = zip(_find_clozes(documents[0]), _find_clozes(documents[1]), strict=False)
        for (first, _), (second, _) in pairs:
            found.append({"question": _join(first, second), "kind": "multi-hop"})
    else:
        kinds = ("factoid", "reasoning", "procedural")
        for sentence, fact in _find_clozes(documents[0]):
            found.append({"question": _phrase(sentence, fact, title), "kind": kinds[len(found) % 3]})
    return json.dumps({"questions": found[:_MAX_QUESTIONS]}, ensure_ascii=False)


def _find_clozes(text: str) -> Iterator[tuple[str, str]]:
    """Yield (sentence, fact), the most telling sentences first; each sentence once."""
    ranked = []
    for start, end in split_sentences(text):
        sentence = text[start:end]
        fact = _pick_fact(sentence)
        length = len(content_words(sentence))
        if not fact or _MARKUP.search(sentence) or not 5 <= length <= (80 if is_cjk(sentence) else 40):
            continue
        if not sentence.endswith((".", "。", "!", "！")) or detect_language(sentence) not in ("en", "zh"):
            continue
        ranked.append((-min(length, 20), start, sentence, fact))
    seen: set[str] = set()
    for _, _, sentence, fact in sorted(ranked):
        if sentence not in seen:
            seen.add(sentence)
            yield sentence, fact


def _pick_fact(sentence: str) -> str:
    """Return the span to ask for: the longest figure or name that occurs once, but not the opening words."""
    pattern = _FACT_ZH if is_cjk(sentence) else _FACT
    body = sentence.rstrip("。.!！")
    spans = [match for match in pattern.finditer(body) if match.start() > 3 and body.count(match.group()) == 1]
    digits = [match for match in spans if match.group()[0].isdigit()]
    chosen = max(digits or spans, key=lambda match: (len(match.group()), -match.start()), default=None)
    return chosen.group().strip() if chosen else ""


def _phrase(sentence: str, fact: str, title: str) -> str:
    if is_cjk(sentence):
        topic = title.split(" > ")[-1] if title else ""
        about = f"关于“{topic}”，" if topic else ""
        return f"{about}{_blank(sentence, fact)}，空缺处应填什么？"
    blank = _blank(sentence, fact)
    verb = _COPULA.search(blank)
    if verb and blank.index("____") > verb.end() and blank[0].isupper():
        return f"{blank}: which value?"
    return f"{blank}: what is missing?"


def _blank(sentence: str, fact: str) -> str:
    return " ".join(sentence.replace(fact, "____", 1).rstrip("。.!！").split())


def _join(first: str, second: str) -> str:
    one, other = (_blank(sentence, _pick_fact(sentence)) for sentence in (first, second))
    if is_cjk(first):
        return f"{one}；{other}，两处空缺应分别填什么？"
    return f"{one}; {other}: which two values?"


def _answer(question: str, documents: list[str]) -> str:
    """Quote the sentence of each document that the question was made from, else the most similar one."""
    wanted = content_words(question)
    quotes: list[tuple[str, str]] = []
    for document in documents:
        clozes = list(_find_clozes(document))
        asked = [pair for pair in clozes if _blank(*pair) in question]
        plain = [(document[start:end], "") for start, end in split_sentences(document)]
        readable = [pair for pair in plain if not _MARKUP.search(pair[0])]
        if candidates := asked or clozes or readable:
            sentence, fact = max(candidates, key=lambda pair: (_overlap(wanted, pair[0]), -len(pair[0])))
            quotes.append((sentence, fact if asked or len(documents) > 1 else sentence.rstrip("。.")))
    if not quotes:
        return ""
    final = "；".join(fact for _, fact in quotes) if is_cjk(quotes[0][0]) else "; ".join(fact for _, fact in quotes)
    marked = [f"{BEGIN}{sentence}{END}" for sentence, _ in quotes]
    if is_cjk(quotes[0][0]):
        return f"原文写明：{'；又写明：'.join(marked)} 因此所求内容为“{final}”。\n{TAG} {final}"
    return f"The source states: {' It also states: '.join(marked)} So what is asked for is {final}.\n{TAG} {final}"


def _overlap(wanted: set[str], sentence: str) -> float:
    words = content_words(sentence)
    return len(wanted & words) / (len(words) + 3) if words else 0.0
