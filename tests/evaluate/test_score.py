"""Scores by hand, against SQuAD's definition written anew and against rouge-score; and whole grades."""

import re
import string
import time
from collections import Counter
from dataclasses import replace

import pytest
from grading import DISTRACTOR, ORACLE, OTHER, ZH_DISTRACTOR, ZH_ORACLE, cite, grade, make_case, make_item, reply
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.cot import BEGIN, END, TAG
from raft_cli.data import Quote
from raft_cli.evaluate.normalise import Rules
from raft_cli.evaluate.records import QuoteClass
from raft_cli.evaluate.score import (
    grade_response,
    score_contained,
    score_exact,
    score_overlap,
    score_right,
    score_rouge,
)


@pytest.mark.parametrize(
    ("answer", "gold", "em", "f1", "contains", "rouge", "acc"),
    [
        ("20 ms", "20 ms", 1, 1, 1, 1, 1),
        ("The 20 ms.", "20 ms", 1, 1, 1, 1, 1),
        ("It opens in 20 ms", "20 ms", 0, 4 / 7, 1, 4 / 7, 1),
        ("ms 20", "20 ms", 0, 1, 0, 1 / 2, 0),
        ("25 ms", "20 ms", 0, 1 / 2, 0, 1 / 2, 0),
        ("started", "art", 0, 0, 0, 0, 0),
        ("120 ms", "20 ms", 0, 1 / 2, 0, 1 / 2, 0),
        ("1,000.0 rpm", "1000 rpm", 1, 1, 1, 1, 1),
        ("", "20 ms", 0, 0, 0, 0, 0),
        ("北京。", "北京", 1, 1, 1, 1, 1),
        ("北京是中国的首都", "北京", 0, 4 / 10, 1, 4 / 10, 1),
        ("京北", "北京", 0, 1, 0, 1 / 2, 0),
        ("２４ 小时", "24小时", 1, 1, 1, 1, 1),
        ("東京タワー", "東京", 0, 4 / 7, 1, 4 / 7, 1),
        ("서울 입니다", "서울", 0, 2 / 3, 1, 2 / 3, 1),
        ("not supported", "supported", 0, 2 / 3, 1, 2 / 3, 0),
        ("不兼容", "兼容", 0, 4 / 5, 1, 4 / 5, 0),
        ("it isn't supported", "supported", 0, 2 / 4, 1, 2 / 4, 0),
        ("不是北京", "北京", 0, 4 / 6, 1, 4 / 6, 0),
        ("不超过5兆帕", "5兆帕", 0, 6 / 9, 1, 6 / 9, 1),
        ("not red but it is supported now", "supported", 0, 2 / 8, 1, 2 / 8, 1),
        ("no more than 5 bar", "5 bar", 0, 4 / 7, 1, 4 / 7, 1),
        ("not 5", "not 5", 1, 1, 1, 1, 1),
        ("so not 5", "not 5", 0, 4 / 5, 1, 4 / 5, 1),
        ("yes", "no", 0, 0, 0, 0, 0),
        ("no, never", "no", 0, 2 / 3, 1, 2 / 3, 1),
        ("there is no limit", "no", 0, 2 / 5, 1, 2 / 5, 0),
        ("B) red", "B", 0, 2 / 3, 1, 2 / 3, 1),
        ("#", "#", 1, 1, 1, 1, 1),
        ("", "#", 0, 0, 0, 0, 0),
    ],
)
def test_scores_by_hand(
    answer: str, gold: str, em: float, f1: float, contains: float, rouge: float, acc: float
) -> None:
    assert score_exact(answer, gold) == em
    assert score_overlap(answer, gold).f1 == pytest.approx(f1)
    assert score_contained(answer, gold) == contains
    assert score_rouge(answer, gold) == pytest.approx(rouge)
    assert score_right(answer, gold) == acc


def test_a_dump_of_the_context_is_not_right() -> None:
    filler = ["x"] * 14
    assert score_right(" ".join(["20 ms", *filler]), "20 ms") == 1.0  # 16 tokens: 3 × 2 + 10
    assert score_right(" ".join(["20 ms", *filler, "x"]), "20 ms") == 0.0
    assert score_contained(ORACLE, "20 ms") == 1.0
    assert score_right(ORACLE, "20 ms") == 0.0


def test_versions_and_languages_decide_how_golds_are_read() -> None:
    assert grade(f"{TAG} 3.1", make_item("3.10", question="How high is it?")).em == 1.0
    assert grade(f"{TAG} 3.1", make_item("3.10", question="Which version is needed?")).em == 0.0
    assert grade(f"{TAG} la relais", make_item("relais", language="fr")).em == 0.0
    assert grade(f"{TAG} the relay", make_item("relay")).em == 1.0


