"""Script, sentences, words, numbers and negations of a text, in English, Chinese and what stands between."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.language import (
    content_words,
    detect_language,
    fold,
    is_cjk,
    negations,
    numbers,
    search_tokens,
    split_sentences,
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The valve must be closed before the pump is started.", "en"),
        ("阀门必须在启动水泵之前关闭。", "zh"),
        ("使用 GW-4 网关时，请先升级 firmware 到 3.2.1 版本。", "zh"),
        ("バルブを閉じてからポンプを起動してください。", "ja"),
        ("밸브를 닫은 다음 펌프를 시작하십시오.", "ko"),
        ("Das Ventil muss vor dem Start geschlossen werden.", "other"),
        ("Клапан должен быть закрыт.", "other"),
        ("GW-4 GW-8 LX-200 RS485", "other"),
        ("12 34 ...", "other"),
        ("", "other"),
        ("The word 阀门 means valve, and it is used in the manual for all of the parts.", "en"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith measured 3.5 bar, i.e. too much. J. Doe agreed.", 2),
        ("See Fig. 3 and Sec. 2 for details. Then go on.", 2),
        ("Do this:\n1. Open the lid.\n2. Close it again.", ["Do this:", "1. Open the lid.", "2. Close it again."]),
        ("12. Then the twelfth step.", 1),
        ("Version 2.0.1 is out. It runs at 10.0.0.1 now.", 2),
        ('He said "Stop." Then he went.', ['He said "Stop."', "Then he went."]),
        ("第一句。第二句！第三句？", ["第一句。", "第二句！", "第三句？"]),
        ("他说：“可以。但是要快！”然后走了。", ["他说：“可以。但是要快！”", "然后走了。"]),
        ("条件（见表 2。注意单位）成立。下一句。", ["条件（见表 2。注意单位）成立。", "下一句。"]),
        ("A line that was wrapped by its editor after more than sixty\ncharacters. Next.", 2),
        ("Short line\nNext line", ["Short line", "Next line"]),
        ("Paragraph one\n\nparagraph two", ["Paragraph one", "paragraph two"]),
        ("Wait... what? Yes.", ["Wait...", "what?", "Yes."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, sentences: list[str] | int) -> None:
    found = [text[start:end] for start, end in split_sentences(text)]
    assert found == sentences if isinstance(sentences, list) else len(found) == sentences, found


def test_an_open_bracket_is_given_up_in_time() -> None:
    text = "（" + "没有括号结尾的句子。" * 60
    assert len(split_sentences(text)) > 1


@given(st.text(alphabet=st.sampled_from("ab .。!?\n“”()（） 1A中")))
def test_sentences_lie_in_order_and_cover_the_text(text: str) -> None:
    spans = split_sentences(text)
    assert all(start < end and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert (
        "".join(text[start:end] for start, end in spans).replace(" ", "") == "".join(text.split()).replace("\n", "")
        or "\n" in text
    )
    covered = {at for start, end in spans for at in range(start, end)}
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)


def test_terms_of_search() -> None:
    assert search_tokens("The GW-4's port, 8443/tcp v2.0") == ["the", "gw-4", "s", "port", "8443", "tcp", "v2.0"]
    assert search_tokens("ＧＷ网关") == ["gw", "网", "关", "网关"]
    assert search_tokens("打开阀门") == ["打", "开", "阀", "门", "打开", "开阀", "阀门"]
    assert search_tokens("snake_case __init__") == ["snake_case", "init"]
    assert search_tokens("—…！") == []


def test_content_words() -> None:
    assert content_words("The valve of the pump is open") == {"valve", "pump", "open"}
    assert content_words("打开的阀门") == {"打", "开", "阀", "门"}
    assert content_words("of the") == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,000 metres and 3.5 bar", {"1000": 1, "3.5": 1}),
        ("Two of 2, then twelve", {"2": 2, "12": 1}),
        ("１２ 台", {"12": 1}),
        ("保存十四天", {"十四": 1}),
        ("the second half", {"2nd": 1, "1/2": 1}),
        ("often in stone", {}),
    ],
)
def test_numbers(text: str, found: dict[str, int]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It does not work and isn't safe", 2),
        ("Never without a key, nor unsupported", 4),
        ("notable northern knot, innovate", 0),
        ("不支持，也没有", 2),
        ("非常好", 0),
        ("禁止使用", 1),
        ("使えません", 1),
    ],
)
def test_negations(text: str, count: int) -> None:
    assert negations(text) == count


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_folding() -> None:
    assert fold("  ＧＷ－４　Straße\n\tA ") == "gw-4 strasse a"
    assert is_cjk("x中") and is_cjk("かな") and is_cjk("한") and not is_cjk("x—1")
