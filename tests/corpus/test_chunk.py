"""Chunks keep to their budget, cover their document, and break it where it breaks itself."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_cli.corpus.chunk import split_document
from raft_cli.corpus.readers.result import clean_text
from raft_cli.corpus.tokens import load_counter
from raft_cli.data import Chunk, Document, Span

COUNTER = load_counter("o200k_base")
PROSE = "The valve opens slowly. It must be checked each week, by hand and by eye! Is it tight? Then close it. "
CHINESE = "阀门应当缓慢打开。每周必须人工检查一次，并记录结果！是否严密？确认之后方可关闭。"


def cut(
    text: str,
    size: int = 64,
    overlap: int = 0,
    *,
    plain: bool = False,
    cuts: Sequence[Span] = (),
    pages: Sequence[int] = (),
) -> list[Chunk]:
    document = Document("doc", "doc.md", "Doc", text, tuple(pages), tuple(cuts), plain)
    chunks = split_document(document, counter=COUNTER, size=size, overlap=overlap)
    check_spans(chunks, text)
    return chunks


def check_spans(chunks: list[Chunk], text: str) -> None:
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.text == text[chunk.start : chunk.end] and chunk.text.strip() for chunk in chunks)
    assert all(one.start < other.start and one.end < other.end for one, other in pairwise(chunks))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(chunk.tokens == COUNTER.count(chunk.text) for chunk in chunks)


def uncovered(chunks: list[Chunk], text: str) -> list[str]:
    """Return the stretches of text, without blanks, that no chunk holds."""
    borders = [0, *(border for chunk in chunks for border in (chunk.start, chunk.end)), len(text)]
    return [gap for at in range(0, len(borders), 2) if (gap := text[borders[at] : borders[at + 1]].strip())]


PIECES = st.sampled_from(
    [
        *("\n", "\n\n", " ", "\t", "    ", "# ", "## ", "### ", "```", "```py\n", "~~~", "| ", " |\n", "|---|---|\n"),
        *(
            "- ",
            "1. ",
            "> ",
            "===\n",
            "---\n",
            "\n---\n",
            "<div>",
            "[a](b)",
            "word ",
            "Supercalifragilistic",
            "。",
            "，",
        ),
        *(
            "阀门",
            "日本語のテキスト",
            "한국어 ",
            "😀",
            "👩‍👩‍👧‍👦",
            "🇩🇪",
            "e\u0301",
            "\u00a0",
            "\u200d",
            "x" * 90,
            "漢" * 70,
            PROSE,
            CHINESE,
        ),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=60).map("".join), st.text(max_size=400), st.lists(st.text(), max_size=20).map("\n".join)
)


@given(text=TEXTS.map(clean_text), size=st.sampled_from([16, 17, 33, 64, 200]), plain=st.booleans())
@settings(deadline=None, max_examples=400)
def test_never_above_the_budget_and_nothing_lost(text: str, size: int, plain: bool) -> None:
    chunks = cut(text, size, plain=plain)
    assert all(chunk.tokens <= size for chunk in chunks)
    assert all(one.end <= other.start for one, other in pairwise(chunks))
    for gap in uncovered(chunks, text):
        assert not plain and all(line.lstrip().startswith("#") for line in gap.split("\n") if line.strip()), repr(gap)


@given(text=TEXTS.map(clean_text), size=st.sampled_from([16, 64]), plain=st.booleans())
@settings(deadline=None, max_examples=150)
def test_overlap_keeps_the_budget(text: str, size: int, plain: bool) -> None:
    assert all(chunk.tokens <= size for chunk in cut(text, size, size // 3, plain=plain))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "word " * 200_000,
        "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(12_000)),
        "| a | b |\n|---|---|\n" + "".join(f"| row {n} | value {n * 7} |\n" for n in range(20_000)),
        "Code:\n\n```python\n" + "".join(f"x{n} = {n}\n" for n in range(8_000)) + "```\n",
        "😀👩‍👩‍👧‍👦" * 5_000,
        "\n".join(f"        deep    indented {n}" for n in range(5_000)),
        "a" + " " * 300_000 + "b",
        "# " + "Endless heading " * 5_000,
    ],
    ids=["line", "words", "chinese", "table", "fence", "emoji", "indented", "blanks", "heading"],
)
def test_giants(text: str) -> None:
    chunks = cut(text, 512)
    assert max(chunk.tokens for chunk in chunks) <= 512
    assert uncovered(chunks, text) == []
    assert sum(chunk.tokens for chunk in chunks) >= 0.9 * COUNTER.count(text.strip()) or text.startswith("a  ")


def test_comments_of_a_plain_text_are_no_headings() -> None:
    text = "".join(f"# comment number {n} of a program\n" for n in range(40)) + "run()\n"
    chunks = cut(text, 32, plain=True)
    assert uncovered(chunks, text) == [] and {chunk.heading for chunk in chunks} == {()}


def test_comments_in_a_code_block_are_no_headings() -> None:
    text = "# Guide\n\n```sh\n" + "".join(f"# comment number {n} of a script\n" for n in range(40)) + "run\n```\n"
    chunks = cut(text, 32)
    assert {chunk.heading for chunk in chunks} == {("Guide",)}
    assert all(len(gap) < 10 for gap in uncovered(chunks, text))


def test_heading_paths() -> None:
    text = "\n\n".join(
        [PROSE * 2, "# One", PROSE * 2, "## Two ##", PROSE * 2, "Three\n-----", PROSE * 2, "# Four", PROSE * 2]
    )
    found = [chunk.heading for chunk in cut(text, 60)]
    assert found == [(), ("One",), ("One", "Two"), ("One", "Three"), ("Four",)]
    assert [chunk.heading for chunk in cut(text, 60, plain=True)][-1] == ()


def test_small_sections_are_merged_under_what_they_share() -> None:
    text = "# A\n\n## B\n\nOne fact.\n\n## C\n\nAnother fact.\n\n# D\n\n" + PROSE * 4
    merged, *rest = cut(text, 90)
    assert merged.text.startswith("# A") and merged.text.endswith("Another fact.") and merged.heading == ("A",)
    assert {chunk.heading for chunk in rest} == {("D",)}


def test_a_heading_alone_travels_as_path() -> None:
    text = f"# Title of it all\n\n{PROSE * 12}"
    first, *_ = chunks = cut(text, 40)
    assert {chunk.heading for chunk in chunks} == {("Title of it all",)}
    assert uncovered(chunks, text) in ([], ["# Title of it all"])
    assert first.text.strip() != "# Title of it all"


def test_pages() -> None:
    pages = [f"Page {n}. {PROSE}" for n in range(1, 6)]
    text = "\n\n".join(pages)
    starts = [text.index(f"Page {n}.") for n in range(1, 6)]
    for chunk in cut(text, 40, pages=starts):
        assert chunk.page == sum(start <= chunk.start for start in starts)
    assert {chunk.page for chunk in cut(text, 40)} == {None}


def test_code_and_table_rows_stay_whole_where_they_fit() -> None:
    code = "```python\ndef close(valve):\n\n    valve.turn()\n    return valve.state\n```"
    rows = [f"| sensor number {n} | measures {n * 3} bar in hall {n} |" for n in range(12)]
    text = (
        f"# Guide\n\n{PROSE}\n\n{code}\n\n{PROSE}\n\n| what | where |\n|---|---|\n" + "\n".join(rows) + f"\n\n{PROSE}"
    )
    chunks = cut(text, 50)
    for whole in (code, *rows):
        assert any(whole in chunk.text for chunk in chunks), whole


@pytest.mark.parametrize(("text", "ends"), [(PROSE * 30, ".!?"), (CHINESE * 30, "。！？")])
def test_prose_is_cut_between_sentences(text: str, ends: str) -> None:
    chunks = cut(text, 60)
    assert len(chunks) > 8 and all(chunk.text[-1] in ends for chunk in chunks)
    assert sum(chunk.tokens for chunk in chunks) / len(chunks) > 30


def test_overlap_repeats_the_end_of_the_chunk_before() -> None:
    chunks = cut(PROSE * 20, 60, 20)
    shared = [one.end - other.start for one, other in pairwise(chunks)]
    assert min(shared) > 0
    for one, other in pairwise(chunks):
        assert COUNTER.count(one.text[other.start - one.start :]) <= 20


def test_chunks_that_came_cut_stay() -> None:
    text = f"# Head\n\n{PROSE * 20}\n\nShort."
    cuts = [(0, 8), (8, len(text) - 8), (len(text) - 6, len(text))]
    chunks = cut(text, 16, cuts=cuts)
    assert [(chunk.start, chunk.end) for chunk in chunks] == cuts
    assert chunks[1].tokens > 16 and chunks[1].heading == ("Head",)


def test_language_of_a_chunk_is_its_own_or_that_of_its_document() -> None:
    text = f"# 说明\n\n{CHINESE * 4}\n\n## Names\n\n" + "Alpha Beta Gamma Delta. " * 12
    assert [chunk.language for chunk in cut(text, 80)][-1] == "zh"
    mixed = f"# Guide\n\n{PROSE * 4}\n\n## 中文\n\n{CHINESE * 4}"
    assert {chunk.language for chunk in cut(mixed, 80)} == {"en", "zh"}
