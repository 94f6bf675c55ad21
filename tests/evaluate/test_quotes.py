"""Quotations: every class by hand, places in the raw text, evidence, shares; and what holds of any span."""

import time

import pytest
from fakes import make_chunk
from grading import DISTRACTOR, ORACLE, OTHER, ZH_DISTRACTOR, ZH_ORACLE, make_documents
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.cot import BEGIN, END, escape
from raft_cli.data import Quote
from raft_cli.evaluate.locate import find_near, find_verbatim
from raft_cli.evaluate.normalise import PLAIN, clean, count_units
from raft_cli.evaluate.quotes import (
    grade_quotes,
    measure_evidence,
    quote_oracles,
    share_quoted,
    stands_in_quote,
)
from raft_cli.evaluate.records import GradedQuote, QuoteClass

DOCUMENTS = make_documents((OTHER, ORACLE, DISTRACTOR))
CHINESE = make_documents((ZH_ORACLE, ZH_DISTRACTOR))


def judge(quote: str) -> GradedQuote:
    return grade_quotes([quote], DOCUMENTS, [1])[0]


@pytest.mark.parametrize(
    ("quote", "kind", "document"),
    [
        ("The relay K4 opens within 20 ms after the coil loses power.", "oracle", 1),
        ("the RELAY  k4 opens\nwithin 20 ms", "oracle", 1),
        ('"The relay K4 opens within 20 ms"', "oracle", 1),
        ("carry at most 16 A. Do not touch the terminals", "oracle", 1),
        ("The relay K4 opens ... Do not touch the terminals", "oracle", 1),
        ("The relay K4 opens […] the lamp is red", "oracle", 1),
        ("... opens within 20 ms after …", "oracle", 1),
        ("The relay K7 opens within 35 ms", "distractor", 2),
        ("primed by hand before it is started", "distractor", 0),
        ("The warranty covers the coil for 24 months.", "shared", 1),
        ("The relay K4 opens within 20 ms after coil loses power.", "near_oracle", 1),
        ("The relay K4 opens within 20 ms, after the coil loses power", "near_oracle", 1),
        ("Note: the relay K4 opens within 20 ms after the coil loses its power", "near_oracle", 1),
        ("Keep the housing away from the sparks and from salt water", "near_distractor", 2),
        ("The relay K4 opens within 25 ms after the coil loses power.", "altered", 1),
        ("The relay K4 never opens within 20 ms after the coil loses power.", "altered", 1),
        ("Do touch the terminals while the lamp is red. The warranty", "altered", 1),
        ("Do not touch the terminals ... The relay K4 opens", "fabricated", None),
        ("The relay K4 opens ... primed by hand before", "fabricated", None),
        ("salt water rises when the moon is full", "fabricated", None),
        ("24 months", "short", 1),
        ("36 months", "short", None),
        ("at most 6 A is allowed", "fabricated", None),
    ],
)
def test_classes(quote: str, kind: str, document: int | None) -> None:
    graded = judge(quote)
    assert (graded.kind, graded.document) == (kind, document)
    assert (graded.likeness == 100.0) == (
        kind in ("oracle", "distractor", "shared") or (kind == "short" and document == 1)
    )


@pytest.mark.parametrize(
    ("quote", "kind"),
    [
        ("阀门必须在24小时内关闭", QuoteClass.ORACLE),
        ("阀门 必须在 ２４ 小时内\n关闭", QuoteClass.ORACLE),
        ("阀门必须……不得超过", QuoteClass.ORACLE),
        ("每运行500小时应更换滤芯", QuoteClass.DISTRACTOR),
        ("压力不超过", QuoteClass.SHARED),
        ("阀门必须要在24小时内关闭", QuoteClass.NEAR_ORACLE),
        ("阀门必须在48小时内关闭，不得超过", QuoteClass.ALTERED),
        ("压力超过3.5兆帕，使用前请检查", QuoteClass.ALTERED),
        ("使用后请立即清洗外壳", QuoteClass.FABRICATED),
        ("阀门", QuoteClass.SHORT),
    ],
)
def test_classes_in_chinese(quote: str, kind: QuoteClass) -> None:
    assert grade_quotes([quote], CHINESE, [0])[0].kind is kind


