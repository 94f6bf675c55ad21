"""Rows of a dataset as the evaluation needs them: ours, gorilla's, and rows for evaluation. Reads no file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from raft_cli.cot import TAG, parse_answer, unescape
from raft_cli.data import Quote
from raft_cli.errors import DatasetError
from raft_cli.language import detect_language, fold, is_specific

_T = TypeVar("_T")
_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)
_KNOWN = "rows of `raft generate`, of gorilla's raft, or `question`, `gold_final_answer` and `context`"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a split.

    Attributes:
        id: Its own, or empty.
        place: File and line, for messages.
        golds: Short answers, unescaped; empty when the row holds none (a refusal in place of the answer).
        oracle_ids: Chunks that answer it, where the row names them.
        oracle_text: Their text, where it does not; empty when it is not known which document answers it.
        documents: Texts of its documents, unescaped.
        native: Whether its chunks stand in `chunks.jsonl`.
    """

    id: str
    place: str
    question: str
    golds: tuple[str, ...]
    type: str
    kind: str
    language: str
    reference: str
    quotes: tuple[Quote, ...]
    oracle_ids: tuple[str, ...]
    oracle_text: str
    documents: tuple[str, ...]
    native: bool


def parse_row(record: Mapping[str, Any], place: str) -> Row:
    """Read one row, whichever of the known formats it has.

    Raises:
        DatasetError: It has none of them, or a field is missing or of the wrong kind.
    """
    if record.keys() >= {"question", "answer", "documents", "oracle_context", "cot_answer"}:
        return _parse_native(record, place)
    if record.keys() >= {"question", "oracle_context", "cot_answer"}:
        return _parse_gorilla(record, place)
    if record.keys() >= {"question", "gold_final_answer", "context"}:
        return _parse_eval(record, place)
    shown = ", ".join(sorted(map(str, record))[:8]) or "no keys"
    raise DatasetError(f"{place}: no row that can be evaluated ({shown}); expected {_KNOWN}")


def _parse_native(record: Mapping[str, Any], place: str) -> Row:
    """Read a row of ours; a bare answer line without an oracle is a refusal, and tells no answer."""
    held = [_take(each, "chunk_id", str, place) for each in _take(record, "documents", list, place)]
    oracle = _take(record, "oracle", list, place)
    if any(not isinstance(at, int) or not 0 <= at < len(held) for at in oracle):
        raise DatasetError(f"{place}: `oracle` names documents that the row does not have")
    reference = _take(record, "cot_answer", str, place)
    answers = [_take(record, "answer", str, place), *_take(record, "answers", list, place, [])]
    refused = not oracle and reference.strip() == f"{TAG} {answers[0]}".strip()
    return Row(
        id=str(record.get("id") or ""),
        place=place,
        question=_take(record, "question", str, place),
        golds=() if refused else _clean(answers),
        type=str(record.get("type") or "general"),
        kind=str(record.get("kind") or ""),
        language=str(record.get("language") or detect_language(record["question"])),
        reference=reference,
        quotes=tuple(_read_quote(each, place) for each in _take(record, "quotes", list, place, [])),
        oracle_ids=tuple(held[at] for at in oracle),
        oracle_text=unescape(_take(record, "oracle_context", str, place)),
        documents=tuple("" for _ in held),
        native=True,
    )


def _parse_gorilla(record: Mapping[str, Any], place: str) -> Row:
    """Read a row of the original code: the answer is what follows the last tag; an API call may stand without one."""
    reference = _take(record, "cot_answer", str, place)
    kind = str(record.get("type") or "general")
    final = parse_answer(reference).final
    if kind == "api call":  # a program keeps its lines
        final = reference.rpartition(TAG)[2].strip()
    question = _take(record, "question", str, place)
    return Row(
        id="",  # its ids begin anew in each part of a corpus
        place=place,
        question=question,
        golds=_clean([final]),
        type=kind,
        kind="",
        language=detect_language(question),
        reference=reference,
        quotes=(),
        oracle_ids=(),
        oracle_text=unescape(_take(record, "oracle_context", str, place)),
        documents=_read_sentences(record),
        native=False,
    )


def _parse_eval(record: Mapping[str, Any], place: str) -> Row:
    """Read a row that names no oracle: it is the one document that holds the answer, if that is specific."""
    documents = tuple(unescape(text) for text in _DOCUMENT.findall(_take(record, "context", str, place)))
    golds = _clean([_take(record, "gold_final_answer", str, place)])
    wanted = fold(golds[0]).strip(" .。") if golds and is_specific(golds[0]) else ""
    holders = [text for text in dict.fromkeys(documents) if wanted and wanted in fold(text)]
    question = _take(record, "question", str, place)
    return Row(
        id="",
        place=place,
        question=question,
        golds=golds,
        type="general",
        kind="",
        language=detect_language(question),
        reference="",
        quotes=(),
        oracle_ids=(),
        oracle_text=holders[0] if len(holders) == 1 else "",
        documents=documents,
        native=False,
    )


def _read_sentences(record: Mapping[str, Any]) -> tuple[str, ...]:
    context = record.get("context")
    held = context.get("sentences") if isinstance(context, dict) else None
    inner = held[0] if isinstance(held, list) and held and isinstance(held[0], list) else held
    return tuple(unescape(str(each)) for each in inner) if isinstance(inner, list) else ()


def _read_quote(record: object, place: str) -> Quote:
    return Quote(
        _take(record, "text", str, place),
        _take(record, "chunk_id", str, place),
        _take(record, "start", int, place),
        _take(record, "end", int, place),
    )


def _clean(answers: list[Any]) -> tuple[str, ...]:
    """Return answers unescaped, without empty ones and repetitions."""
    return tuple(dict.fromkeys(text for answer in answers if (text := unescape(str(answer)).strip())))


def _take(record: object, key: str, kind: type[_T], place: str, default: _T | None = None) -> _T:
    value = record.get(key, default) if isinstance(record, Mapping) else None
    if not isinstance(value, kind):
        raise DatasetError(f"{place}: `{key}` is missing or is no {kind.__name__}")
    return value
