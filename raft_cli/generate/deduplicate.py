"""Find questions that say the same across the corpus, and those too alike to stand on two sides of a split. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.corpus.search import LexicalIndex
from raft_cli.data import Question
from raft_cli.generate.check import CLOSE
from raft_cli.language import SAME, same_figures, tokenise

_EXHAUSTIVE = 20_000  # questions up to which all pairs are compared
_SHARED = 0.4
_NEIGHBOURS = 50  # beyond that, each is compared with those that search finds most like it


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
    Up to 20,000 questions all pairs are compared, beyond that each with the 50 that lexical search finds most like it.
    """
    ordered = sorted(questions, key=lambda question: question.id)
    texts = [question.text for question in ordered]
    pairs = _compare_all(texts) if len(texts) <= _EXHAUSTIVE else _compare_likely(texts)
    repeats: dict[str, str] = {}
    close: list[tuple[str, str]] = []
    for earlier, later, likeness in sorted(set(pairs), key=lambda pair: (pair[1], pair[0])):
        one, other = ordered[earlier], ordered[later]
        if one.id in repeats or other.id in repeats:
            continue
        if likeness >= SAME and same_figures(one.text, other.text):
            repeats[other.id] = one.id
        else:
            close.append((one.id, other.id))
    return Likeness(repeats, [pair for pair in close if not (pair[0] in repeats or pair[1] in repeats)])


def _compare_all(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield (earlier, later, likeness) of every pair that is at least close.

    A pair whose common words make up less than two fifths of the shorter text cannot be close, short of words that are
    all spelled a little differently; only the others are compared.
    """
    import numpy as np

    words = [" ".join(sorted(set(tokenise(text).split()))) for text in texts]
    holders: dict[str, list[int]] = defaultdict(list)
    for at, text in enumerate(words):
        for word in text.split():
            holders[word].append(at)
    postings = {word: np.array(found, dtype=np.int32) for word, found in holders.items()}
    lengths = np.array([len(text) + 1 for text in words], dtype=np.float32)
    for at, text in enumerate(words):
        own = text.split()
        if not own:
            continue
        found = np.concatenate([postings[word] for word in own])
        weights = np.repeat([len(word) + 1 for word in own], [len(postings[word]) for word in own])
        shared = np.bincount(found, weights, minlength=len(words))[at + 1 :]
        near = np.flatnonzero(shared >= _SHARED * np.minimum(lengths[at + 1 :], lengths[at])) + at + 1
        yield from _measure(words, at, [int(other) for other in near])


def _measure(words: Sequence[str], at: int, others: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    from rapidfuzz import fuzz, process

    found = process.extract_iter(
        words[at], {other: words[other] for other in others}, scorer=fuzz.token_set_ratio, score_cutoff=CLOSE
    )
    for _, likeness, other in found:
        yield min(at, other), max(at, other), likeness


def _compare_likely(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield the same for each text and those that search finds most like it."""
    words = [tokenise(text) for text in texts]
    index = LexicalIndex(texts)
    for at, text in enumerate(texts):
        others = [other for other in index.search(text, _NEIGHBOURS) if other != at]
        yield from _measure(words, at, others)
