"""Choose the distractors of a question: the first few are always among more, and none gives the answer away. Pure."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.data import Chunk, Role
from raft_cli.evaluate.records import Item
from raft_cli.language import fold, is_specific

Search = Callable[[str, int], Sequence[str]]
"""A query and a number to that many ids of chunks, the best first."""

_TOP = 50
_LIKE = 80.0
_REMEMBERED = 5_000


@dataclass(slots=True)
class Leaks:
    """How many candidates were looked at, and why some were barred.

    Attributes:
        answer: They contain an answer.
        overlap: They share words of the source with an oracle, or repeat a document.
        alike: They are at least 80 % the same as an oracle.
    """

    examined: int = 0
    answer: int = 0
    overlap: int = 0
    alike: int = 0

    @property
    def rate(self) -> float | None:
        """Share of the candidates that would have given something away."""
        return (self.answer + self.overlap + self.alike) / self.examined if self.examined else None


class Distractors:
    """Draws distractors for questions: hard ones that a search finds, and random ones, in turn."""

    def __init__(self, chunks: Mapping[str, Chunk], search: Search, *, seed: int) -> None:
        self.leaks = Leaks()
        self._chunks = chunks
        self._names = list(chunks)
        self._search = search
        self._seed = seed
        self._folded: dict[str, str] = {}

    def choose(self, item: Item, count: int) -> list[tuple[Chunk, Role]]:
        """Return up to `count` distractors; fewer of them are the beginning of more.

        Hard and random ones take turns, so that each beginning is half and half; a random one stands in where search
        finds no more.
        """
        guard = _Guard(item, [self._chunks[name] for name in item.oracle_ids], self)
        query = " ".join([item.question, item.golds[0]])
        hard = (name for name in self._search(query, _TOP))
        rest = _shuffle(self._names, random.Random(f"{self._seed}:eval-distractors:{item.id}"))
        chosen: list[tuple[Chunk, Role]] = []
        while len(chosen) < count:
            found = guard.take(hard) if len(chosen) % 2 == 0 else None
            role = Role.HARD if found else Role.RANDOM
            found = found or guard.take(rest)
            if not found:
                break
            chosen.append((found, role))
        return chosen

    def find(self, name: str) -> Chunk:
        """Return a chunk by its id."""
        return self._chunks[name]

    def fold(self, chunk: Chunk) -> str:
        """Return the folded text of a chunk; the last few thousand are kept."""
        if chunk.id not in self._folded:
            if len(self._folded) > _REMEMBERED:
                self._folded.clear()
            self._folded[chunk.id] = fold(chunk.text)
        return self._folded[chunk.id]


class _Guard:
    """Lets candidates for one question pass, each once at most."""

    def __init__(self, item: Item, oracle: Sequence[Chunk], pool: Distractors) -> None:
        self._oracle = oracle
        self._pool = pool
        self._golds = [fold(gold).strip(" .。") for gold in item.golds if is_specific(gold)]
        self._seen = set(item.oracle_ids)
        self._texts = {pool.fold(chunk) for chunk in oracle}
        self._originals = tuple(self._texts)

    def take(self, candidates: Iterator[str]) -> Chunk | None:
        """Return the next candidate that gives nothing away."""
        for name in candidates:
            if name in self._seen:
                continue
            self._seen.add(name)
            chunk = self._pool.find(name)
            self._pool.leaks.examined += 1
            if self._is_safe(chunk):
                self._texts.add(self._pool.fold(chunk))
                return chunk
        return None

    def _is_safe(self, chunk: Chunk) -> bool:
        from rapidfuzz import fuzz

        leaks, text = self._pool.leaks, self._pool.fold(chunk)
        if text in self._texts or any(_overlaps(chunk, other) for other in self._oracle):
            leaks.overlap += 1
        elif any(gold in text for gold in self._golds):
            leaks.answer += 1
        elif any(fuzz.ratio(text, other, score_cutoff=_LIKE) for other in self._originals):
            leaks.alike += 1
        else:
            return True
        return False


def _overlaps(one: Chunk, other: Chunk) -> bool:
    return one.document_id == other.document_id and one.start < other.end and other.start < one.end


def _shuffle(names: Sequence[str], draw: random.Random) -> Iterator[str]:
    """Yield names in random order, at no cost for those that are not asked for (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for last in range(len(names) - 1, -1, -1):
        at = draw.randrange(last + 1)
        yield names[moved.get(at, at)]
        moved[at] = moved.pop(last, last)
