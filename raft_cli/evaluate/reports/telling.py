"""Pick the questions that tell most of how two models differ. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from raft_cli.evaluate.quotes import FALSE
from raft_cli.evaluate.records import Item
from raft_cli.evaluate.results import BASE, MODEL, Answer, Results


@dataclass(frozen=True, slots=True)
class Telling:
    """A question that one model answered rightly and the other did not.

    Attributes:
        right: `model` or `base`; empty without a base: then it is one that the model got wrong.
        base: None without a base.
    """

    item: Item
    right: str
    model: Answer
    base: Answer | None


def pick_telling(results: Results, count: int) -> list[Telling]:
    """Return up to `count` questions under the primary condition, what was lost and what was won in turn.

    First of each kind are those where the wrong answer is one (given and not cut off, not right but for its format), is
    a distractor's or rests on a false quotation, and where the right one is proven; no passage comes twice while there
    are others. Without a base: what the model got wrong, in the same order.
    """
    held: dict[tuple[str, str], Answer] = {
        (answer.item.id, answer.model): answer
        for answer in results.answers
        if answer.case.condition == results.primary and answer.grade is not None
    }
    alone = all(examinee.label != BASE for examinee in results.examinees)
    pairs = [
        telling
        for item in results.items
        if (answer := held.get((item.id, MODEL)))
        and (telling := _compare(item, answer, held.get((item.id, BASE)), alone=alone))
    ]
    lost = _spread([each for each in pairs if each.right != MODEL], results.clusters)
    won = _spread([each for each in pairs if each.right == MODEL], results.clusters)
    turns = [each for turn in zip_longest(lost, won) for each in turn if each is not None]
    return turns[:count]


def _compare(item: Item, model: Answer, base: Answer | None, *, alone: bool) -> Telling | None:
    if alone:
        return None if _is_right(model) else Telling(item, "", model, None)
    if base is None or _is_right(model) == _is_right(base):
        return None
    return Telling(item, MODEL if _is_right(model) else BASE, model, base)


def _is_right(answer: Answer) -> bool:
    return answer.grade is not None and answer.grade.acc == 1


def _rate(telling: Telling) -> tuple[bool, ...]:
    """Return a key that is the lower the more a question tells; of equal ones the first question comes first."""
    graded = [(each, each.grade) for each in (telling.model, telling.base) if each and each.grade]
    wrong, fault = next((each, grade) for each, grade in graded if grade.acc != 1)
    proof = next((grade for _, grade in graded if grade.acc == 1), None)
    return (
        fault.extracted is None or fault.refused or wrong.response.finish == "length",
        fault.acc_lenient == 1,
        not fault.misled and not any(quote.kind in FALSE for quote in fault.quotes),
        proof is None or proof.grounded != 1,
    )


def _spread(tellings: Iterable[Telling], clusters: Mapping[str, str]) -> list[Telling]:
    """Sort by what they tell; a second question of the same passage waits until every passage has had its turn."""
    turns: dict[str, int] = {}
    keyed = []
    for telling in sorted(tellings, key=_rate):
        cluster = clusters.get(telling.item.id, telling.item.id)
        turns[cluster] = turns.get(cluster, -1) + 1
        keyed.append((turns[cluster], telling))
    return [telling for _, telling in sorted(keyed, key=lambda each: each[0])]
