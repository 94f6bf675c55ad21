"""The rows of ours, of gorilla and of chat and completion files, one JSON object each, as `Row`. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NoReturn, TypeVar

from raft_cli.cot import parse_answer
from raft_cli.data import Message, Role, make_id
from raft_cli.errors import DatasetError
from raft_cli.train.data.documents import read_documents
from raft_cli.train.records import Row

STOP = "<STOP>"
_KNOWN = "rows of raft or gorilla, `messages`, or `prompt` and `completion`"
_TURNS = ("system", "user", "assistant")
_CARRIED = ("role", "content", "name")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Line:
    """A JSON object of a file, and where it stands (`number` from 1)."""

    record: Mapping[str, Any]
    file: str
    number: int

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.file}, line {self.number}"

    @property
    def name(self) -> str:
        """What a row without an id of its own is called."""
        return f"{PurePath(self.file).name}:{self.number}"


def name_format(line: Line) -> str:
    """Return which format a row has: `native`, `gorilla`, `messages` or `prompt-completion`.

    Raises:
        DatasetError: It is none of these; the message names what it looks like and the way out.
    """
    keys = line.record.keys()
    if keys >= {"instruction", "cot_answer"}:
        return "native" if "documents" in keys else "gorilla"
    if "messages" in keys:
        return "messages"
    if keys >= {"prompt", "completion"}:
        return "prompt-completion"
    if "conversations" in keys:
        _fail(line, f"a sharegpt row (`conversations`); {_advise()}")
    if keys >= {"instruction", "output"}:
        _fail(line, f"an alpaca row (`instruction`, `output`); {_advise()}")
    if "gold_final_answer" in keys:
        _fail(line, f"a row for evaluation, which holds no reasoning to learn; {_advise()}")
    shown = ", ".join(sorted(map(str, keys))[:8]) or "no keys"
    _fail(line, f"no format that can be trained on ({shown}); expected {_KNOWN}")


def _advise() -> str:
    return "give the dataset folder that it was exported from, or `raft export … --format messages`"


def read_row(line: Line, form: str) -> Row:
    """Return a row of format `form`.

    Raises:
        DatasetError: It has another format, or lacks what the format asks for.
    """
    if (found := name_format(line)) != form:
        _fail(line, f"a {found} row in a file of {form} rows")
    return _READERS[form](line)


def ends_with_stop(line: Line) -> bool:
    """Tell whether the answer of a completion row ends with gorilla's stop mark, which `read_row` takes away."""
    completion = line.record.get("completion")
    return isinstance(completion, str) and completion.rstrip().endswith(STOP)


def _read_native(line: Line) -> Row:
    instruction = _take(line.record, "instruction", str, line)
    answer = _take(line.record, "cot_answer", str, line)
    roles = tuple(_read_role(each, line) for each in _take(line.record, "documents", list, line))
    oracle = tuple(_take(line.record, "oracle", list, line))
    if oracle != tuple(at for at, role in enumerate(roles) if role is Role.ORACLE):
        _fail(line, "`oracle` does not say which documents have the role oracle")
    if len(read_documents(instruction)) < len(roles) or not _agree(instruction, line):
        _fail(line, "the documents in `instruction` are not those of the row")
    return Row(
        id=str(line.record.get("id") or line.name),
        place=line.place,
        messages=(Message("user", instruction),),
        answer=answer,
        roles=roles,
        oracle=oracle,
        group=make_id(line.record.get("oracle_context") or instruction),
        present=bool(oracle),
        native=True,
    )


def _read_role(document: object, line: Line) -> Role:
    try:
        return Role(_take(document, "role", str, line))
    except ValueError:
        _fail(line, f"a document of an unknown role; known: {', '.join(Role)}")


def _agree(instruction: str, line: Line) -> bool:
    """Tell whether the instruction begins with the documents of `context`, if the row has one."""
    sentences = _read_sentences(line)
    return read_documents(instruction)[: len(sentences)] == sentences


def _read_sentences(line: Line) -> list[str]:
    context = line.record.get("context")
    held = context.get("sentences") if isinstance(context, dict) else None
    inner = held[0] if isinstance(held, list) and held and isinstance(held[0], list) else held
    return [str(each) for each in inner] if isinstance(inner, list) else []


