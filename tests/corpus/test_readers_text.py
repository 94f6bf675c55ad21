import codecs

import pytest

from raft_cli.corpus.readers.markdown import read_markdown
from raft_cli.corpus.readers.result import Unreadable, find_heading
from raft_cli.corpus.readers.rst import read_rst
from raft_cli.corpus.readers.text import decode_text, read_plain
from raft_cli.data import Document

CHINESE = "红隼网关的保修期为三十六个月，自交付之日起计算。"
JAPANESE = "ゲートウェイの保証期間は納品日から三十六か月です。"


def plain(data: bytes) -> Document:
    [document], problems = read_plain(data, "a/b.txt")
    assert not problems
    return document


def markdown(text: str) -> Document:
    return read_markdown(text.encode(), "a/b.md")[0][0]


def rst(text: str) -> str:
    return read_rst(text.encode(), "a.rst")[0][0].text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gbk", "gb18030", "big5"])
def test_chinese_in_any_encoding(encoding: str) -> None:
    text = CHINESE if encoding != "big5" else "閘道器的保固期為三十六個月，自交付之日起計算。"
    assert plain(text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["shift_jis", "euc-jp", "iso2022_jp"])
def test_japanese_in_any_encoding(encoding: str) -> None:
    assert plain(JAPANESE.encode(encoding)).text == JAPANESE


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b""])
def test_utf16_with_and_without_mark(mark: bytes) -> None:
    order = "utf-16-be" if mark == codecs.BOM_UTF16_BE else "utf-16-le"
    assert decode_text(mark + "The gateway has two ports.".encode(order)) == "The gateway has two ports."


def test_a_few_broken_bytes_do_not_spoil_utf8() -> None:
    data = (CHINESE * 5).encode() + b"\xff" + CHINESE.encode()
    assert decode_text(data) == CHINESE * 5 + "\ufffd" + CHINESE


def test_declared_encoding_is_a_hint_only() -> None:
    assert decode_text(CHINESE.encode("gbk"), "gb2312") == CHINESE
    assert decode_text(CHINESE.encode("gbk"), "no-such-encoding") == CHINESE
    assert decode_text(CHINESE.encode(), "gb2312") == CHINESE


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4, b"MZ\x90\0\x03\0\0\0" * 50])
def test_binary_content_is_no_text(data: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        plain(data)
    assert raised.value.reason == "unsupported"


def test_line_ends_and_control_characters() -> None:
    document = plain("\n\n  one\r\ntwo\rthree\u2028four\fx\x1b[0m\x07\ufeff  \n\n".encode())
    assert document.text == "  one\ntwo\nthree\nfour\nx[0m"
    assert document.plain


def test_markdown_is_kept_as_it_is() -> None:
    text = "# A title\n\n```sh\n# no heading\n```\n\n* a\n* b"
    assert (markdown(text).text, markdown(text).title, markdown(text).plain) == (text, "A title", False)


def test_front_matter_gives_the_title_and_goes() -> None:
    document = markdown('---\ntitle: "The Manual"\ntags:\n  - a\n---\n\n# Chapter\n\nText')
    assert (document.title, document.text) == ("The Manual", "# Chapter\n\nText")


def test_a_rule_is_no_front_matter() -> None:
    text = "---\nNot a field but prose.\n---\nMore"
    assert markdown(text).text == text


def test_titles() -> None:
    assert markdown("Title\n=====\n\n# Later").title == "Title"
    assert markdown("```\n# code\n```\ntext").title == "b"
    assert find_heading("~~~\n# a\n```\n# b\n~~~\n## c ##") == "c"


def test_rst_headings_and_code() -> None:
    text = (
        "=====\nGuide\n=====\n\n.. _target:\n\nFirst\n-----\n\n"
        "Run ``raft`` like this::\n\n   # a comment\n   raft go\n\n"
        ".. code-block:: python\n   :linenos:\n\n   print(1)\n\n.. toctree::\n\n   a\n   b\n\nSecond\n------\n\nEnd."
    )
    assert rst(text) == (
        "# Guide\n\n## First\n\nRun `raft` like this:\n\n```\n# a comment\nraft go\n```\n\n"
        "```python\nprint(1)\n```\n\n## Second\n\nEnd."
    )


def test_rst_notes_and_tables_stay() -> None:
    text = ".. note::\n\n   Take care.\n\n===  ===\na    b\n===  ===\n1    2\n===  ==="
    assert rst(text) == text
