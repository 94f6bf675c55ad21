"""Every figure by hand, as a ratio of sums; when it does not apply; and that the page about them names them all."""

from dataclasses import replace
from pathlib import Path

import pytest
from grading import DISTRACTOR, ORACLE, OTHER, cite, grade, make_case, make_item, reply

from raft_cli.cot import TAG
from raft_cli.data import Quote
from raft_cli.evaluate.measure import BY_NAME, METRICS, Ratio, measure, measure_grounded_refusal
from raft_cli.evaluate.records import Case, Item
from raft_cli.evaluate.score import grade_response

FROM_ORACLE = "The relay K4 opens within 20 ms"
FROM_DISTRACTOR = "The relay K7 opens within 35 ms"
SHARED = "The warranty covers the coil for 24 months"
ALTERED = "The relay K4 opens within 25 ms after the coil loses power."
NEAR = "The relay K4 opens within 20 ms after coil loses power."
FABRICATED = "the moon is made of green cheese"
MIXED = cite(FROM_ORACLE, SHARED, FROM_DISTRACTOR, ALTERED, NEAR, FABRICATED, "20 ms", answer="20 ms")
BOTH = (ORACLE, DISTRACTOR)
ITEM = make_item(quotes=[Quote(FROM_ORACLE, "chunk0000", 0, len(FROM_ORACLE))])
WORDS = "em f1 precision recall contains rougeL acc em_lenient f1_lenient acc_lenient"


def figure(name: str, text: str, *, item: Item = ITEM, case: Case | None = None, finish: str = "stop") -> Ratio | None:
    case = case or make_case(item)
    response = reply(text, finish=finish)
    return measure(name, item, case, response, grade_response(item, case, response))


@pytest.mark.parametrize("name", WORDS.split())
def test_words(name: str) -> None:
    assert figure(name, f"{TAG} 20 ms") == (1.0, 1.0)
    assert figure(name, f"{TAG} blue") == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("precision", f"{TAG} in 20 ms now", (0.5, 1)),
        ("recall", f"{TAG} 20 s", (0.5, 1)),
        ("acc", "20 ms", (0, 1)),
        ("acc_lenient", "20 ms", (1, 1)),
        ("format_rate", "20 ms", (0, 1)),
        ("format_rate", TAG, (1, 1)),
        ("grounded_acc", cite(FROM_ORACLE, answer="20 ms"), (1, 1)),
        ("grounded_acc", cite(answer="20 ms"), (0, 1)),
        ("lucky", cite(FROM_ORACLE, answer="20 ms"), (0, 1)),
        ("lucky", cite(FROM_DISTRACTOR, answer="20 ms"), (1, 1)),
        ("lucky", cite(FROM_DISTRACTOR, answer="35 ms"), (0, 1)),
        ("misled_rate", f"{TAG} 35 ms", (1, 1)),
        ("misled_rate", f"{TAG} 20 ms", (0, 1)),
        ("wrong_rate", f"{TAG} 35 ms", (1, 1)),
        ("wrong_rate", f"{TAG} unknown", (0, 1)),
        ("wrong_rate", f"{TAG} 20 ms", (0, 1)),
        ("refusal_rate", f"{TAG} unknown", (1, 1)),
        ("over_refusal", f"{TAG} unknown", (1, 1)),
        ("over_refusal", f"{TAG} 20 ms", (0, 1)),
        ("crag", f"{TAG} 20 ms", (1, 1)),
        ("crag", f"{TAG} unknown", (0, 1)),
        ("crag", f"{TAG} 35 ms", (-1, 1)),
        ("quote_rate", cite(FABRICATED, answer="x"), (1, 1)),
        ("quote_rate", cite("20 ms", answer="x"), (0, 1)),
        ("malformed_rate", cite("", "", answer="x"), (1, 1)),
        ("malformed_rate", MIXED, (0, 1)),
        ("verbatim_rate", MIXED, (3, 6)),
        ("citation_precision", MIXED, (2, 6)),
        ("citation_precision_mean", MIXED, (2 / 6, 1)),
        ("citation_chance", MIXED, (1 / 3, 1)),
        ("citation_recall", MIXED, (1, 1)),
        ("citation_recall", cite(FROM_DISTRACTOR, answer="x"), (0, 1)),
        ("evidence_recall", cite("The relay K4 opens", answer="x"), (4 / 7, 1)),
        ("distractor_citation_rate", MIXED, (1, 6)),
        ("distractor_citation_share", MIXED, (1, 1)),
        ("distractor_citation_share", cite(SHARED, answer="x"), (0, 1)),
        ("fabrication_rate", MIXED, (2, 6)),
        ("altered_rate", MIXED, (1, 6)),
        ("near_rate", MIXED, (1, 6)),
        ("answer_in_quote", MIXED, (1, 1)),
        ("answer_in_quote", cite(SHARED, answer="20 ms"), (0, 1)),
        ("quoted_share", cite(ORACLE, answer="x"), (1, 1)),
        ("overquoted", cite(ORACLE, answer="x"), (1, 1)),
        ("overquoted", cite(FROM_ORACLE, answer="x"), (0, 1)),
        ("prompt_tokens", "x", (900, 1)),
        ("answer_tokens", "x", (60, 1)),
        ("final_units", f"{TAG} 24 小时 now", (4, 1)),
        ("quote_units", cite(FROM_ORACLE, "20 ms", answer="x"), (9, 1)),
    ],
)  # fmt: skip
def test_figures(name: str, text: str, wanted: Ratio) -> None:
    assert figure(name, text) == pytest.approx(wanted)


