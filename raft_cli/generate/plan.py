"""What is to be asked: which kinds of questions about which chunks, or a user's own questions.

A task depends on nothing but the texts of its own document, so that another document changes no request.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from raft_cli.corpus.search import LexicalIndex
from raft_cli.cot import escape
from raft_cli.data import Chunk, Question, Reject, make_id
from raft_cli.errors import CorpusError
from raft_cli.language import content_words, fold

_PAIR = "multi-hop"
_REACH = 8  # chunks of the same document looked at for a partner, on either side


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of paid work.

    Attributes:
        chunks: What the questions are about: one chunk, or two for multi-hop.
        kinds: One for each question to ask for; empty when the question is given.
        given: A user's own question.
        name: Identifies the work by its texts alone, whatever file they stand in.
    """

    chunks: tuple[Chunk, ...]
    kinds: tuple[str, ...] = ()
    given: Question | None = None

    @property
    def name(self) -> str:
        """Identify the task by its texts."""
        return make_id("ask", *(chunk.text for chunk in self.chunks), *self.kinds)

    @property
    def size(self) -> int:
        """How many questions it is to end with."""
        return len(self.kinds) or 1


def plan_tasks(chunks: Sequence[Chunk], *, questions: int, kinds: Sequence[str]) -> list[Task]:
    """Return the tasks for `questions` questions about each chunk, their kinds in turn.

    Each chunk begins the turn elsewhere, by its own text; a chunk without a partner has `reasoning` for multi-hop.
    """
    partners = _find_partners(chunks) if _PAIR in kinds else {}
    tasks = []
    for chunk in chunks:
        first = int(make_id("kinds", chunk.text), 16)
        turn = [kinds[(first + at) % len(kinds)] for at in range(questions)]
        partner = partners.get(chunk.id)
        single = tuple(kind for kind in turn if kind != _PAIR) if partner else tuple(
            "reasoning" if kind == _PAIR else kind for kind in turn
        )  # fmt: skip
        if single:
            tasks.append(Task((chunk,), single))
        if partner and _PAIR in turn:
            tasks.append(Task((chunk, partner), (_PAIR,) * turn.count(_PAIR)))
    return tasks


def choose_pilot(chunks: Sequence[Chunk], *, limit: int | None, seed: int) -> list[Chunk]:
    """Return `limit` chunks drawn by seed, in their order; all of them without a limit."""
    if limit is None or limit >= len(chunks):
        return list(chunks)
    drawn = sorted(chunks, key=lambda chunk: make_id(seed, "pilot", chunk.id))[:limit]
    kept = {chunk.id for chunk in drawn}
    return [chunk for chunk in chunks if chunk.id in kept]


def _find_partners(chunks: Sequence[Chunk]) -> dict[str, Chunk]:
    """Return for each chunk the most related one near it in its document."""
    documents: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        documents[chunk.document_id].append(chunk)
    partners = {}
    for siblings in documents.values():
        words = [content_words(chunk.text) for chunk in siblings]
        for at, chunk in enumerate(siblings):
            near = [other for other in range(max(0, at - _REACH), min(len(siblings), at + _REACH + 1)) if other != at]
            apart = [
                other for other in near if siblings[other].start >= chunk.end or siblings[other].end <= chunk.start
            ]
            if apart:
                best = max(apart, key=lambda other: (len(words[at] & words[other]), -abs(other - at), -other))
                partners[chunk.id] = siblings[best]
    return partners


def read_own_questions(path: str) -> list[tuple[str, str, str]]:
    """Return (question, answer, source) of each row of a CSV or JSONL file; answer and source may be empty.

    Raises:
        CorpusError: The file is missing, has no `question` column, or a line (named) cannot be read.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"--questions-file {path}: {error}") from error
    rows = _read_jsonl(path, text) if file.suffix in (".jsonl", ".ndjson") else _read_csv(path, text)
    found = []
    for number, row in enumerate(rows, 1):
        question = str(row.get("question") or "").strip()
        if not question:
            raise CorpusError(f"--questions-file {path}: row {number} has no `question`")
        found.append((question, _read_field(row, "answer"), _read_field(row, "source")))
    if not found:
        raise CorpusError(f"--questions-file {path}: no questions in it")
    return found


def _read_csv(path: str, text: str) -> list[dict[str, object]]:
    try:
        return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""))]  # fields may hold line ends
    except csv.Error as error:
        raise CorpusError(f"--questions-file {path}: {error}") from error


def _read_field(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()


def _read_jsonl(path: str, text: str) -> list[dict[str, object]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise CorpusError(f"--questions-file {path}: line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise CorpusError(f"--questions-file {path}: line {number} is not an object")
        rows.append(row)
    return rows


def plan_own_questions(
    rows: Iterable[tuple[str, str, str]], chunks: Sequence[Chunk]
) -> tuple[list[Task], list[Reject]]:
    """Find the chunk that each own question is about: the best by lexical search, with its answer in it if possible."""
    index = LexicalIndex([" ".join([*chunk.heading, chunk.text]) for chunk in chunks])
    tasks: dict[str, Task] = {}
    rejects = []
    for text, answer, source in rows:
        if escape(text) != text:
            rejects.append(Reject("ask", "holds-marks", "contains a reserved mark", source=source, question=text))
            continue
        ranked = [chunks[at] for at in index.search(f"{text} {answer}", len(chunks) if source else 50)]
        ranked = [chunk for chunk in ranked if not source or source in (chunk.source, chunk.source.split("#")[0])]
        holding = [chunk for chunk in ranked if answer and fold(answer) in fold(chunk.text)]
        best = next(iter(holding or ranked), None)
        if best is None:
            rejects.append(
                Reject("ask", "no-chunk-for-question", source or "nothing in the corpus matches", question=text)
            )
            continue
        question = Question(make_id("question", best.id, text), (best.id,), text, "own", answer)
        if question.id in tasks:
            rejects.append(Reject("ask", "repeated-question", "given twice", question=text))
        tasks.setdefault(question.id, Task((best,), given=question))
    return list(tasks.values()), rejects
