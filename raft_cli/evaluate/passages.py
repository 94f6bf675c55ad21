"""The passages of a dataset: its `chunks.jsonl`, or the documents of rows that come without one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raft_cli.cot import unescape
from raft_cli.data import Chunk, make_id
from raft_cli.errors import DatasetError
from raft_cli.evaluate.rows import Row
from raft_cli.language import detect_language
from raft_cli.store import read_lines

CHUNKS = "chunks.jsonl"


class Passages:
    """The passages of a dataset; those of foreign rows are made of their documents."""

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        self.file = path.with_name(CHUNKS)
        listed = self.file.is_file()
        if not listed and any(row.native for row in rows):
            raise DatasetError(
                f"{self.file} is missing: the passages that distractors are drawn from; give the folder that "
                "`raft generate` wrote, whole"
            )
        chunks = [_read_chunk(record, self.file) for record in read_lines(self.file)] if listed else []
        self.chunks: dict[str, Chunk] = {chunk.id: chunk for chunk in chunks}
        self._by_text = {unescape(chunk.text): chunk.id for chunk in reversed(chunks)}
        foreign = (text for row in rows if not row.native for text in (*row.documents, row.oracle_text))
        added = [text for text in dict.fromkeys(foreign) if text.strip() and text not in self._by_text]
        for text in added:
            chunk = _make_chunk(text, path.name)
            self.chunks[chunk.id] = chunk
            self._by_text[text] = chunk.id
        self.digest = digest_file(self.file) if listed and not added else _digest_chunks(self.chunks.values())

    def find(self, row: Row) -> tuple[str, ...]:
        """Return the ids of a row's oracle, or nothing when the row does not tell.

        Raises:
            DatasetError: A row of ours names a passage that is not there.
        """
        found = row.oracle_ids or self._find_text(row.oracle_text)
        if row.native and (not found or any(each not in self.chunks for each in found)):
            raise DatasetError(f"{row.place}: its oracle is not in {self.file}; the two are of different runs")
        return found

    def _find_text(self, text: str) -> tuple[str, ...]:
        """Return the passages that a text is made of: one, or several with an empty line between."""
        if text in self._by_text:
            return (self._by_text[text],)
        at = text.find("\n\n")
        while at >= 0:
            head = self._by_text.get(text[:at])
            if head and (tail := self._find_text(text[at + 2 :])):
                return (head, *tail)
            at = text.find("\n\n", at + 1)
        return ()


def _read_chunk(record: Mapping[str, Any], file: Path) -> Chunk:
    try:
        return Chunk(**{**record, "heading": tuple(record["heading"])})
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{file}: not a file of passages ({type(error).__name__}: {error})") from error


def _make_chunk(text: str, source: str) -> Chunk:
    name = make_id("chunk", text)
    return Chunk(
        id=name,
        document_id=name,
        position=0,
        text=text,
        start=0,
        end=len(text),
        heading=(),
        page=None,
        tokens=0,
        source=source,
        title="",
        language=detect_language(text),
    )


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_chunks(chunks: Iterable[Chunk]) -> str:
    digest = hashlib.sha256()
    for name in sorted(chunk.id for chunk in chunks):  # the ids of what came without a file are hashes of the texts
        digest.update(name.encode())
    return digest.hexdigest()
