"""From graded answers to figures with intervals, and to the test of the model against the base. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.evaluate.measure import METRICS, measure
from raft_cli.evaluate.resample import Column, Pair
from raft_cli.evaluate.results import BASE, MODEL, PRIMARY, Answer, Test
from raft_cli.evaluate.significance import find_smallest, find_smallest_clustered, holm, mcnemar
from raft_cli.evaluate.statistics import Difference, Interval, bootstrap_all, contrast_all, count_discordant

JUDGED = "judged"
MOST_MISSING = 0.01  # of answers, or of verdicts
DIRECTIONS = {metric.name: metric.direction for metric in METRICS} | {JUDGED: "up"}
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """What each answer adds to each figure.

    Attributes:
        ids: Of the questions; every column has one value for each, in this order.
        units: What is resampled with each question: its passage, or its document.
        columns: By model, condition and metric.
        answers: By model and condition, then by question.
    """

    ids: tuple[str, ...]
    units: tuple[str, ...]
    columns: Mapping[Key, tuple[Pair, ...]]
    answers: Mapping[tuple[str, str], Mapping[str, Answer]]
    seed: int

    def pick(self, model: str, condition: str, metric: str = PRIMARY) -> tuple[Pair, ...] | None:
        """Return a column, None where there is none."""
        return self.columns.get((model, condition, metric))

    def estimate(self, columns: Sequence[Column]) -> list[Interval]:
        """Return each column's ratio of sums with its interval."""
        return bootstrap_all(columns, self.units, seed=self.seed)

    def contrast(self, sums: Sequence[Sequence[tuple[float, Column]]]) -> list[Difference]:
        """Return each weighted sum of ratios, over questions that count in all of them."""
        shared = [
            list(zip([weight for weight, _ in terms], share([c for _, c in terms]), strict=True)) for terms in sums
        ]
        return contrast_all(shared, self.units, seed=self.seed)

    def keep(self, column: Column, wanted: Callable[[str], bool]) -> list[Pair]:
        """Return a column in which only the questions that are wanted count."""
        return [pair if wanted(name) else (0.0, 0.0) for name, pair in zip(self.ids, column, strict=True)]


def share(columns: Sequence[Column]) -> list[list[Pair]]:
    """Return columns in which a question counts only where it was asked in all: a difference is one of the same."""
    rows = [
        pairs if all(pair is None or pair[1] for pair in pairs) else [pair and (0.0, 0.0) for pair in pairs]
        for pairs in zip(*columns, strict=True)
    ]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]


def tabulate_answers(answers: Sequence[Answer], units: Mapping[str, str], *, judged: bool, seed: int) -> Table:
    """Return what each answer adds to each figure: None where it is missing, (0, 0) where the figure does not apply.

    Args:
        units: By question, in their order, what is resampled with it.
        judged: Whether there was a judge.
    """
    by_case: dict[tuple[str, str], dict[str, Answer]] = {}
    for answer in answers:
        by_case.setdefault((answer.model, answer.case.condition), {})[answer.item.id] = answer
    columns: dict[Key, tuple[Pair, ...]] = {}
    for (model, condition), held in by_case.items():
        for metric in METRICS:
            columns[model, condition, metric.name] = tuple(_add(metric.name, held.get(name)) for name in units)
        if judged:
            columns[model, condition, JUDGED] = _add_verdicts([held.get(name) for name in units])
    return Table(tuple(units), tuple(units.values()), columns, by_case, seed)


def _add(metric: str, answer: Answer | None) -> Pair:
    if answer is None:
        return 0.0, 0.0
    if answer.grade is None:
        return None
    return measure(metric, answer.item, answer.case, answer.response, answer.grade) or (0.0, 0.0)


def _add_verdicts(answers: Sequence[Answer | None]) -> tuple[Pair, ...]:
    """Return the column of the judge's verdicts; where over 1 % lack one, it says nothing of any.

    What equals a gold needs no verdict, so those that are missing are never the surely right ones: the rest would
    flatter the model.
    """
    pairs = tuple(map(_add_verdict, answers))
    graded = [pair for pair, answer in zip(pairs, answers, strict=True) if answer is not None and answer.grade]
    if sum(pair is None for pair in graded) > MOST_MISSING * len(graded):
        return tuple((0.0, 0.0) for _ in pairs)
    return pairs


def _add_verdict(answer: Answer | None) -> Pair:
    if answer is None:
        return 0.0, 0.0
    return (float(answer.judged == "CORRECT"), 1.0) if answer.judged else None


def estimate_all(table: Table) -> dict[Key, Interval]:
    """Return every figure with its interval."""
    return dict(zip(table.columns, table.estimate(list(table.columns.values())), strict=True))


def compare_models(table: Table) -> dict[tuple[str, str], Difference]:
    """Return model less base for every condition and metric; nothing without a base.

    A figure that applies to an answer of one and not of the other (precision, where only one quotes) is the difference
    of two ratios, each over its own answers.
    """
    keys = [key[1:] for key in table.columns if key[0] == MODEL and (BASE, *key[1:]) in table.columns]
    sums = [[(1.0, table.columns[(MODEL, *key)]), (-1.0, table.columns[(BASE, *key)])] for key in keys]
    return dict(zip(keys, contrast_all(sums, table.units, seed=table.seed), strict=True))


def compare_primary(
    table: Table, differences: Mapping[tuple[str, str], Difference], conditions: Sequence[str]
) -> list[Test]:
    """Return the test of `acc` under each condition, adjusted for their number; nothing without a base."""
    found = []
    for condition in conditions:
        one, other = table.pick(MODEL, condition), table.pick(BASE, condition)
        if one is None or other is None:
            continue
        difference = differences[condition, PRIMARY]
        better, worse = count_discordant(one, other)
        found.append(
            Test(
                condition,
                difference,
                better,
                worse,
                mcnemar(better, worse),
                None,
                _smallest(difference, better + worse),
            )
        )
    adjusted = holm([each.p if each.difference.n else None for each in found])
    return [
        Test(each.condition, each.difference, each.better, each.worse, each.p, p, each.smallest)
        for each, p in zip(found, adjusted, strict=True)
    ]


def _smallest(difference: Difference, discordant: int) -> float | None:
    """Return the smallest difference that would be found: by McNemar's test or the bootstrap, whichever is blinder.

    None where the former finds none, however large.
    """
    n = difference.n
    by_test = find_smallest(n, discordant / n) if n else None
    return None if by_test is None else max(by_test, find_smallest_clustered(difference.error) or 0.0)


def find_primary(conditions: Sequence[str]) -> str:
    """Return the condition whose `acc` decides: oracle+4, else the nearest to it, else the first."""
    sized = [(abs(int(name.partition("+")[2]) - 4), name) for name in conditions if name.startswith("oracle+")]
    if sized:
        return min(sized)[1]
    return "oracle" if "oracle" in conditions else conditions[0]