def test_a_quotation_does_not_begin_or_end_inside_a_word_or_number() -> None:
    text = "It takes 15 bar at 20 degrees, 2.5 bar of steam at -40 degrees."
    assert find_verbatim("5 bar at 20 degrees", text) is None
    assert find_verbatim("5 bar of steam at", text) is None
    assert find_verbatim("40 degrees", text) is None
    assert find_verbatim("15 bar at 2", text) is None
    assert find_verbatim("20 degrees, 2", text) is None
    assert find_verbatim("20 degrees, 2.5 bar", text) == ((19, 38),)
    assert find_verbatim("akes 15 bar", text) is None


def test_no_documents_make_every_quotation_a_fabrication() -> None:
    assert grade_quotes(["one two three four"], (), ())[0].kind is QuoteClass.FABRICATED


def test_places_are_those_of_the_raw_text() -> None:
    chunk = make_chunk("a ﬁne  „Straße“\u200b is\n longer.  Ｎow e\u0301tude ½ 阀门 必须\n关闭。 End.")
    for quote, raw in (
        ('fine "strasse" is longer', "ﬁne  „Straße“\u200b is\n longer"),
        ("NOW étude", "Ｎow e\u0301tude"),
        ("阀门必须关闭", "阀门 必须\n关闭"),
        ("End.", "End."),
    ):
        spans = find_verbatim(quote, chunk.text)
        assert spans is not None
        assert [chunk.text[start:end] for start, end in spans] == [raw]
    graded = judge("The relay K4 opens ... the lamp is red")
    assert [ORACLE[start:end] for start, end in graded.spans] == ["The relay K4 opens", "the lamp is red"]
    near = judge("The relay K4 opens within 20 ms after coil loses power.")
    assert [ORACLE[start:end] for start, end in near.spans] == [ORACLE.partition(" Its")[0]]


def test_marks_of_ours_in_a_source_are_escaped_in_the_prompt() -> None:
    text = f"Write {BEGIN} before the words and {END} after them, in <DOCUMENT> tags."
    graded = grade_quotes([escape(text)], make_documents((text,)), [0])[0]
    assert (graded.kind, graded.text, graded.spans) == (QuoteClass.ORACLE, text, ((0, len(text)),))


def test_a_likeness_with_the_same_figures_goes_before_a_greater_one() -> None:
    documents = make_documents(
        (
            "The valve of the blue tank closes after 25 s at most.",
            "The valve of a blue tank closes after 20 s at the most.",
        )
    )
    graded = grade_quotes(["The valve of the blue tank closes after 20 s at most."], documents, [1])[0]
    assert (graded.kind, graded.document) == (QuoteClass.NEAR_ORACLE, 1)


def test_a_quotation_longer_than_the_document_is_compared_as_a_whole() -> None:
    documents = make_documents(("The valve closes after 25 seconds",))
    assert grade_quotes(["The valve closes after 25 seconds ok"], documents, [0])[0].kind is QuoteClass.NEAR_ORACLE
    assert (
        grade_quotes(["The valve closes after 25 seconds, and then it opens"], documents, [0])[0].kind == "fabricated"
    )


def evidence(*quotes: str) -> float | None:
    wanted = "The relay K4 opens within 20 ms"  # 7 words
    reference = [Quote(wanted, DOCUMENTS[1].id, 0, len(wanted))]
    return measure_evidence(reference, grade_quotes(quotes, DOCUMENTS, [1]), DOCUMENTS, [1])


def test_evidence_is_the_covered_share_of_the_words_of_the_reference() -> None:
    assert evidence("The relay K4 opens within 20 ms after the coil") == 1.0
    assert evidence("The relay K4 opens") == 4 / 7
    assert evidence("The relay K4 opens", "opens within 20 ms") == 1.0
    assert evidence("The relay K7 opens within 35 ms") == 0.0
    assert evidence("The warranty covers the coil") == 0.0
    assert evidence() == 0.0


