"""Find questions that say the same across the corpus, and those too alike to stand on two sides of a split. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.data import Question
from raft_cli.generate.check import CLOSE, SAME, alike, same_figures, tokenise
from raft_cli.language import search_tokens

_EXHAUSTIVE = 10_000  # questions up to which all pairs are compared
_BLOCK = 500
_POSTINGS = 400  # beyond that, a word of more questions than this pairs nobody


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
    Up to 10,000 questions all pairs are compared, beyond that those that share one of their rarest words.
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
    """Yield the same for pairs in which one of the rarest words of either stands in the other."""
    words = [sorted(set(search_tokens(text))) for text in texts]
    frequency = Counter(word for found in words for word in found)
    holders: dict[str, list[int]] = defaultdict(list)
    for at, found in enumerate(words):
        for word in found:
            if frequency[word] <= _POSTINGS:
                holders[word].append(at)
    pairs: set[tuple[int, int]] = set()
    for at, found in enumerate(words):
        rarest = sorted(found, key=lambda word: (frequency[word], word))[: max(2, len(found) // 4 + 1)]
        for word in rarest:
            pairs.update((min(at, other), max(at, other)) for other in holders.get(word, ()) if other != at)
    for one, other in pairs:
        if (likeness := alike(texts[one], texts[other])) >= CLOSE:
            yield one, other, likeness