def _read_gorilla(line: Line) -> Row:
    instruction = _take(line.record, "instruction", str, line)
    oracle_text = _take(line.record, "oracle_context", str, line)
    sentences = _read_sentences(line)
    known = bool(sentences) and _agree(instruction, line)
    roles = tuple(Role.ORACLE if text == oracle_text else Role.RANDOM for text in sentences) if known else ()
    return Row(
        id=str(line.record.get("id") or line.name),
        place=line.place,
        messages=(Message("user", instruction),),
        answer=_take(line.record, "cot_answer", str, line),
        roles=roles,
        oracle=tuple(at for at, role in enumerate(roles) if role is Role.ORACLE),
        group=make_id(oracle_text),
        present=oracle_text in sentences,
        native=False,
    )


def _read_messages(line: Line) -> Row:
    turns = _read_turns(_take(line.record, "messages", list, line), line)
    if turns[-1].role != "assistant":
        _fail(line, "the last of `messages` is no assistant turn, so that there is no answer to learn")
    return _build_foreign(turns[:-1], turns[-1].content, line)


def _read_pair(line: Line) -> Row:
    prompt, completion = line.record["prompt"], line.record["completion"]
    turns = [Message("user", prompt)] if isinstance(prompt, str) else _read_turns(prompt, line)
    if isinstance(completion, str):
        answer = completion.rstrip().removesuffix(STOP) if ends_with_stop(line) else completion
        return _build_foreign(turns, answer, line)
    said = _read_turns(completion, line)
    if [turn.role for turn in said] != ["assistant"]:
        _fail(line, "`completion` is not one assistant turn")
    return _build_foreign(turns, said[0].content, line)


def _read_turns(turns: object, line: Line) -> list[Message]:
    if not isinstance(turns, list) or not turns:
        _fail(line, "turns are missing; expected a list of `role` and `content`")
    for held in (turn for turn in turns if isinstance(turn, dict)):
        if strangers := [name for name, value in held.items() if name not in _CARRIED and _is_filled(value)]:
            _fail(line, f"a turn has `{strangers[0]}`, which would be lost; only `role` and `content` are trained on")
    if line.record.get("tools"):
        _fail(line, "`tools` would be lost; only turns of `role` and `content` are trained on")
    read = [Message(_take(turn, "role", str, line), _take(turn, "content", str, line)) for turn in turns]
    for at, turn in enumerate(read):
        if turn.role not in _TURNS or (turn.role == "system" and at):
            _fail(
                line, f"turn {at + 1} is of the role {turn.role}; a system turn may come first, then user and assistant"
            )
    return read


def _is_filled(value: object) -> bool:
    return value is not False and value not in (None, "", [], {})  # a `weight` of 0 says something


def _build_foreign(prompt: Sequence[Message], answer: str, line: Line) -> Row:
    """Return a row that says nothing of its documents: the oracle are those that the answer quotes."""
    if not prompt or prompt[-1].role != "user":
        _fail(line, "no user turn stands before the answer")
    asked = prompt[-1].content
    documents = [flatten(text) for text in read_documents(asked)]
    clear = asked.count("<DOCUMENT>") == asked.count("</DOCUMENT>") == len(documents)  # no text holds a tag itself
    quotes = [quote for each in parse_answer(answer).quotes if (quote := flatten(each))]
    oracle = tuple(at for at, text in enumerate(documents) if any(quote in text for quote in quotes))
    roles = (
        tuple(Role.ORACLE if at in oracle else Role.RANDOM for at in range(len(documents))) if oracle and clear else ()
    )
    kept = [documents[at] for at in oracle] or sorted(documents) or [turn.content for turn in prompt]
    return Row(
        id=line.name,
        place=line.place,
        messages=tuple(prompt),
        answer=answer,
        roles=roles,
        oracle=oracle if roles else (),
        group=make_id(*kept),
        present=bool(oracle),
        native=False,
    )


def flatten(text: str) -> str:
    """Return `text` with every run of white space as one blank."""
    return " ".join(text.split())


def _take(record: object, key: str, kind: type[_T], line: Line) -> _T:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        wanted = "a text" if issubclass(kind, str) else "a list"
        _fail(line, f"`{key}` is missing" if value is None else f"`{key}` is not {wanted}")
    return value


def _fail(line: Line, what: str) -> NoReturn:
    raise DatasetError(f"{line.place}: {what}")


_READERS: dict[str, Callable[[Line], Row]] = {
    "native": _read_native,
    "gorilla": _read_gorilla,
    "messages": _read_messages,
    "prompt-completion": _read_pair,
}
