"""Rows for a person to read: which ones, and their texts cut at the quotes. Knows no HTML."""

import math
import re
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from raft_cli.cot import BEGIN, END, TAG
from raft_cli.data import Chunk, Example, Role, Span

_MOST = 20
_MARKS = re.compile(f"{BEGIN}|{END}")

Stratum = tuple[str, str, str, str]  # split, kind, language, presence of the oracle


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text, quoted or not."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """A document of a row to read; `place` counts from 1 and is 0 for an oracle the student does not see."""

    place: int
    role: str
    chunk: Chunk
    path: tuple[str, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row to read."""

    split: str
    example: Example
    language: str
    documents: tuple[ShownDocument, ...]
    missing: ShownDocument | None
    reasoning: tuple[Piece, ...]
    final: str


@dataclass(slots=True)
class Reading:
    """Chooses rows spread over splits, kinds, languages and presence of the oracle, whatever the order they come in."""

    strata: dict[Stratum, list[Example]] = field(default_factory=lambda: defaultdict(list))
    axes: Counter[tuple[int, str]] = field(default_factory=Counter)

    def add(self, stratum: Stratum, example: Example) -> None:
        """Take note of a row; only those of lowest id in each stratum are kept."""
        self.axes.update(enumerate(stratum))
        kept = self.strata[stratum]
        if len(kept) < _MOST or example.id < kept[-1].id:
            insort(kept, example, key=lambda each: each.id)
            del kept[_MOST:]

    def choose(self) -> Iterator[tuple[str, Example]]:
        """Yield split and row, each kind of row by about the square root of its number."""
        waiting = {stratum: list(kept) for stratum, kept in self.strata.items()}
        used: Counter[tuple[int, str]] = Counter()
        for _ in range(min(_MOST, sum(map(len, waiting.values())))):
            open_strata = [stratum for stratum, kept in waiting.items() if kept]
            stratum = min(open_strata, key=lambda each: (self._crowding(each, used), each))
            used.update(enumerate(stratum))
            yield stratum[0], waiting[stratum].pop(0)

    def _crowding(self, stratum: Stratum, used: Counter[tuple[int, str]]) -> float:
        return sum((used[axis] + 1) / math.sqrt(self.axes[axis]) for axis in enumerate(stratum))


def show_row(split: str, example: Example, oracle: Chunk) -> ShownRow:
    """Take a row apart for the page; `oracle` is the first passage its question was asked about."""
    documents = tuple(
        _show_document(place, role, chunk, example)
        for place, (chunk, role) in enumerate(zip(example.documents, example.roles, strict=True), 1)
    )
    missing = None if example.oracle else _show_document(0, Role.ORACLE, oracle, example)
    reasoning, _, final = example.target.rpartition(TAG)
    runs = _MARKS.split(reasoning.strip())
    pieces = tuple(Piece(run, bool(number % 2)) for number, run in enumerate(runs) if run)
    return ShownRow(split, example, oracle.language, documents, missing, pieces, final.strip())


def _show_document(place: int, role: str, chunk: Chunk, example: Example) -> ShownDocument:
    spans = [(quote.start, quote.end) for quote in example.quotes if quote.chunk_id == chunk.id]
    path = chunk.heading if chunk.heading[:1] == (chunk.title,) else (chunk.title, *chunk.heading)
    return ShownDocument(place, str(role), chunk, path, tuple(_cut_at(chunk.text, spans)))


def _cut_at(text: str, spans: Iterable[Span]) -> Iterator[Piece]:
    """Cut `text` into quoted and other runs; spans may overlap."""
    at = 0
    for start, end in sorted(spans):
        if start > at:
            yield Piece(text[at:start], False)
        if end > at:
            yield Piece(text[max(at, start) : end], True)
        at = max(at, end)
    if at < len(text):
        yield Piece(text[at:], False)