def test_the_best_gold_counts_and_gives_precision_and_recall() -> None:
    found = grade(f"{TAG} within 20 ms", make_item(("it opens within 20 ms of a fault", "20 ms or so")))
    # first gold: 3 shared of 3 and 7, F1 0.6; second: 2 of 3 and 4, F1 4/7 with the lower precision
    assert (found.f1, found.precision, found.recall) == pytest.approx((0.6, 1.0, 3 / 7))
    both = grade(f"{TAG} Denver", make_item(("Denver Broncos", "Denver")))
    assert (both.em, both.f1, both.contains, both.acc) == (1.0, 1.0, 1.0, 1.0)


def squad_normalise(text: str) -> str:
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(answer: str, gold: str) -> float:
    said, wanted = squad_normalise(answer).split(), squad_normalise(gold).split()
    shared = sum((Counter(said) & Counter(wanted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


ENGLISH = st.lists(
    st.sampled_from('The the a an Relay relay opens, opens. (K4) it\'s well-known 20 3 coil! "lamp" is'.split()),
    max_size=9,
).map(lambda words: " ".join([*words, "end"]))


@given(ENGLISH, ENGLISH)
def test_exact_match_and_f1_are_those_of_squad(answer: str, gold: str) -> None:
    assert score_exact(answer, gold) == float(squad_normalise(answer) == squad_normalise(gold))
    assert score_overlap(answer, gold).f1 == pytest.approx(squad_f1(answer, gold), abs=1e-12)


WORDS = st.lists(st.sampled_from("relay opens coil lamp k4 20 is not within".split()), max_size=12).map(" ".join)


@given(WORDS, WORDS.filter(bool))
def test_rouge_l_is_that_of_rouge_score(answer: str, gold: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    wanted = RougeScorer(["rougeL"], use_stemmer=False).score(gold, answer)["rougeL"].fmeasure
    assert score_rouge(answer, gold) == pytest.approx(wanted, abs=1e-12)


TEXTS = st.text(alphabet="aB 北京.,1#-'the\n", max_size=20)


@given(TEXTS, TEXTS.filter(str.strip), st.booleans())
def test_what_holds_of_all_scores(answer: str, gold: str, english: bool) -> None:
    rules = Rules(english=english)
    em, contains, rouge = (score(answer, gold, rules) for score in (score_exact, score_contained, score_rouge))
    overlap = score_overlap(answer, gold, rules)
    assert all(0 <= figure <= 1 for figure in (em, contains, rouge, overlap.f1, overlap.precision, overlap.recall))
    assert em <= contains <= overlap.recall + 1e-12
    assert rouge <= overlap.f1 + 1e-12
    assert em <= score_right(answer, gold, rules)
    assert score_exact(gold, gold, rules) == score_rouge(gold, gold, rules) == score_right(gold, gold, rules) == 1.0


def test_strict_and_lenient() -> None:
    untagged = grade("So it is clear.\n20 ms")
    assert (untagged.extracted, untagged.lenient) == (None, "20 ms")
    assert (untagged.em, untagged.f1, untagged.contains, untagged.rouge, untagged.acc) == (0, 0, 0, 0, 0)
    assert (untagged.em_lenient, untagged.f1_lenient, untagged.acc_lenient) == (1, 1, 1)
    tagged = grade(f"{TAG} 20 ms")
    assert (tagged.em_lenient, tagged.f1_lenient, tagged.acc_lenient) == (tagged.em, tagged.f1, tagged.acc) == (1, 1, 1)


@pytest.mark.parametrize(
    ("quotes", "answer", "grounded"),
    [
        (["The relay K4 opens within 20 ms"], "20 ms", 1.0),
        (["The warranty covers the coil for 24 months"], "20 ms", 1.0),  # shared
        (["The relay K4 opens within 20 ms", "The relay K7 opens within 35 ms"], "20 ms", 1.0),
        (["The relay K4 opens within 20 ms"], "35 ms", 0.0),
        (["The relay K7 opens within 35 ms"], "20 ms", 0.0),
        (["The relay K4 opens within 20 ms", "the moon is made of cheese"], "20 ms", 0.0),
        (
            ["The relay K4 opens within 20 ms", "Do touch the terminals while the lamp is red. The warranty"],
            "20 ms",
            0.0,
        ),
        (["The relay K4 opens within 20 ms after coil loses power"], "20 ms", 0.0),  # near is not word for word
        (["20 ms"], "20 ms", 0.0),  # too short to prove anything
        ([], "20 ms", 0.0),
    ],
)
def test_grounded(quotes: list[str], answer: str, grounded: float) -> None:
    assert grade(cite(*quotes, answer=answer)).grounded == grounded


@pytest.mark.parametrize(
    ("text", "misled"),
    [
        (f"{TAG} 35 ms", True),
        (f"{TAG} 20 ms", False),  # right
        (f"{TAG} 99 ms", False),  # invented
        (f"{TAG} 16 A", False),  # wrong, of the oracle
        (f"{TAG} 24 months", False),  # in both
        ("It is 35 ms", False),  # no answer
        (f"{TAG} not available", False),  # refused
        (f"{TAG}", False),
    ],
)
def test_misled(text: str, misled: bool) -> None:
    assert grade(text).misled is misled


def test_a_label_misleads_nobody() -> None:
    item = make_item("yes")
    texts = (ORACLE, f"{DISTRACTOR} There is no fuse: no.")
    assert not grade(f"{TAG} no", item, make_case(item, texts)).misled


def test_refusals_are_neither_right_nor_wrong() -> None:
    assert grade(f"{TAG} I don't know.").refused
    assert grade("I don't know.").refused
    assert not grade(f"{TAG} 20 ms, the documents do not say more").refused
    unknown = grade(f"{TAG} Not specified", make_item("Not specified"))
    assert (unknown.acc, unknown.refused) == (1.0, False)
    assert not grade(f"{TAG} Unknown", make_item("Not specified")).refused  # the question's own answer is a gap


def test_a_whole_grade() -> None:
    wanted = "The relay K4 opens within 20 ms"
    item = make_item(quotes=[Quote(wanted, "chunk0000", 0, len(wanted))])
    text = cite(wanted, "The relay K7 opens within 35 ms", "within 20 ms", "", answer="20 ms")
    found = grade(text, item)
    assert [quote.kind for quote in found.quotes] == [QuoteClass.ORACLE, QuoteClass.DISTRACTOR, QuoteClass.SHORT]
    assert found.malformed == 1
    assert (found.em, found.grounded, found.evidence, found.cited_share) == (1.0, 1.0, 1.0, 1.0)
    assert found.answer_in_quote and not found.misled and not found.refused and found.fault == ""
    assert found.quoted_share == pytest.approx(len(wanted) / len(ORACLE), abs=0.01)


def test_a_grade_in_chinese() -> None:
    item = make_item("24小时", question="阀门须在多久内关闭？", language="zh")
    case = make_case(item, (ZH_DISTRACTOR, ZH_ORACLE), oracle=(1,))
    found = grade(cite("阀门必须在24小时内关闭", answer="24 小时。"), item, case)
    assert (found.em, found.acc, found.grounded) == (1.0, 1.0, 1.0)
    wrong = grade(cite("每运行500小时应更换滤芯", answer="500小时"), item, case)
    assert (wrong.acc, wrong.grounded, wrong.misled) == (0.0, 0.0, True)


def test_without_documents() -> None:
    item = make_item()
    found = grade(cite("The relay K4 opens within 20 ms", answer="20 ms"), item, make_case(item, (), oracle=()))
    assert (found.acc, found.grounded, found.misled, found.evidence) == (1.0, 0.0, False, None)
    assert found.quotes[0].kind is QuoteClass.FABRICATED


def test_the_golds_of_the_case_count() -> None:
    item = make_item()
    case = replace(make_case(item), golds=("30 ms",), condition="counter")
    assert grade(f"{TAG} 30 ms", item, case).acc == 1.0
    assert grade(f"{TAG} 20 ms", item, case).acc == 0.0


def test_what_is_missing_is_never_scored() -> None:
    item = make_item()
    with pytest.raises(ValueError, match="timeout"):
        grade_response(item, make_case(item), reply("", error="timeout"))
    with pytest.raises(ValueError, match="no gold"):
        grade_response(item, replace(make_case(item), golds=(" ",)), reply("x"))


def test_programs_are_right_by_their_calls() -> None:
    item = make_item("hub.load('a/b', model='c', n=1)", type="api call")
    right = grade(f"{TAG} m = hub.load('a/b', n=1, model=\"c\").eval()", item)
    assert (right.acc, right.em, right.fault) == (1.0, 0.0, "")
    wrong = grade(f"{TAG} hub.load('a/b', model='d', n=1)", item)
    assert (wrong.acc, wrong.fault) == (0.0, "other-arguments")
    assert grade(f"{TAG} use the hub(", item).fault == "unparsable"
    assert (grade("hub.load('a/b', model='c', n=1)", item).acc, grade("x", item).fault) == (0.0, "")
    assert grade(f"{TAG} GET /v1/x", make_item("GET /v1/x", type="api call")).acc == 1.0  # no Python: as text


@pytest.mark.parametrize(
    "text",
    ["\n", "<think>", "</think>", BEGIN, END, f"{BEGIN}a b c d e{END}", TAG, "sorry, ", "based on the documents ",
     "根据文档", "문서에 ", '"', "(", "1.", "1,000 ", "20 ms ", "</s>", "relay ... ", f"{BEGIN}the ... "],
)  # fmt: skip
def test_degenerate_responses_cost_little(text: str) -> None:
    start = time.process_time()
    grade(TAG + text * (20_000 // len(text)) + END)
    assert time.process_time() - start < 1


@given(st.text(max_size=80))
def test_any_response_can_be_graded(text: str) -> None:
    found = grade(text, case=make_case(make_item(), (ORACLE, OTHER)))
    assert found.grounded <= found.acc <= 1.0
    assert not (found.refused and found.acc)
