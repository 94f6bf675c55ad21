"""Find questions that say the same across the corpus, and those too alike to stand on two sides of a split. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.corpus.search import LexicalIndex
from raft_cli.data import Question
from raft_cli.generate.check import CLOSE, SAME, same_figures, tokenise

_EXHAUSTIVE = 1_500  # questions up to which all pairs are compared
_BLOCK = 500
_NEIGHBOURS = 30  # beyond that, each is compared with those that search finds most like it


@dataclass(frozen=True, slots=True)
class Likeness:
    """What was found.

    Attributes:
        repeats: For each question to remove, the id of the earlier one.
        close: Pairs of kept questions that must stay on the same side.
    """

    repeats: dict[str, str]
    close: list[tuple[str, str]]


def find_alike(questions: Sequence[Question]) -> Likeness:
    """Compare questions in the order of their ids; of two that say the same, the later id is removed.

    Two questions say the same at a token-set ratio of 90 or more with equal numbers and negations; 80 makes them close.
    Up to 1,500 questions all pairs are compared, beyond that each with the 30 that lexical search finds most like it.
    """
    ordered = sorted(questions, key=lambda question: question.id)
    texts = [question.text for question in ordered]
    pairs = _compare_all(texts) if len(texts) <= _EXHAUSTIVE else _compare_likely(texts)
    repeats: dict[str, str] = {}
    close: list[tuple[str, str]] = []
    for earlier, later, likeness in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        one, other = ordered[earlier], ordered[later]
        if one.id in repeats or other.id in repeats:
            continue
        if likeness >= SAME and same_figures(one.text, other.text):
            repeats[other.id] = one.id
        else:
            close.append((one.id, other.id))
    return Likeness(repeats, [pair for pair in close if not (pair[0] in repeats or pair[1] in repeats)])


def _compare_all(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield (earlier, later, likeness) of every pair that is at least close."""
    import numpy as np
    from rapidfuzz import fuzz, process

    words = [tokenise(text) for text in texts]
    for start in range(0, len(words), _BLOCK):
        rows = process.cdist(
            words[start : start + _BLOCK], words[start:], scorer=fuzz.token_set_ratio, score_cutoff=CLOSE, workers=-1
        )
        for row, column in np.argwhere(rows >= CLOSE):
            if row < column:
                yield start + int(row), start + int(column), float(rows[row, column])


def _compare_likely(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield the same for each text and those that search finds most like it."""
    from rapidfuzz import fuzz

    words = [tokenise(text) for text in texts]
    index = LexicalIndex(texts)
    seen: set[tuple[int, int]] = set()
    for at, text in enumerate(texts):
        for other in index.search(text, _NEIGHBOURS):
            pair = (min(at, other), max(at, other))
            if at == other or pair in seen:
                continue
            likeness = fuzz.token_set_ratio(words[pair[0]], words[pair[1]], score_cutoff=CLOSE)
            if likeness >= CLOSE:
                seen.add(pair)
                yield *pair, likeness
