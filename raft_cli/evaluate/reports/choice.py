"""Choose which questions a page shows whole: what tells most first, then an even sample. Pure."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from raft_cli.data import Chunk
from raft_cli.evaluate.quotes import FALSE
from raft_cli.evaluate.reports.marks import LONGEST
from raft_cli.evaluate.results import Answer, Results

ANSWERS = 300  # most answers that are shown
_BYTES = 2_600_000  # of answers and documents that are shown
_FRAME = 1_500  # of what stands around each answer
_SHARES = {"disagree": 0.4, "misquoted": 0.2, "misled": 0.15, "missing": 0.05}  # of the places; sampled are the others
REASONS = {
    "disagree": "the models disagree",
    "wrong": "wrong",
    "misquoted": "altered or made-up quotation",
    "misled": "misled by a distractor",
    "missing": "an answer is missing",
    "sampled": "even sample",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A question under a condition with what each model said; `reason` is a key of `REASONS`."""

    answers: tuple[Answer, ...]
    reason: str


def choose_examples(results: Results, most: int = ANSWERS) -> list[Chosen]:
    """Return questions under conditions, at most `most` answers in all, and as much as a page may hold.

    Those of each reason take turns over the conditions, the primary one first.
    """
    held: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in results.answers:
        held[answer.case.condition, answer.item.id].append(answer)
    groups: dict[str, list[list[Answer]]] = defaultdict(list)
    for answers in held.values():
        groups[_find_reason(answers)].append(answers)
    order = [results.primary, *(name for name in results.conditions if name != results.primary)]
    ranked = {reason: list(_take_turns(group, order)) for reason, group in groups.items()}
    places = max(1, most // max(1, len(results.examinees)))
    shares = {("disagree" if len(results.examinees) > 1 else "wrong"): _SHARES["disagree"]} | _SHARES
    chosen, rest = [], []
    for reason in REASONS:
        count = int(places * shares.get(reason, 0))
        chosen += [Chosen(tuple(each), reason) for each in ranked.get(reason, ())[:count]]
        rest += ranked.get(reason, [])[count:]
    chosen += [Chosen(tuple(each), "sampled") for each in _take_turns(rest, order)]
    return list(_fit(chosen[:places]))


def _find_reason(answers: Sequence[Answer]) -> str:
    grades = [answer.grade for answer in answers]
    right = {grade.acc == 1 for grade in grades if grade}
    if len(right) > 1:
        return "disagree"
    if None in grades:
        return "missing"
    if any(quote.kind in FALSE for grade in grades if grade for quote in grade.quotes):
        return "misquoted"
    if any(grade.misled for grade in grades if grade):
        return "misled"
    alone = len(answers) == 1 and not any(grade.acc == 1 or grade.refused for grade in grades if grade)
    return "wrong" if alone else "sampled"


def _take_turns(group: Sequence[list[Answer]], conditions: Sequence[str]) -> Iterator[list[Answer]]:
    """Yield a seeded order in which every condition has its turn."""
    turns: list[list[list[Answer]]] = []
    for condition in conditions:
        own = sorted((each for each in group if each[0].case.condition == condition), key=lambda each: each[0].item.id)
        random.Random(f"page:{condition}").shuffle(own)
        turns.append(own)
    return (each for each in chain.from_iterable(zip_longest(*turns)) if each is not None)


def _fit(chosen: Sequence[Chosen]) -> Iterator[Chosen]:
    """Yield examples while the page has room for them and for the documents they bring along."""
    room, shelved = _BYTES, set()
    for each in chosen:
        room -= sum(_FRAME + _weigh(answer.response.text[:LONGEST]) for answer in each.answers)
        for chunk in chain.from_iterable(answer.case.documents for answer in each.answers):
            if (chunk.id, chunk.text) not in shelved:
                room -= _weigh_document(chunk)
                shelved.add((chunk.id, chunk.text))
        if room < 0:
            return
        yield each


def _weigh_document(chunk: Chunk) -> int:
    return _weigh(chunk.text) + _FRAME // 3


def _weigh(text: str) -> int:
    """Return the bytes of a text once it is escaped, at most."""
    return len(text.encode("utf-8", "replace")) + 4 * sum(map(text.count, "<>&\"'"))
