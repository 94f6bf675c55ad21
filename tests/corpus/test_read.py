import os
import zipfile
from pathlib import Path

import pytest

from raft_cli.corpus.read import SourceFile, Unreadable, find_files, read_file
from raft_cli.data import make_id
from raft_cli.errors import CorpusError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}", "utf-8")
    return folder


def sources(*corpus: Path | str) -> list[str]:
    return [file.source for file in find_files([str(entry) for entry in corpus])]


def refusal(path: Path, size_limit: int = 10**6) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        read_file(SourceFile(path, path.name), size_limit=size_limit)
    return raised.value


def test_folder_is_searched_to_the_bottom_and_sorted(tmp_path: Path) -> None:
    fill(tmp_path, "b.md", "a/deep/er/x.txt", "a/文档.md", "B.md")
    assert sources(tmp_path) == ["B.md", "a/deep/er/x.txt", "a/文档.md", "b.md"]


def test_hidden_files_and_earlier_outputs_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", ".git/config", ".env", "sub/.x.md")
    fill(tmp_path, "out/journal.sqlite", "out/deep/train.jsonl", "data/manifest.json", "data/train.jsonl")
    assert sources(tmp_path) == ["a.md"]
    assert sources(tmp_path / "**/*.jsonl", tmp_path / "a.md") == ["a.md"]


def test_a_manifest_alone_is_no_output_of_ours(tmp_path: Path) -> None:
    fill(tmp_path, "site/manifest.json", "site/index.html")
    assert sources(tmp_path) == ["site/index.html", "site/manifest.json"]


def test_an_output_folder_named_outright_is_read(tmp_path: Path) -> None:
    fill(tmp_path, "manifest.json", "documents.jsonl")
    assert sources(tmp_path) == ["documents.jsonl", "manifest.json"]


def test_single_file_is_named_by_itself(tmp_path: Path) -> None:
    fill(tmp_path, "a/b.md")
    [file] = find_files([str(tmp_path / "a/b.md")])
    assert file == SourceFile(tmp_path / "a/b.md", "b.md")


def test_globs(tmp_path: Path) -> None:
    fill(tmp_path, "docs/a.md", "docs/b.txt", "docs/v1/c.md", "docs/v1/.d.md", "docs/x[1].md")
    assert sources(tmp_path / "docs/*.md") == ["a.md", "x[1].md"]
    assert sources(tmp_path / "docs/**/*.md") == ["a.md", "v1/c.md", "x[1].md"]
    assert sources(tmp_path / "docs/v*") == ["v1/c.md"]
    assert sources(tmp_path / "docs/x[1].md") == ["x[1].md"]


def test_links_out_of_the_corpus_are_not_followed(tmp_path: Path) -> None:
    corpus = fill(tmp_path / "corpus", "a.md")
    fill(tmp_path / "secret", "key.md")
    (corpus / "key.md").symlink_to(tmp_path / "secret/key.md")
    (corpus / "folder").symlink_to(tmp_path / "secret")
    (corpus / "again.md").symlink_to(corpus / "a.md")
    (corpus / "broken.md").symlink_to(corpus / "nothing")
    (corpus / "loop").symlink_to(corpus)
    assert sources(corpus) == ["a.md"]
    assert sources(corpus / "*.md", corpus / "folder*") == ["a.md"]


def test_a_root_that_is_a_link_is_followed(tmp_path: Path) -> None:
    fill(tmp_path / "real", "a.md")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert sources(tmp_path / "link", tmp_path / "real") == ["a.md"]


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    fill(tmp_path, "one/docs/a.md", "two/docs/a.md", "two/docs/b.md", "three/a.md")
    assert sources(tmp_path / "one/docs", tmp_path / "three") == ["docs/a.md", "three/a.md"]
    assert sources(tmp_path / "one/docs", tmp_path / "two/docs") == ["b.md", "one/docs/a.md", "two/docs/a.md"]
    assert sources(tmp_path / "one/docs/a.md", tmp_path / "three/a.md") == ["docs/a.md", "three/a.md"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "docs/a.md", "docs/sub/b.md")
    assert sources(tmp_path / "docs", tmp_path / "docs/sub", tmp_path / "docs/a.md") == ["a.md", "sub/b.md"]


def test_missing_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="gone: no such file"):
        find_files([str(tmp_path / "gone")])
    with pytest.raises(CorpusError, match=r"\*\.md: nothing matches"):
        find_files([str(tmp_path / "*.md")])
    with pytest.raises(CorpusError, match="no files found"):
        find_files([str(fill(tmp_path, ".hidden"))])
    with pytest.raises(CorpusError, match="no files found"):
        find_files([])


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX alone")
def test_undecodable_names_become_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")).write_text("x")
    assert sources(tmp_path) == ["caf\\xe9.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(fill(tmp_path, "a.md") / "pipe.md")
    assert sources(tmp_path) == ["a.md"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="the superuser may enter any folder")
def test_a_closed_folder_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    closed = fill(tmp_path, "a.md", "closed/b.md") / "closed"
    closed.chmod(0)
    try:
        files = find_files([str(tmp_path)])
        assert [file.source for file in files] == ["a.md", "closed"]
        assert refusal(files[1].path).reason == "damaged"
    finally:
        closed.chmod(0o700)


def test_document_is_named_by_its_content(tmp_path: Path) -> None:
    fill(tmp_path, "a/b.md")
    [file] = find_files([str(tmp_path)])
    [document], problems = read_file(file, size_limit=100)
    assert not problems
    assert document.id == make_id("document", "a/b.md", "text of a/b.md")
    assert (document.source, document.title, document.text) == ("a/b.md", "b", "text of a/b.md")


@pytest.mark.parametrize("name", ["a.png", "b.exe", "c.bin", "d.doc", "e.zip"])
def test_formats_that_are_not_read(tmp_path: Path, name: str) -> None:
    assert refusal(fill(tmp_path, name) / name).reason == "unsupported"


def test_old_formats_come_with_advice(tmp_path: Path) -> None:
    assert "save it as .docx" in refusal(fill(tmp_path, "a.doc") / "a.doc").detail


def test_files_with_nothing_in_them(tmp_path: Path) -> None:
    for name, content, reason in (
        ("a.txt", b"", "empty"),
        ("b.md", b" \n\t\n", "no-text"),
        ("c.html", b"<p>", "no-text"),
    ):
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).reason == reason


def test_large_files_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 2_000_001)
    assert refusal(path, 2_000_000).reason == "oversized"
    assert "2 MB" in refusal(path, 2_000_000).detail


def test_a_file_that_went_away(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.md").reason == "damaged"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.ods", "a.epub"])
def test_archive_bombs_are_refused_unopened(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(20_000_000))
    assert refusal(tmp_path / name).reason == "archive-bomb"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.ods", "a.epub", "a.pdf", "a.json"])
def test_files_that_are_not_what_they_say(tmp_path: Path, name: str) -> None:
    for content in (b"not at all", b"PK\x03\x04 cut off", b"\x00" * 500):
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).reason in ("damaged", "unsupported")


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx"])
def test_office_files_under_a_password(tmp_path: Path, name: str) -> None:
    stream = "EncryptedPackage".encode("utf-16-le")
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream)
    assert refusal(tmp_path / name).reason == "encrypted"
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    assert refusal(tmp_path / name).reason == "unsupported"
