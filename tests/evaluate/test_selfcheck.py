"""The self-check is silent on sound scores and names every broken one."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from grading import DISTRACTOR, ORACLE, OTHER, ZH_DISTRACTOR, ZH_ORACLE, make_case, make_item

from raft_cli.cot import TAG
from raft_cli.data import Chunk
from raft_cli.evaluate.extract import Reading, read_response
from raft_cli.evaluate.measure import Ratio, measure
from raft_cli.evaluate.normalise import Rules, tokenise
from raft_cli.evaluate.quotes import grade_quotes
from raft_cli.evaluate.records import Case, Grade, GradedQuote, Item, QuoteClass, Response
from raft_cli.evaluate.score import SCORER, Overlap, Scorer, is_misled, score_contained, score_exact, score_overlap
from raft_cli.evaluate.selfcheck import check_scoring

GOLDS = ["20 ms", "16 A", "red lamp", "K4", "3.10", "yes", "B", "#", "1,000.0 rpm", "coil"]
ITEMS = [make_item(gold, name=f"item{at}") for at, gold in enumerate(GOLDS)]
ITEMS += [
    make_item("24小时", name="zh1", language="zh"),
    make_item("不支持", name="zh2", language="zh"),
    make_item("hub.load('a', b=1)", name="api1", type="api call"),
    make_item("GET /v1/items", name="api2", type="api call"),
    make_item("I don't know", name="gap"),
]
TEXTS = ((ORACLE, DISTRACTOR, OTHER), (OTHER, ORACLE), (DISTRACTOR, ORACLE))
CASES = [
    *(
        make_case(item, TEXTS[at % 3], oracle=(TEXTS[at % 3].index(ORACLE),))
        for at, item in enumerate(ITEMS)
        if item.language == "en"
    ),
    *(make_case(item, (ZH_DISTRACTOR, ZH_ORACLE), oracle=(1,)) for item in ITEMS if item.language == "zh"),
    *(make_case(item, (OTHER, DISTRACTOR), oracle=(), condition="distract") for item in ITEMS),
    *(make_case(item, (), oracle=(), condition="closed") for item in ITEMS),
]


def test_sound_scores_pass() -> None:
    assert check_scoring(ITEMS, CASES) == ()
    assert check_scoring(ITEMS[:1], CASES[:1]) == ()
    assert check_scoring([], []) == ()


def test_a_failure_says_what_was_found() -> None:
    failures = check_scoring(ITEMS, CASES[:10], scorer=replace(SCORER, exact=lambda answer, gold, rules: 1.0))
    failure = next(failure for failure in failures if (failure.probe, failure.metric) == ("other-gold", "em"))
    assert (failure.expected, failure.found, failure.answers) == (0.0, 1.0, 10)
    assert failure.example == "item0"


def read_first_tag(text: str) -> Reading:
    reading = read_response(text)
    if text.count(TAG) < 2 or "<think>" in text:
        return reading
    first = text.split(TAG)[1].strip().splitlines()[0]
    return replace(reading, extracted=first, lenient=first)


def read_whole(text: str) -> Reading:
    reading = read_response(text)
    return replace(reading, extracted=reading.lenient)


def read_thoughts(text: str) -> Reading:
    return read_response(text.replace("<think>", "").replace("</think>", " "))


def contain_characters(answer: str, gold: str, rules: Rules) -> float:
    return float("".join(tokenise(gold, rules)) in "".join(tokenise(answer, rules)))


def share_of_recall(answer: str, gold: str, rules: Rules) -> Overlap:
    overlap = score_overlap(answer, gold, rules)
    return replace(overlap, f1=overlap.recall)


def regrade(change: Callable[[GradedQuote], GradedQuote]) -> Callable[..., tuple[GradedQuote, ...]]:
    def grade(quotes: Sequence[str], documents: Sequence[Chunk], oracle: Sequence[int]) -> tuple[GradedQuote, ...]:
        return tuple(change(quote) for quote in grade_quotes(quotes, documents, oracle))

    return grade


def swap(old: QuoteClass, new: QuoteClass) -> Callable[..., tuple[GradedQuote, ...]]:
    return regrade(lambda quote: replace(quote, kind=new) if quote.kind is old else quote)


MUTATIONS: dict[str, dict[str, Any]] = {
    "exact is always right": {"exact": lambda answer, gold, rules: 1.0},
    "exact is never right": {"exact": lambda answer, gold, rules: 0.0},
    "exact without normalising (ragas)": {"exact": lambda answer, gold, rules: float(answer == gold.upper())},
    "an empty answer is exact": {
        "exact": lambda answer, gold, rules: float(not answer or score_exact(answer, gold, rules))
    },
    "the overlap is never empty": {"overlap": lambda answer, gold, rules: Overlap(1.0, 1.0, 1.0)},
    "f1 is halved": {"overlap": lambda answer, gold, rules: replace(score_overlap(answer, gold, rules), f1=0.5)},
    "precision and recall are lost": {"overlap": lambda a, g, r: Overlap(score_overlap(a, g, r).f1, 0.0, 0.0)},
    "containing is by characters (FlashRAG)": {"contained": contain_characters},
    "everything contains": {"contained": lambda answer, gold, rules: 1.0},
    "containing turned round": {"contained": lambda answer, gold, rules: score_contained(gold, answer, rules)},
    "rouge is 1 (FlashRAG's judge)": {"rouge": lambda answer, gold, rules: 1.0},
    "rouge is dropped": {"rouge": lambda answer, gold, rules: 0.0},
    "any containing answer is right": {"right": score_contained},
    "right by characters": {"right": contain_characters},
    "everything is right (MIRAGE's A)": {"right": lambda answer, gold, rules: 1.0},
    "the first tag counts": {"read": read_first_tag},
    "no tag is needed": {"read": read_whole},
    "thoughts count": {"read": read_thoughts},
    "the answer is never found": {"read": lambda text: replace(read_response(text), extracted=None)},
    "quotations are not seen (ragas)": {"read": lambda text: replace(read_response(text), quotes=())},
    "quotations are not graded": {"grade_quotes": lambda quotes, documents, oracle: ()},
    "every quotation is from the oracle": {
        "grade_quotes": regrade(lambda quote: replace(quote, kind=QuoteClass.ORACLE))
    },
    "oracle and distractor exchanged": {
        "grade_quotes": lambda quotes, documents, oracle: grade_quotes(
            quotes, documents, [at for at in range(len(documents)) if at not in oracle]
        )
    },
    "positions are counted from 1": {
        "grade_quotes": lambda quotes, documents, oracle: grade_quotes(quotes, documents, [at + 1 for at in oracle])
    },
    "altered is near": {"grade_quotes": swap(QuoteClass.ALTERED, QuoteClass.NEAR_ORACLE)},
    "altered is the oracle's": {"grade_quotes": swap(QuoteClass.ALTERED, QuoteClass.ORACLE)},
    "distractor is shared": {"grade_quotes": swap(QuoteClass.DISTRACTOR, QuoteClass.SHARED)},
    "quotations have no place": {"grade_quotes": regrade(lambda quote: replace(quote, document=None, spans=()))},
    "right is grounded": {"grounded": lambda right, quotes: right},
    "nothing is grounded": {"grounded": lambda right, quotes: 0.0},
    "nobody is misled": {"misled": lambda answer, documents, oracle, rules: False},
    "all wrong ones are misled": {"misled": lambda answer, documents, oracle, rules: True},
    "misled turned round": {
        "misled": lambda answer, documents, oracle, rules: is_misled(
            answer, documents, [at for at in range(len(documents)) if at not in oracle], rules
        )
    },
    "nothing is a refusal": {"refuses": lambda text: False},
    "everything is a refusal": {"refuses": lambda text: True},
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_broken_scores_are_noticed(name: str) -> None:
    assert check_scoring(ITEMS, CASES, scorer=replace(SCORER, **MUTATIONS[name]))


def test_every_function_of_the_scorer_is_broken_by_some_mutation() -> None:
    broken = {field for mutation in MUTATIONS.values() for field in mutation}
    assert broken == {field.name for field in dataclasses.fields(Scorer)}


MEASURES: dict[str, Callable[[Ratio | None, str], Ratio | None]] = {
    "undefined is dropped": lambda ratio, name: None if name == "citation_precision" else ratio,
    "the other way round": lambda ratio, name: (1 - ratio[0], 1.0) if ratio and name == "grounded_acc" else ratio,
    "refusals are wrong": lambda ratio, name: (-1.0, 1.0) if ratio == (0.0, 1.0) and name == "crag" else ratio,
}


@pytest.mark.parametrize("name", MEASURES)
def test_broken_figures_are_noticed(name: str) -> None:
    def measured(metric: str, item: Item, case: Case, response: Response, grade: Grade) -> Ratio | None:
        return MEASURES[name](measure(metric, item, case, response, grade), metric)

    assert check_scoring(ITEMS, CASES, measured=measured)


@pytest.mark.parametrize("gold", ["Final answer: 5", "答案：北京", "##Answer: x"])
def test_a_gold_that_cannot_be_read_back_is_named(gold: str) -> None:
    item = make_item(gold)
    assert {failure.probe for failure in check_scoring([item], [make_case(item)])} >= {"gold"}