def test_answers_that_were_cut_off() -> None:
    assert figure("length_share", "x", finish="length") == (1.0, 1.0)
    assert figure("length_share", "x") == (0.0, 1.0)


QUOTES = """verbatim_rate citation_precision citation_precision_mean distractor_citation_rate fabrication_rate
altered_rate near_rate quoted_share""".split()
ORACLES = """grounded_acc lucky over_refusal citation_precision citation_precision_mean citation_chance citation_recall
evidence_recall""".split()


@pytest.mark.parametrize("name", QUOTES)
def test_a_rate_of_no_quotations_is_undefined(name: str) -> None:
    assert figure(name, f"{TAG} 20 ms") is None
    assert figure(name, cite("20 ms", answer="20 ms")) is None


@pytest.mark.parametrize("name", ORACLES)
def test_nothing_is_asked_of_an_oracle_that_is_not_shown(name: str) -> None:
    for texts in ((OTHER, DISTRACTOR), ()):
        case = make_case(ITEM, texts, oracle=(), condition="distract" if texts else "closed")
        assert figure(name, MIXED, case=case) is None


def test_a_retriever_that_misses_the_oracle_leaves_the_answer_ungrounded() -> None:
    case = make_case(ITEM, (OTHER, DISTRACTOR), oracle=(), condition="retrieved@2")
    text = cite(FROM_DISTRACTOR, answer="20 ms")
    assert figure("grounded_acc", text, case=case) == (0.0, 1.0)
    assert figure("citation_precision", text, case=case) == (0.0, 1.0)
    assert figure("citation_recall", text, case=case) is None


def test_several_oracles() -> None:
    case = make_case(ITEM, (*BOTH, OTHER), oracle=(0, 1))
    assert figure("citation_recall", cite(FROM_ORACLE, answer="x"), case=case) == (0.5, 1.0)
    assert figure("citation_recall", cite(FROM_ORACLE, FROM_DISTRACTOR, answer="x"), case=case) == (1.0, 1.0)
    assert figure("citation_chance", "x", case=case) == (2 / 3, 1.0)


def test_no_quotation_can_hold_a_label_or_nothing() -> None:
    assert figure("answer_in_quote", cite(FROM_ORACLE, answer="no"), item=make_item("yes")) is None
    assert figure("answer_in_quote", cite(FROM_ORACLE)) is None
    assert figure("answer_in_quote", TAG) is None


def test_every_figure_is_defined_or_not_for_every_kind_of_answer() -> None:
    item = make_item()
    for text in (MIXED, "", TAG, f"{TAG} unknown", cite("")):
        for case in (make_case(item), make_case(item, (), oracle=(), condition="closed")):
            for metric in METRICS:
                ratio = figure(metric.name, text, item=item, case=case)
                assert ratio is None or (ratio[1] > 0 and ratio[0] == ratio[0])


def test_micro_and_mean_differ() -> None:
    case = make_case(ITEM)
    texts = [cite(FROM_ORACLE, answer="x"), cite(FROM_DISTRACTOR, FABRICATED, "one more made up line", answer="x")]
    sums = {}
    for name in ("citation_precision", "citation_precision_mean"):
        ratios = [ratio for text in texts if (ratio := figure(name, text, case=case))]
        sums[name] = sum(ratio[0] for ratio in ratios) / sum(ratio[1] for ratio in ratios)
    assert sums == {"citation_precision": 1 / 4, "citation_precision_mean": 1 / 2}


@pytest.mark.parametrize(
    ("answerable", "unanswerable", "wanted"),
    [((0, 10), (10, 10), 1.0), ((10, 10), (0, 10), 0.0), ((0, 10), (0, 10), 1 / 3), ((10, 10), (10, 10), 1 / 3)],
)
def test_grounded_refusal(answerable: Ratio, unanswerable: Ratio, wanted: float) -> None:
    assert measure_grounded_refusal(answerable, unanswerable) == pytest.approx(wanted)
    assert measure_grounded_refusal((0, 0), unanswerable) is None


def test_names_and_meanings() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert all(metric.direction in ("up", "down") for metric in METRICS)
    assert all(0 < len(metric.meaning) <= 70 and "\n" not in metric.meaning for metric in METRICS)
    with pytest.raises(KeyError):
        figure("accuracy", "x")


def test_the_page_tells_of_every_figure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip().strip("`"): line for line in page.splitlines() if line.startswith("| `")}
    for metric in METRICS:
        assert metric.name in rows, metric.name
        assert f"| {'↑' if metric.direction == 'up' else '↓'} |" in rows[metric.name], metric.name


def test_a_case_of_its_own_golds() -> None:
    item = make_item()
    case = replace(make_case(item), golds=("35 ms",), condition="counter")
    assert figure("acc", f"{TAG} 35 ms", item=item, case=case) == (1.0, 1.0)
    assert grade(f"{TAG} 35 ms", item, case).acc == 1.0
