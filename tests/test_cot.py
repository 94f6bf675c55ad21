"""The grammar of an answer: marks are escaped without loss, replies are taken apart, quotes are found or refused."""

import re
from collections.abc import Sequence

import pytest
from fakes import make_chunk
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.cot import (
    BEGIN,
    END,
    JOINER,
    TAG,
    drop_quotations,
    escape,
    escape_span,
    locate_quote,
    parse_answer,
    render_answer,
    replace_quotes,
    strip_thinking,
    unescape,
)

MARKS = ["<DOCUMENT>", "</DOCUMENT>", TAG, BEGIN, END]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*MARKS, "<", "##", "#", "begin_quote##", "/DOCUMENT>", "ANSWER>:", "a", " "]),
        st.text(max_size=5),
    ),
    max_size=12,
).map("".join)
PLAIN = TEXTS.filter(lambda text: JOINER not in text)
SOURCE = (
    "The relay K4 opens within 20 ms.  Its coil draws 35 mA — never more.\nSet “Mode A” before the first start.\n"
    "阀门 必须 在 ２４ 小时内\n关闭，不得超过。"
)


@given(PLAIN)
def test_escaping_hides_every_mark_and_is_undone(text: str) -> None:
    escaped = escape(text)
    assert not [mark for mark in MARKS if mark in escaped]
    assert unescape(escaped) == text
    assert escape(escaped) == escaped


@given(TEXTS, st.data())
def test_an_escaped_span_stands_in_the_escaped_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    span = escape_span(text, start, end)
    assert span in escape(text)
    if JOINER not in text:
        assert span.replace(JOINER, "") == text[start:end]
    assert escape_span(text, 0, len(text)) == escape(text)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        (f"Why {BEGIN}it is so{END}.\n{TAG} 14 days", "14 days"),
        (f"Why {BEGIN}it is so{END}.\n**{TAG}** 14 days", "14 days"),
        (f"Why {BEGIN}it is so{END}.\n**<ANSWER>**: **14 days**", "14 days"),
        (f"Why {BEGIN}it is so{END}.\n<answer>：14 days</answer>", "14 days"),
        (f"Why {BEGIN}it is so{END}.\n### {TAG}\n14\ndays", "14 days"),
        (f"Why {BEGIN}it is so{END}. {TAG}14 days", "14 days"),
    ],
)
def test_decorated_tags_are_read(text: str, final: str) -> None:
    parsed = parse_answer(text)
    assert (parsed.fault, parsed.final, parsed.quotes) == ("", final, ("it is so",))
    assert parsed.reasoning == f"Why {BEGIN}it is so{END}."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no-answer-tag"),
        (f"{BEGIN}it is so{END}\nAnswer: 14 days", "no-answer-tag"),
        (f"{TAG} 1\n{BEGIN}it is so{END}\n{TAG} 2", "several-answer-tags"),
        (f"{BEGIN}it is so{END}\n{TAG}", "empty-answer"),
        (f"{BEGIN}it is so{END}\n{TAG} ** ", "empty-answer"),
        (f"{BEGIN}it is so\n{TAG} 14", "unbalanced-quote-marks"),
        (f"it is so{END}\n{TAG} 14", "unbalanced-quote-marks"),
        (f"{BEGIN}it {BEGIN}is so{END}\n{TAG} 14", "unbalanced-quote-marks"),
        (f"{BEGIN}it is so{END}\n{TAG} {BEGIN}14{END}", "unbalanced-quote-marks"),
        (f"It is so.\n{TAG} 14", "no-quote"),
        (f"{BEGIN} {END}\n{TAG} 14", "empty-quote"),
        (f"{BEGIN}so{END}\n{TAG} 14", "empty-quote"),
        (f"{BEGIN}阀{END}\n{TAG} 14", "empty-quote"),
        (f"{BEGIN}阀门{END}\n{TAG} 14", ""),
    ],
)
def test_breaches_of_the_grammar_are_named(text: str, fault: str) -> None:
    assert parse_answer(text).fault == fault


@given(
    st.lists(st.text(alphabet=st.sampled_from("abc de.阀门。1"), max_size=12), min_size=1, max_size=4),
    st.lists(
        st.text(alphabet=st.sampled_from("xyz阀门 12"), min_size=4, max_size=9).map(str.strip), min_size=3, max_size=3
    ),
    st.text(alphabet=st.sampled_from("qrs中 -7"), min_size=1, max_size=9),
)
def test_what_is_written_is_read(words: list[str], quotes: list[str], final: str) -> None:
    marked = [f"{BEGIN}{quote}{END}" for quote in quotes[: len(words)]]
    reasoning = "".join(word + mark for word, mark in zip(words, [*marked, ""], strict=False)).strip()
    parsed = parse_answer(render_answer(reasoning, final))
    assert parsed.reasoning == reasoning
    assert parsed.quotes == tuple(quotes[: len(words)])
    assert parsed.final == " ".join(final.split())


