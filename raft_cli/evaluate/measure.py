"""Every figure that is aggregated, each as a ratio of sums over graded answers. Pure.

A figure is (sum of numerators) / (sum of denominators); an answer to which it does not apply gives neither. With no
denominator at all it is undefined, which is shown as a dash and never as 0 or 1.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from raft_cli.evaluate.labels import match_label
from raft_cli.evaluate.normalise import count_units
from raft_cli.evaluate.quotes import FALSE, FROM_ORACLE, VERBATIM
from raft_cli.evaluate.records import Case, Grade, GradedQuote, Item, QuoteClass, Response

Ratio = tuple[float, float]
Direction = Literal["up", "down"]
MUCH = 0.5  # quoted_share above which an answer hands over the document rather than evidence


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer with everything a figure may need."""

    item: Item
    case: Case
    response: Response
    grade: Grade


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure.

    Attributes:
        direction: Which way is better.
        ratio: Numerator and denominator of one answer; None when it does not apply.
    """

    name: str
    meaning: str
    direction: Direction
    ratio: Callable[[Graded], Ratio | None]


def counted(grade: Grade) -> list[GradedQuote]:
    """Return the quotations that count: those long enough not to stand somewhere by chance."""
    return [quote for quote in grade.quotes if quote.kind is not QuoteClass.SHORT]


def can_ground(case: Case) -> bool:
    """Tell whether quoting an oracle is asked for: one is shown, or a retriever should have shown it."""
    return bool(case.oracle) or case.condition.startswith("retrieved@")


def _field(name: str) -> Callable[[Graded], Ratio]:
    return lambda it: (float(getattr(it.grade, name)), 1.0)


def _share(test: Callable[[Graded], bool]) -> Callable[[Graded], Ratio]:
    return lambda it: (float(test(it)), 1.0)


def _where(
    applies: Callable[[Graded], bool], ratio: Callable[[Graded], Ratio | None]
) -> Callable[[Graded], Ratio | None]:
    return lambda it: ratio(it) if applies(it) else None


def _among_quotes(kinds: Collection[QuoteClass]) -> Callable[[Graded], Ratio | None]:
    def ratio(it: Graded) -> Ratio | None:
        quotes = counted(it.grade)
        return (float(sum(quote.kind in kinds for quote in quotes)), float(len(quotes))) if quotes else None

    return ratio


def _mean_among_quotes(kinds: Collection[QuoteClass]) -> Callable[[Graded], Ratio | None]:
    def ratio(it: Graded) -> Ratio | None:
        found = _among_quotes(kinds)(it)
        return (found[0] / found[1], 1.0) if found else None

    return ratio


def _has_quote(it: Graded) -> bool:
    return bool(counted(it.grade))


def _has_oracle(it: Graded) -> bool:
    return bool(it.case.oracle)


def _can_ground(it: Graded) -> bool:
    return can_ground(it.case)


def _names_span(it: Graded) -> bool:
    """Tell whether the answer is one that a quotation can hold: given, and no label."""
    answer = it.grade.extracted
    return bool(answer) and not any(match_label(answer or "", gold) is not None for gold in it.case.golds)


def _is_wrong(it: Graded) -> bool:
    return not it.grade.acc and not it.grade.refused


def _crag(it: Graded) -> Ratio:
    return it.grade.acc - float(_is_wrong(it)), 1.0


def _evidence(it: Graded) -> Ratio | None:
    return None if it.grade.evidence is None else (it.grade.evidence, 1.0)


METRICS = (
    Metric("acc", "right answers (primary)", "up", _field("acc")),
    Metric("em", "answers equal to a gold", "up", _field("em")),
    Metric("f1", "overlap of tokens with the closest gold", "up", _field("f1")),
    Metric("precision", "share of the answer's tokens that are the gold's", "up", _field("precision")),
    Metric("recall", "share of the gold's tokens that the answer has", "up", _field("recall")),
    Metric("contains", "answers in which a gold stands, however long", "up", _field("contains")),
    Metric("rougeL", "longest common subsequence with the closest gold", "up", _field("rouge")),
    Metric("acc_lenient", "acc, taking the last line where there is no answer tag", "up", _field("acc_lenient")),
    Metric("em_lenient", "em, taking the last line where there is no answer tag", "up", _field("em_lenient")),
    Metric("f1_lenient", "f1, taking the last line where there is no answer tag", "up", _field("f1_lenient")),
    Metric("format_rate", "answers with an answer tag", "up", _share(lambda it: it.grade.extracted is not None)),
    Metric("length_share", "answers cut off at the limit", "down", _share(lambda it: it.response.finish == "length")),
    Metric(
        "grounded_acc", "right, on an oracle's word, nothing misquoted", "up", _where(_can_ground, _field("grounded"))
    ),
    Metric(
        "lucky",
        "right without such proof",
        "down",
        _where(_can_ground, lambda it: (it.grade.acc - it.grade.grounded, 1.0)),
    ),
    Metric("misled_rate", "wrong, with words of a distractor", "down", _field("misled")),
    Metric("wrong_rate", "wrong and not declined", "down", _share(_is_wrong)),
    Metric("refusal_rate", "declined to answer", "down", _field("refused")),
    Metric("over_refusal", "declined although an oracle was shown", "down", _where(_has_oracle, _field("refused"))),
    Metric("crag", "right minus wrong, declining counts 0", "up", _crag),
    Metric("quote_rate", "answers that quote", "up", _share(_has_quote)),
    Metric("malformed_rate", "answers with broken quote marks", "down", _share(lambda it: it.grade.malformed > 0)),
    Metric("verbatim_rate", "quotations that stand in a document", "up", _among_quotes(VERBATIM)),
    Metric("citation_precision", "quotations from an oracle", "up", _where(_can_ground, _among_quotes(FROM_ORACLE))),
    Metric(
        "citation_precision_mean",
        "the same, mean over answers that quote",
        "up",
        _where(_can_ground, _mean_among_quotes(FROM_ORACLE)),
    ),
    Metric(
        "citation_chance",
        "the same for quotations from anywhere: oracles among the documents",
        "up",
        _where(_has_oracle, lambda it: (len(it.case.oracle) / len(it.case.documents), 1.0)),
    ),
    Metric("citation_recall", "oracles that are quoted", "up", _where(_has_oracle, _field("cited_share"))),
    Metric("evidence_recall", "the reference's evidence that is quoted", "up", _evidence),
    Metric("distractor_citation_rate", "quotations from a distractor", "down", _among_quotes({QuoteClass.DISTRACTOR})),
    Metric(
        "distractor_citation_share",
        "answers that quote a distractor",
        "down",
        _share(lambda it: any(quote.kind is QuoteClass.DISTRACTOR for quote in counted(it.grade))),
    ),
    Metric("fabrication_rate", "quotations made up or altered", "down", _among_quotes(FALSE)),
    Metric("altered_rate", "quotations with other numbers or negations", "down", _among_quotes({QuoteClass.ALTERED})),
    Metric(
        "near_rate",
        "quotations nearly word for word",
        "down",
        _among_quotes({QuoteClass.NEAR_ORACLE, QuoteClass.NEAR_DISTRACTOR}),
    ),
    Metric(
        "answer_in_quote",
        "short answers that stand in a quotation",
        "up",
        _where(_names_span, _field("answer_in_quote")),
    ),
    Metric(
        "quoted_share", "of a document, where something is quoted", "down", _where(_has_quote, _field("quoted_share"))
    ),
    Metric(
        "overquoted", "answers that quote over half a document", "down", _share(lambda it: it.grade.quoted_share > MUCH)
    ),
    Metric("prompt_tokens", "tokens of the prompt", "down", lambda it: (float(it.response.prompt_tokens), 1.0)),
    Metric(
        "answer_tokens", "tokens of the whole answer", "down", lambda it: (float(it.response.completion_tokens), 1.0)
    ),
    Metric("final_units", "words of the short answer", "down", lambda it: (float(count_units(it.grade.lenient)), 1.0)),
    Metric(
        "quote_units",
        "words that are quoted",
        "down",
        lambda it: (float(sum(count_units(quote.text) for quote in it.grade.quotes)), 1.0),
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def measure(name: str, item: Item, case: Case, response: Response, grade: Grade) -> Ratio | None:
    """Return numerator and denominator of a figure for one answer, or None where it does not apply."""
    return BY_NAME[name].ratio(Graded(item, case, response, grade))


def measure_grounded_refusal(refused_answerable: Ratio, refused_unanswerable: Ratio) -> float | None:
    """Return F1_GR of Trust-Score: the mean of F1 of refusing the unanswerable and F1 of answering the answerable.

    It needs two conditions, so it is no ratio of sums: `over_refusal` summed where an oracle is shown, and
    `refusal_rate` summed in `distract`. None unless both have questions.
    """
    (wrongly, answerable), (rightly, unanswerable) = refused_answerable, refused_unanswerable
    if not answerable or not unanswerable:
        return None
    answered = answerable - wrongly
    refusing = 2 * rightly / (rightly + wrongly + unanswerable)
    answering = 2 * answered / (answered + (unanswerable - rightly) + answerable)
    return (refusing + answering) / 2
