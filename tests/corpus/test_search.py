"""Search finds the passage that is asked for, in English and in Chinese."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.corpus.chunk import split_document
from raft_cli.corpus.read import find_files, read_file
from raft_cli.corpus.search import LexicalIndex
from raft_cli.corpus.tokens import load_counter
from raft_cli.data import Chunk
from raft_cli.language import search_tokens

CORPUS = Path(__file__).parents[2] / "sample_corpus"
TEXTS = [
    "The GW-4 gateway listens on port 8443.",
    "The pump is greased every week.",
    "网关的事件日志保存十四天。",
    "阀门必须在启动水泵之前关闭。",
    "Nothing here.",
]


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    counter = load_counter("o200k_base")
    return [
        chunk
        for file in find_files([str(CORPUS)])
        for document in read_file(file, size_limit=10**8)[0]
        for chunk in split_document(document, counter=counter, size=256)
    ]


@pytest.mark.parametrize(("chinese", "fewest"), [(True, 15), (False, 30)])
def test_a_heading_finds_its_own_section(chunks: list[Chunk], chinese: bool, fewest: int) -> None:
    index = LexicalIndex([chunk.text for chunk in chunks])
    headings = {
        (chunk.source, chunk.heading): chunk.heading[-1]
        for chunk in chunks
        if chunk.heading and chunk.source.startswith("zh/") is chinese
    }
    found = 0
    for (source, path), heading in headings.items():
        hits = [chunks[at] for at in index.search(heading, 10)]
        found += any((chunk.source, chunk.heading) == (source, path) for chunk in hits)
    assert len(headings) >= fewest
    assert found / len(headings) >= 0.8, f"Recall@10 {found}/{len(headings)}"


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("Which port does the gateway use?", 0),
        ("grease the pump", 1),
        ("日志保存多久？", 2),
        ("水泵启动前关闭什么", 3),
        ("ＧＷ-4", 0),
    ],
)
def test_the_best_comes_first(query: str, best: int) -> None:
    assert LexicalIndex(TEXTS).search(query, 5)[0] == best


def test_nothing_is_found_where_nothing_is_shared() -> None:
    assert LexicalIndex(TEXTS).search("zebra", 5) == []
    assert LexicalIndex(TEXTS).search("", 5) == []
    assert LexicalIndex([]).search("pump", 5) == []
    assert LexicalIndex(["", "…"]).search("pump", 5) == []


@given(st.lists(st.text(alphabet=st.sampled_from("ab c中文"), max_size=12), max_size=12), st.integers(1, 5))
def test_hits_share_a_term_and_equal_texts_keep_their_order(texts: list[str], top: int) -> None:
    query = "ab a 中文"
    hits = LexicalIndex(texts).search(query, top)
    sharing = [at for at, text in enumerate(texts) if set(search_tokens(text)) & set(search_tokens(query))]
    assert len(hits) == min(top, len(sharing)) and set(hits) <= set(sharing)
    for text in set(texts):
        same = [at for at in hits if texts[at] == text]
        assert same == sorted(same)


def test_rare_words_weigh_more_and_short_texts_go_before_long_ones() -> None:
    texts = ["valve " + "common " * 3, "common " * 4, "valve", *["common words"] * 20]
    assert LexicalIndex(texts).search("common valve", 2) in ([0, 2], [2, 0])
    assert LexicalIndex(["pump " + "filler " * 50, "pump"]).search("pump", 2) == [1, 0]