def test_a_quote_right_before_the_tag_keeps_its_mark() -> None:
    for between in (" ", "\n", "\n### ", "\n\n**", " **"):
        parsed = parse_answer(f"Why {BEGIN}it is so{END}{between}{TAG} 14 days")
        assert (parsed.fault, parsed.quotes, parsed.reasoning) == ("", ("it is so",), f"Why {BEGIN}it is so{END}")


@given(st.text())
def test_any_reply_is_read(text: str) -> None:
    parse_answer(text)
    strip_thinking(text)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a\nb</think>\n\nSo.", "So."),
        ("<thinking>a</thinking>So.", "So."),
        ("a thought without its opening</think>So.", "So."),
        ("So <think>it</think> is.", "So <think>it</think> is."),
        ("<think>never closed", "<think>never closed"),
        ("<think>a <ANSWER>: no</think><ANSWER>: yes", "<ANSWER>: yes"),
    ],
)
def test_thinking_is_stripped(text: str, rest: str) -> None:
    assert strip_thinking(text) == rest


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("opens within 20 ms", "opens within 20 ms"),
        ("opens within 20 ms. Its coil", "opens within 20 ms.  Its coil"),
        ("35 mA - never more. Set", "35 mA — never more.\nSet"),
        ('Set "Mode A" before', "Set “Mode A” before"),
        ("阀门必须在24小时内关闭", "阀门 必须 在 ２４ 小时内\n关闭"),
    ],
)
def test_quotes_are_found_through_spacing_width_and_marks(quote: str, source: str) -> None:
    located = locate_quote(quote, make_chunk(SOURCE))
    assert located is not None and located.exact
    assert located.quote.text == source == SOURCE[located.quote.start : located.quote.end]


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("The relay K4 openz within 20 ms", "The relay K4 opens within 20 ms"),
        ("Its coil drawz 35 mA - never mor", "Its coil draws 35 mA — never more"),
    ],
)
def test_a_near_miss_is_snapped_to_whole_words_of_the_source(quote: str, source: str) -> None:
    located = locate_quote(quote, make_chunk(SOURCE))
    assert located is not None and located.quote.text == source


@pytest.mark.parametrize(
    "quote",
    [
        "The relay K4 opens within 30 ms",  # another number
        "The relay K4 opens within 200 ms",
        "Its coil draws 35 mA — ever more",  # the negation is gone
        "阀门必须在24小时内关闭，可得超过",
        "The relay K5 closes within 20 ms",
        "something else entirely",
        SOURCE * 2,
        "\u200b",
        " ",
    ],
)
def test_what_does_not_stand_there_is_not_found(quote: str) -> None:
    found = locate_quote(quote, make_chunk(SOURCE))
    assert found is None or found.quote.text == quote


def test_quotes_of_escaped_text_are_found_in_the_raw_source() -> None:
    source = f"Write <DOCUMENT> and {BEGIN} before it."
    located = locate_quote(escape(source)[6:-3], make_chunk(source))
    assert located is not None and located.quote.text == source[6:-3]


@given(st.text(alphabet=st.sampled_from("ab ．1中文“”\n—ﬁé"), min_size=4, max_size=60), st.data())
def test_every_span_of_a_source_is_found_in_its_own_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    located = locate_quote(text[start:end], make_chunk(text))
    assert located is not None and located.exact and located.quote.text == text[start:end]


def replaced(reasoning: str, pieces: Sequence[str]) -> list[str]:
    return re.findall(f"{BEGIN}(.*?){END}", replace_quotes(reasoning, list(pieces)), re.DOTALL)


def test_quotes_are_replaced_in_order_whatever_they_hold() -> None:
    reasoning = f"a {BEGIN}one{END} b {BEGIN}two{END} c"
    assert replaced(reasoning, [r"\1 \g<0>", "$2"]) == [r"\1 \g<0>", "$2"]
    assert replace_quotes(reasoning, ["x", "y"]) == f"a {BEGIN}x{END} b {BEGIN}y{END} c"


def test_sentences_that_quote_are_dropped_whole() -> None:
    reasoning = f"It is asked for a time. The text says {BEGIN}after 14 days. They go{END}, so it is. Hence two weeks."
    assert drop_quotations(reasoning) == ["It is asked for a time.", "Hence two weeks."]
    assert drop_quotations(f"问的是时间。原文说{BEGIN}十四天。{END}所以如此。因此是两周。") == [
        "问的是时间。",
        "因此是两周。",
    ]
