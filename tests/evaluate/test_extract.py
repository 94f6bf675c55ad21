"""Extraction: the last tag, think blocks, stop strings, the marks of quotations; refusals and labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.cot import BEGIN, END, TAG, escape
from raft_cli.evaluate.extract import extract_answer, read_response, split_quotes
from raft_cli.evaluate.labels import match_label
from raft_cli.evaluate.refusal import is_refusal


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("So.\n<ANSWER>: 20 ms", "20 ms"),
        ("<ANSWER>:20 ms", "20 ms"),
        ("<answer> : 20 ms</ANSWER>", "20 ms"),
        ("**<ANSWER>**: **20 ms**", "20 ms"),
        ("<ANSWER>: 10\n<ANSWER>: 20", "20"),
        ("<ANSWER>: 10\nFinal answer: 20", "20"),
        ("##Answer: 20", "20"),
        ("## ANSWER：20", "20"),
        ("### Final Answer:\n20", "20"),
        ("最终答案：北京。", "北京。"),
        ("答案: 北京", "北京"),
        ("<ANSWER>: one\ntwo", "one\ntwo"),
        ("<ANSWER>:", ""),
        ("<ANSWER>: `f(1)`", "f(1)"),
        (f"<ANSWER>: {BEGIN}20 ms{END}", "20 ms"),
        (f"<ANSWER>: {escape('<DOCUMENT>')}", "<DOCUMENT>"),
        ("<think>maybe <ANSWER>: 10</think>\n<ANSWER>: 20", "20"),
        ("maybe <ANSWER>: 10</think><ANSWER>: 20", "20"),
        ("One.<thinking>x</thinking> <ANSWER>: 20", "20"),
        ("<ANSWER>: 20<|im_end|>\n<|im_start|>user\n<ANSWER>: 30", "20"),
        ("<ANSWER>: 20<STOP><ANSWER>: 30", "20"),
        ("<ANSWER>: 20</s></s>\n", "20"),
        (f"{BEGIN}答案：30{END}\n<ANSWER>: 20", "20"),
        (f"{BEGIN}use </think> or <|im_end|>{END}\n<ANSWER>: 20", "20"),
        ("It is 20 ms.", None),
        ("<think><ANSWER>: 20", None),
        (f"{BEGIN}答案：30{END}", None),
        ("finalanswer: 20", None),
        ("", None),
    ],
)
def test_the_answer_stands_after_the_last_tag(text: str, wanted: str | None) -> None:
    assert read_response(text).extracted == wanted


def test_without_a_tag_the_last_line_is_read_leniently() -> None:
    assert read_response("First.\n**It is 20 ms.**\n\n").lenient == "It is 20 ms."
    assert read_response(f"It says {BEGIN}20 ms{END}.").lenient == "It says 20 ms."
    assert read_response("x\n<ANSWER>: 5").lenient == "5"
    assert read_response("x\n<ANSWER>:").lenient == ""
    assert read_response(" \n").lenient == ""


@pytest.mark.parametrize(
    ("text", "quotes", "malformed"),
    [
        ("none", (), 0),
        (f"{BEGIN}a{END} and {BEGIN} b \n{END}", ("a", "b"), 0),
        (f"{BEGIN}{END}{BEGIN} . {END}", (), 2),
        (f"{BEGIN}a", (), 1),
        (f"a{END}", (), 1),
        (f"{END}a{BEGIN}", (), 2),
        (f"{BEGIN}a{BEGIN}b{END}c{END}", (), 1),
        (f"{BEGIN}a{BEGIN}b{END}{BEGIN}c{END}d{END}{BEGIN}e{END}", ("e",), 1),
        (f"{BEGIN}a {BEGIN}b{END} {BEGIN}c{END}", ("b", "c"), 1),
        (f"{BEGIN}a{END}{END} {BEGIN}b{END}", ("a", "b"), 1),
    ],
)
def test_quotations_are_split_out(text: str, quotes: tuple[str, ...], malformed: int) -> None:
    assert split_quotes(text) == (quotes, malformed)


@given(st.lists(st.sampled_from([BEGIN, END, "a", " ", TAG, "<think>", "</think>", "答案：", "<STOP>"]), max_size=20))
def test_no_response_breaks_the_reader(pieces: list[str]) -> None:
    reading = read_response("".join(pieces))
    assert not any(mark in quote for quote in reading.quotes for mark in (BEGIN, END))
    assert BEGIN not in reading.lenient and END not in reading.lenient
    assert reading.extracted is None or reading.extracted == reading.lenient
    marks = sum(piece in (BEGIN, END) for piece in pieces)
    assert 2 * len(reading.quotes) + reading.malformed <= marks


@given(st.text(alphabet="ab 北1.\n", max_size=30), st.text(alphabet="ab 北1.", max_size=10))
def test_a_tag_is_found_wherever_it_stands(before: str, answer: str) -> None:
    assert extract_answer(f"{before}\n{TAG} {answer}") == answer.strip()


REFUSALS = """I don't know.
I do not have enough information to answer.
I’m sorry, but the provided documents do not mention it.
I cannot determine this from the text.
Unfortunately, the context does not specify the limit.
The documents do not contain the answer to this question.
None of the documents mention a limit.
Based on the documents, it cannot be determined.
It is not specified.
Not specified in the documents
Not available.
Unknown
N/A
Insufficient information
There is no mention of it
这些文档中没有这个问题的答案。
不知道
无法确定。
抱歉，文档中未提及该信息。
根据提供的文档，无法判断
信息不足
没有提到
わかりません。
文書には記載がありません。
不明です
알 수 없습니다.
제공된 문서에서는 알 수 없습니다
문서에 언급되어 있지 않습니다
Das weiß ich nicht.
In den Dokumenten wird das nicht erwähnt.
Nicht angegeben
Je ne sais pas.
Les documents ne le précisent pas
No lo sé
Los documentos no mencionan el límite
Não sei""".splitlines()
ANSWERS = """Not available in version 2
Unknown Host Error
None
No
No data is lost
It is not specified by ISO 9001
The documents are kept for ten years
The service does not start
I don't know, but the manual says 20 ms
20 ms; the documents do not mention more
不确定性原理
无法启动时按复位键
不支持
文档编号
情報が必要です
알 수 없는 오류
No se requiere
Nicht erforderlich""".splitlines()


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_that_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_further_phrases_can_be_given() -> None:
    assert not is_refusal("Pass.")
    assert is_refusal("Pass.", ("pass",))
    assert is_refusal("PASS, sorry", ("Pass",))
    assert not is_refusal("Passengers only", ("Pass",)) and not is_refusal("I pass", ("Pass",))
    assert is_refusal("超出范围了", ("超出范围",)) and is_refusal("No comment: ask them", ("no comment:",))


@pytest.mark.parametrize(
    ("answer", "gold", "wanted"),
    [
        ("Yes.", "yes", True),
        ("yes, it does", "Yes", True),
        ("The answer is no.", "no", True),
        ("It is set to false", "false", True),
        ("true", "yes", True),
        ("unknown", "no", False),
        ("I do not know", "no", False),
        ("No problem", "no", False),
        ("There is no limit", "no", False),
        ("not true", "true", False),
        ("Yes. And no.", "yes", False),
        ("maybe", "maybe", True),
        ("", "yes", False),
        ("不支持", "支持", False),
        ("支持该格式", "支持", True),
        ("是的，可以", "是", True),
        ("是否", "是", False),
        ("はい。", "はい", True),
        ("B", "B", True),
        ("(B) Paris", "B", True),
        ("B. Paris", "(B)", True),
        ("Option B", "B", True),
        ("The answer is b.", "B", True),
        ("选项B", "B", True),
        ("A dog", "A", False),
        ("Bag", "B", False),
        ("C", "B", False),
        ("yes", "20 ms", None),
    ],
)
def test_labels(answer: str, gold: str, wanted: bool | None) -> None:
    assert match_label(answer, gold) is wanted
