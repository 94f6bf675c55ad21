"""From a corpus on disk to its chunks: read, cut and sift every file in isolated processes, in a fixed order."""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raft_cli.corpus.chunk import split_document
from raft_cli.corpus.pool import Failure, run_isolated
from raft_cli.corpus.read import SourceFile, Unreadable, find_files, read_file
from raft_cli.corpus.sift import find_duplicates, find_fault, sketch
from raft_cli.corpus.tokens import load_counter
from raft_cli.data import Chunk, Document, Reject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one file: its documents and chunks, or why there are none."""

    source: str
    documents: tuple[Document, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    rejects: tuple[Reject, ...] = ()
    sketches: "npt.NDArray[np.uint64] | None" = None


def load_corpus(
    corpus: Sequence[str],
    *,
    tokenizer: str,
    size: int,
    overlap: int,
    workers: int | None,
    timeout: float,
    memory_mb: int,
    size_limit: int,
) -> Iterator[Loaded]:
    """Yield each file of `corpus` in the order of its path, read and cut in `workers` processes.

    Args:
        size: Most tokens in a chunk.
        timeout: Seconds that one file may take.
        size_limit: Bytes above which a file is set aside unread.

    Raises:
        CorpusError: A path does not exist, or there is no file at all.
    """
    files = find_files(corpus)
    load = functools.partial(_load_file, tokenizer=tokenizer, size=size, overlap=overlap, size_limit=size_limit)
    count = workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or os.cpu_count()
    for file, outcome in run_isolated(load, files, workers=count or 1, timeout=timeout, memory_mb=memory_mb):
        if isinstance(outcome, Failure):
            yield Loaded(file.source, rejects=(Reject("read", outcome.reason, outcome.detail, source=file.source),))
        else:
            yield outcome


def _load_file(file: SourceFile, *, tokenizer: str, size: int, overlap: int, size_limit: int) -> Loaded:
    import numpy as np

    try:
        documents, partial = read_file(file, size_limit=size_limit)
    except Unreadable as error:
        return Loaded(file.source, rejects=(Reject("read", error.reason, error.detail, source=file.source),))
    rejects = [Reject("read", error.reason, error.detail, source=file.source) for error in partial]
    counter = load_counter(tokenizer)
    kept: list[Chunk] = []
    for document in documents:
        for chunk in split_document(document, counter=counter, size=size, overlap=overlap):
            if fault := find_fault(chunk):
                rejects.append(_reject_chunk(chunk, fault, " ".join(chunk.text.split())[:200]))
            else:
                kept.append(chunk)
    sketches = np.array([sketch(chunk.text) for chunk in kept]) if kept else None
    return Loaded(file.source, tuple(documents), tuple(kept), tuple(rejects), sketches)


def drop_duplicates(
    chunks: Sequence[Chunk], sketches: "Sequence[npt.NDArray[np.uint64]]"
) -> tuple[list[Chunk], list[Reject]]:
    """Split chunks into those to keep and the near-duplicates of an earlier one."""
    repeats = find_duplicates(chunks, (row for block in sketches for row in block))
    rejects = [
        _reject_chunk(chunk, "near-duplicate", f"repeats chunk {repeats[chunk.id]}")
        for chunk in chunks
        if chunk.id in repeats
    ]
    return [chunk for chunk in chunks if chunk.id not in repeats], rejects


def _reject_chunk(chunk: Chunk, reason: str, detail: str) -> Reject:
    return Reject("chunk", reason, detail, source=chunk.source, chunk_id=chunk.id)
