"""Choose the distractors of a question: hard ones by search, random ones by seed, none that holds the answer. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.corpus.search import LexicalIndex
from raft_cli.cot import unescape
from raft_cli.data import Answer, Chunk, Question, Role
from raft_cli.language import fold, is_specific, search_tokens

_TOP = 50
_CONTAINED = 0.5


@dataclass(slots=True)
class Guarded:
    """How often a candidate was barred, by reason."""

    answer: int = 0
    overlap: int = 0
    similar: int = 0


class Distractors:
    """Draws distractors for questions from the chunks of a corpus.

    A passage that merely resembles the oracle is a good hard distractor; it is barred when it contains the answer, or,
    where the answer is too common to test for (yes, 5), when it shares half of its word 3-grams with the oracle.
    """

    def __init__(self, chunks: Sequence[Chunk], *, source: str, seed: int) -> None:
        self.guarded = Guarded()
        self._chunks = chunks
        self._source = source
        self._seed = seed
        self._folded: dict[str, str] = {}
        hard = source != "random"
        self._index = LexicalIndex([" ".join([*chunk.heading, chunk.text]) for chunk in chunks]) if hard else None

    def choose(
        self, question: Question, answer: Answer, oracle: Sequence[Chunk], count: int, extra: int
    ) -> list[tuple[Chunk, Role]]:
        """Return `count` distractors with their roles, then `extra` more that can stand in for an absent oracle.

        Random ones take the place of hard ones where search finds too few; there are fewer than asked for when the
        corpus has no more safe ones.
        """
        final = fold(unescape(answer.final)).strip(" .。")
        taken = {chunk.id for chunk in oracle}
        texts = {fold(chunk.text) for chunk in oracle}
        hard = self._search(question, answer)
        rest = self._draw(random.Random(f"{self._seed}:distractors:{question.id}"))
        chosen: list[tuple[Chunk, Role]] = []
        for wanted in self._plan_roles(count, extra):
            for role, candidates in ((Role.HARD, hard), (Role.RANDOM, rest)):
                if wanted is Role.RANDOM and role is Role.HARD:
                    continue
                safe = (chunk for chunk in candidates if chunk.id not in taken)
                found = next((chunk for chunk in safe if not self._is_barred(chunk, oracle, final, texts)), None)
                if found is not None:
                    chosen.append((found, role))
                    taken.add(found.id)
                    texts.add(self._fold(found))
                    break
        return chosen

    def _plan_roles(self, count: int, extra: int) -> list[Role]:
        if self._source == "mixed":
            turns = (count + 1) // 2 * [Role.HARD] + count // 2 * [Role.RANDOM]
            return turns + [Role.RANDOM if (count + at) % 2 else Role.HARD for at in range(extra)]
        return [Role.HARD if self._source == "lexical" else Role.RANDOM] * (count + extra)

    def _search(self, question: Question, answer: Answer) -> Iterator[Chunk]:
        if self._index is None:
            return iter(())
        query = f"{question.text} {unescape(answer.final)}"
        return (self._chunks[at] for at in self._index.search(query, _TOP))

    def _draw(self, draw: random.Random) -> Iterator[Chunk]:
        """Yield all chunks in random order, without shuffling a large corpus for a few."""
        seen: set[int] = set()
        total = len(self._chunks)
        while len(seen) < total // 2:
            at = draw.randrange(total)
            if at not in seen:
                seen.add(at)
                yield self._chunks[at]
        rest = [at for at in range(total) if at not in seen]
        while rest:
            at = draw.randrange(len(rest))
            rest[at], rest[-1] = rest[-1], rest[at]
            yield self._chunks[rest.pop()]

    def _is_barred(self, chunk: Chunk, oracle: Sequence[Chunk], final: str, texts: set[str]) -> bool:
        if any(_overlaps(chunk, other) for other in oracle) or self._fold(chunk) in texts:
            self.guarded.overlap += 1
            return True
        if is_specific(final):
            barred = final in self._fold(chunk)
            self.guarded.answer += barred
            return barred
        barred = any(_containment(chunk.text, other.text) >= _CONTAINED for other in oracle)
        self.guarded.similar += barred
        return barred

    def _fold(self, chunk: Chunk) -> str:
        """Return the folded text of a chunk; the last few thousand are kept."""
        if chunk.id not in self._folded:
            if len(self._folded) > 5_000:
                self._folded.clear()
            self._folded[chunk.id] = fold(chunk.text)
        return self._folded[chunk.id]


def _overlaps(one: Chunk, other: Chunk) -> bool:
    return one.document_id == other.document_id and one.start < other.end and other.start < one.end


def _containment(text: str, oracle: str) -> float:
    """Return the share of the word 3-grams of the shorter text that stand in the other."""
    one, other = (_trigrams(search_tokens(part)) for part in (text, oracle))
    return len(one & other) / max(1, min(len(one), len(other)))


def _trigrams(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(tokens[at : at + 3]) for at in range(len(tokens) - 2)}
