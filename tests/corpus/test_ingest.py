"""A folder becomes chunks in the order of its paths; what fails keeps its reason and stops nothing."""

from itertools import pairwise
from pathlib import Path

import pytest

from raft_cli.corpus.ingest import Loaded, drop_duplicates, load_corpus
from raft_cli.data import Chunk
from raft_cli.errors import CorpusError

PROSE = "The pump of hall {n} runs at {n}00 turns a minute, and the crew of that hall greases it every {n} weeks. "


def make_corpus(folder: Path) -> Path:
    for name, content in {
        "b.md": "# B\n\n" + PROSE.format(n=2) * 3,
        "a/z.txt": PROSE.format(n=3) * 3,
        "a.md": "# A\n\n" + PROSE.format(n=4) * 3 + "\n\n## Contents\n\nShort.",
        "empty.md": "",
        "broken.pdf": "no pdf",
        "what.xyz": "unknown",
        "copy.md": "# B\n\n" + PROSE.format(n=2) * 3,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def load(*corpus: Path, workers: int = 2, size: int = 64, overlap: int = 0, timeout: float = 60) -> list[Loaded]:
    return list(
        load_corpus(
            [str(path) for path in corpus],
            tokenizer="o200k_base",
            size=size,
            overlap=overlap,
            workers=workers,
            timeout=timeout,
            memory_mb=2048,
            size_limit=10**6,
        )
    )


def all_chunks(loaded: list[Loaded]) -> list[Chunk]:
    return [chunk for file in loaded for chunk in file.chunks]


def test_files_come_in_order_and_bad_ones_keep_their_reason(tmp_path: Path) -> None:
    loaded = load(make_corpus(tmp_path))
    assert [file.source for file in loaded] == [
        "a.md", "a/z.txt", "b.md", "broken.pdf", "copy.md", "empty.md", "what.xyz",
    ]  # fmt: skip
    reasons = {reject.source: reject.reason for file in loaded for reject in file.rejects if reject.stage == "read"}
    assert reasons == {"broken.pdf": "damaged", "empty.md": "empty", "what.xyz": "unsupported"}
    for file in loaded:
        assert bool(file.documents) is (file.source not in reasons)
        assert file.sketches is None or len(file.sketches) == len(file.chunks)
        for chunk in file.chunks:
            document = next(each for each in file.documents if each.id == chunk.document_id)
            assert chunk.text == document.text[chunk.start : chunk.end] and chunk.source == file.source


def test_any_number_of_workers_gives_the_same(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    one, three = load(corpus, workers=1), load(corpus, workers=3)
    assert all_chunks(one) == all_chunks(three)
    assert [file.rejects for file in one] == [file.rejects for file in three]


def test_chunks_that_are_set_aside_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\n" + PROSE.format(n=4) * 9 + "\n\n# Tail\n\nShort.", encoding="utf-8")
    (file,) = load(tmp_path)
    (reject,) = [reject for reject in file.rejects if reject.stage == "chunk"]
    assert (reject.reason, reject.source, reject.detail) == ("too-short", "a.md", "# Tail Short.")
    assert reject.chunk_id not in {chunk.id for chunk in file.chunks}


def test_near_duplicates_of_other_files_are_dropped(tmp_path: Path) -> None:
    loaded = load(make_corpus(tmp_path))
    chunks = all_chunks(loaded)
    kept, rejects = drop_duplicates(chunks, [file.sketches for file in loaded if file.sketches is not None])
    assert {chunk.source for chunk in chunks} - {chunk.source for chunk in kept} == {"copy.md"}
    assert len(kept) + len(rejects) == len(chunks)
    assert {(reject.stage, reject.reason, reject.source) for reject in rejects} == {
        ("chunk", "near-duplicate", "copy.md")
    }
    assert all(reject.detail.removeprefix("repeats chunk ") in {chunk.id for chunk in kept} for reject in rejects)


def test_budget_and_overlap_reach_the_chunks(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("".join(PROSE.format(n=n) for n in range(1, 40)), encoding="utf-8")
    whole, small = all_chunks(load(tmp_path, size=200)), all_chunks(load(tmp_path, size=64, overlap=30))
    assert max(chunk.tokens for chunk in small) <= 64 < max(chunk.tokens for chunk in whole) <= 200
    assert any(one.end > other.start for one, other in pairwise(small))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file or folder"):
        load(tmp_path / "none")
    with pytest.raises(CorpusError, match="no files found"):
        load(tmp_path)