def test_evidence_is_undefined_without_reference_or_oracle() -> None:
    quotes = grade_quotes(["The relay K4 opens"], DOCUMENTS, [1])
    assert measure_evidence([], quotes, DOCUMENTS, [1]) is None
    reference = [Quote("The relay K4 opens", "elsewhere", 0, 18)]
    assert measure_evidence(reference, quotes, DOCUMENTS, []) is None
    assert measure_evidence(reference, quotes, DOCUMENTS[:1], [0]) is None
    assert measure_evidence(reference, quotes, DOCUMENTS, [1]) == 1.0
    two = [*reference, Quote("four more words missing", "absent", 0, 23)]
    assert measure_evidence(two, quotes, DOCUMENTS, [1]) == 0.5


def test_every_oracle_that_has_a_quotation_is_quoted() -> None:
    documents = make_documents((ORACLE, DISTRACTOR, OTHER))
    quotes = grade_quotes(["The warranty covers the coil for 24 months"], documents, [0, 1])
    assert (quotes[0].kind, quotes[0].also) == (QuoteClass.ORACLE, (1,))
    assert quote_oracles(quotes, [0, 1]) == {0, 1}
    assert quote_oracles(quotes, []) == frozenset()
    shared = grade_quotes(["The warranty covers the coil for 24 months"], documents, [1])
    assert (shared[0].kind, shared[0].document, shared[0].also) == (QuoteClass.SHARED, 1, (0,))


def test_the_share_of_a_document_that_is_quoted() -> None:
    assert share_quoted(grade_quotes([ORACLE], DOCUMENTS, [1]), DOCUMENTS) == 1.0
    half = OTHER.partition(",")[0]
    twice = grade_quotes([half, "The pump must be primed", "The relay K4 opens"], DOCUMENTS, [1])
    assert share_quoted(twice, DOCUMENTS) == pytest.approx(len(half) / len(OTHER))
    assert share_quoted(grade_quotes(["not in any of them at all"], DOCUMENTS, [1]), DOCUMENTS) == 0.0


def test_whether_the_answer_stands_in_a_quotation() -> None:
    quotes = grade_quotes(["opens within 20 ms after"], DOCUMENTS, [1])
    assert stands_in_quote("20 ms.", quotes, PLAIN)
    assert not stands_in_quote("0 ms", quotes, PLAIN)
    assert not stands_in_quote("", quotes, PLAIN)


WORDS = st.sampled_from("relay Opens ﬁne 北京 20 ms, 3.5 “K4” — no\u00adt Straße e\u0301 (x)".split())
BLANKS = st.sampled_from([" ", "  ", "\n", "\u3000"])
TEXTS = st.lists(st.tuples(WORDS, BLANKS), min_size=4, max_size=25).map(lambda pairs: "".join(map("".join, pairs)))


@given(TEXTS, st.data())
def test_whole_words_of_a_text_are_found_in_it(text: str, data: st.DataObject) -> None:
    starts = [at for at in range(len(text)) if not text[at].isspace() and (at == 0 or text[at - 1].isspace())]
    ends = [
        at for at in range(1, len(text) + 1) if not text[at - 1].isspace() and (at == len(text) or text[at].isspace())
    ]
    start = data.draw(st.sampled_from(starts))
    end = data.draw(st.sampled_from([at for at in ends if at > start]))
    spans = find_verbatim(text[start:end], text)
    assert spans is not None
    assert [clean(text[left:right]) for left, right in spans] == [clean(text[start:end])]
    if count_units(text[start:end]) >= 4:
        graded = grade_quotes([text[start:end]], make_documents((text, "else")), [0])[0]
        assert graded.kind is QuoteClass.ORACLE


@given(TEXTS, st.text(max_size=60))
def test_nearness_never_breaks(text: str, quote: str) -> None:
    near = find_near(quote, text)
    assert near is None or all(0 <= start < end <= len(text) for start, end in near.spans)


def test_five_documents_are_searched_in_milliseconds() -> None:
    texts = [" ".join(f"word{at * 7 % 91}x{number}" for at in range(400)) for number in range(5)]
    documents = make_documents(texts)
    quote = texts[4][2000:2200].partition(" ")[2].rpartition(" ")[0]
    grade_quotes([quote], documents, [4])
    start = time.process_time()
    for _ in range(50):
        assert grade_quotes([quote], documents, [4])[0].kind is QuoteClass.ORACLE
    assert (time.process_time() - start) / 50 < 0.02  # on an idle machine a tenth of one
