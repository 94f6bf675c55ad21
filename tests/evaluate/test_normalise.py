"""Normalising: a table by hand, numbers as decimals, articles that are none, and what holds of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.evaluate.normalise import (
    PLAIN,
    Rules,
    clean,
    count_units,
    holds,
    names_version,
    normalise,
    tokenise,
    tokenise_pair,
)

FOREIGN = Rules(english=False)
VERSIONS = Rules(literal=True)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Relay K4.", "relay k4"),
        ("an “open” valve — a test", "open valve test"),
        ("well-known, it's", "wellknown its"),
        ("ＷＩＤＥ\u3000ｔｅｘｔ", "wide text"),
        ("zero\u200bwidth so\u00adft", "zerowidth soft"),
        ("STRASSE Straße", "strasse strasse"),
        ("北京，是 中国的首都。", "北 京 是 中 国 的 首 都"),
        ("ｶﾞス・ポンプ", "ガ ス ポ ン プ"),
        ("人々〇", "人 々 〇"),
        ("서울은 수도이다.", "서울은 수도이다"),
        ("在24小时内关闭 USB-C 接口", "在 24 小 时 内 关 闭 usbc 接 口"),
        ("1,000.0 V", "1000 v"),
        ("１，０００", "1000"),
        ("1,2 and 12,34", "1,2 and 12,34"),
        ("3.10", "3.1"),
        ("007", "7"),
        ("-5 °C, (-5), −5", "-5 °c -5 -5"),
        ("-0.0 +7", "0 7"),
        (".5 0.50", "0.5 0.5"),
        ("10–20", "10-20"),
        ("12:30 1/2 2024-05-01 10.0.0.1", "12:30 1/2 2024-05-01 10.0.0.1"),
        ("v1.2.3.", "v1.2.3"),
        ("5. Then 6, 7", "5 then 6 7"),
        ("50 % of C++", "50 of c++"),
        ("٣٫٥ ١٢.٥٠", "٣٫٥ 12.5"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normalising_by_hand(text: str, wanted: str) -> None:
    assert normalise(text) == wanted


def test_an_article_stands_before_something() -> None:
    assert normalise("Vitamin A") == "vitamin a"
    assert normalise("A") == "a"
    assert normalise("the a the") == "the"
    assert normalise("Appendix A describes a pump. A pump is a machine.") == "appendix a describes pump pump is machine"
    assert normalise("THIS IS A TEST") == "this is test"
    assert normalise("la casa a Roma", FOREIGN) == "la casa a roma"


def test_versions_are_no_decimals() -> None:
    assert normalise("3.10", VERSIONS) == "3.10"
    assert normalise("1,000.0", VERSIONS) == "1000.0"
    assert [names_version(text) for text in ("Which version runs?", "v2 of it", "哪个版本", "How long is it?")] == [
        True,
        True,
        True,
        False,
    ]


def test_numbers_longer_than_any_context_keep_their_digits() -> None:
    long = "1234567890" * 500
    assert normalise(f"{long}1.50") == f"{long}1.5"
    assert normalise(f"{long}1") != normalise(f"{long}2")


def test_a_gold_that_normalising_would_empty_is_compared_by_width_and_case() -> None:
    assert tokenise_pair("#", "#") == (("#",), ("#",))
    assert tokenise_pair("％", "%") == (("%",), ("%",))
    assert tokenise_pair("", "?!") == ((), ("?!",))
    assert tokenise_pair("Paris.", "paris") == (("paris",), ("paris",))


def test_holding_is_by_tokens() -> None:
    assert holds(("started", "art", "now"), ("art",))
    assert not holds(("started",), ("art",))
    assert holds(tokenise("他在北京市工作"), tokenise("北京"))
    assert not holds(("a", "x", "b"), ("a", "b"))
    assert not holds(("a",), ())
    assert not holds((), ())


@pytest.mark.parametrize(
    ("text", "units"), [("one two three", 3), ("阀门必须关闭", 6), ("24小时 — ok", 4), ("...", 0), ("서울은 수도", 2)]
)
def test_units(text: str, units: int) -> None:
    assert count_units(text) == units


def test_cleaning_keeps_punctuation_and_articles() -> None:
    assert clean("The  “Relay”,\n opens…") == 'the "relay", opens...'
    assert clean("阀门 必须\n关闭 A 级。") == "阀门必须关闭a级。"


@given(st.text())
def test_normalising_again_changes_nothing(text: str) -> None:
    tokens = tokenise(text, FOREIGN)
    assert tokenise(" ".join(tokens), FOREIGN) == tokens
    assert clean(clean(text)) == clean(text)
    assert all(token and not any(map(str.isspace, token)) for token in tokens)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_numbers_are_equal_however_they_are_written(number: object) -> None:
    assert tokenise(f"{number:,}") == tokenise(f"{number:f}") == tokenise(f"{number:.6f}")


@given(st.lists(st.sampled_from("relay opens after 20 ms 北京 3.5 K4".split()), min_size=1, max_size=8), st.data())
def test_every_run_of_tokens_is_held(words: list[str], data: st.DataObject) -> None:
    tokens = tokenise(" ".join(words), PLAIN)
    start = data.draw(st.integers(0, len(tokens) - 1))
    end = data.draw(st.integers(start + 1, len(tokens)))
    assert holds(tokens, tokens[start:end])
