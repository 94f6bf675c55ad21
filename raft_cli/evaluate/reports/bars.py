"""Stacked bars of an evaluation, as places in per cent; the template draws them. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.evaluate.measure import counted
from raft_cli.evaluate.normalise import count_units
from raft_cli.evaluate.records import QuoteClass
from raft_cli.evaluate.reports.words import show_count, show_share
from raft_cli.evaluate.results import Answer, Results, label_models

CLASSES: Mapping[QuoteClass, tuple[str, str]] = {  # in short, and in full
    QuoteClass.ORACLE: ("oracle", "word for word from an oracle"),
    QuoteClass.SHARED: ("oracle and others", "word for word from an oracle and other documents"),
    QuoteClass.NEAR_ORACLE: ("near an oracle", "nearly an oracle's words"),
    QuoteClass.NEAR_DISTRACTOR: ("near a distractor", "nearly a distractor's words"),
    QuoteClass.DISTRACTOR: ("distractor", "word for word from a distractor"),
    QuoteClass.ALTERED: ("altered", "altered: other numbers or negations"),
    QuoteClass.FABRICATED: ("made up", "made up: in no document"),
}
_LENGTHS = (0, 1, 2, 4, 8, 16)  # most words of each group of short answers; a last group has more


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar, `left` and `width` in per cent of it."""

    style: str
    label: str
    count: int
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar.

    Attributes:
        label: Of what; `model` the one it is of.
        note: Said beside the bar.
        mark: Where chance is, in per cent.
    """

    label: str
    model: str
    note: str
    parts: tuple[Part, ...]
    mark: float | None = None


def stack_quotes(results: Results) -> list[Bar]:
    """Return the classes of the quotations that count, by condition and model, with what chance would give."""
    counts: dict[tuple[str, str], Counter[QuoteClass]] = {}
    for answer in results.answers:
        if answer.grade is not None:
            found = counts.setdefault((answer.case.condition, answer.model), Counter())
            found.update(quote.kind for quote in counted(answer.grade))
    bars = []
    for condition in results.conditions:
        for label in label_models(results):
            held = counts.get((condition, label), Counter())
            chance = results.chances.get(condition)
            parts = _stack([(kind.value, short, held[kind]) for kind, (short, _) in CLASSES.items()])
            mark = 100 * chance if chance else None
            bars.append(Bar(condition, label, show_count(held.total(), "quotation"), parts, mark))
    return bars


def stack_declined(results: Results) -> list[Bar]:
    """Return what models do under `distract`: right from memory, declined, wrong; nothing where it was not asked."""
    bars = []
    for label in label_models(results):
        grades = [
            answer.grade
            for answer in results.answers
            if answer.model == label and answer.case.condition == "distract" and answer.grade
        ]
        right = sum(grade.acc == 1 for grade in grades)
        declined = sum(grade.refused for grade in grades)
        parts = _stack(
            [
                ("right", "right from memory", right),
                ("declined", "declined", declined),
                ("wrong", "wrong", len(grades) - right - declined),
            ]
        )
        bars.append(Bar("distract", label, show_count(len(grades), "answer"), parts))
    return bars if "distract" in results.conditions else []


def stack_pairs(results: Results) -> list[Bar]:
    """Return for each condition how many questions only the model, neither alone, or only the base got right."""
    bars = []
    for test in results.tests:
        ties = test.difference.n - test.better - test.worse
        parts = _stack(
            [
                ("won", "only the model right", test.better),
                ("tied", "both or neither", ties),
                ("lost", "only the base right", test.worse),
            ]
        )
        bars.append(Bar(test.condition, "", show_count(test.difference.n, "question"), parts))
    return bars


def stack_lengths(results: Results) -> list[tuple[str, list[Bar]]]:
    """Return for groups of short answers by length how many are right, under the primary condition."""
    groups: dict[tuple[int, str], list[Answer]] = {}
    for answer in results.answers:
        if answer.grade and answer.case.condition == results.primary:
            words = count_units(answer.grade.lenient)
            group = next((at for at, most in enumerate(_LENGTHS) if words <= most), len(_LENGTHS))
            groups.setdefault((group, answer.model), []).append(answer)
    return [
        (_name_length(at), [_weigh(label, groups.get((at, label), [])) for label in label_models(results)])
        for at in sorted({group for group, _ in groups})
    ]


def _weigh(label: str, answers: Sequence[Answer]) -> Bar:
    right = sum(answer.grade is not None and answer.grade.acc == 1 for answer in answers)
    parts = _stack([("right", "right", right), ("wrong", "not right", len(answers) - right)])
    return Bar("", label, show_share(right / len(answers) if answers else None), parts)


def _name_length(group: int) -> str:
    if group == len(_LENGTHS):
        return f"over {_LENGTHS[-1]} words"
    least, most = (_LENGTHS[group - 1] + 1 if group else 0), _LENGTHS[group]
    if most == 0:
        return "nothing"
    return show_count(most, "word") if least == most else f"{least} to {most} words"


def _stack(parts: Iterable[tuple[str, str, int]]) -> tuple[Part, ...]:
    held = list(parts)
    total = sum(count for _, _, count in held)
    return tuple(_place(held, total)) if total else ()


def _place(parts: Sequence[tuple[str, str, int]], total: int) -> Iterator[Part]:
    left = 0.0
    for style, label, count in parts:
        width = 100 * count / total
        if count:
            yield Part(style, label, count, round(left, 3), round(width, 3))
        left += width
