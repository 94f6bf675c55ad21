"""The files of a dataset folder, in an order that leaves no half-written folder looking whole. Knows no teacher."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raft_cli.data import Chunk, Example, Question, Reject
from raft_cli.errors import DatasetError
from raft_cli.generate.assemble import make_row
from raft_cli.generate.folder import MANIFEST
from raft_cli.generate.formats import CONVERTERS, Row
from raft_cli.store import read_lines, write_json, write_lines, write_text

DATA_FILES = ("train.jsonl", "validation.jsonl", "test.jsonl", "documents.jsonl", "chunks.jsonl", "questions.jsonl",
              "rejected.jsonl")  # fmt: skip


def write_data(
    out: Path,
    *,
    splits: Mapping[str, Sequence[Example]],
    chunks: Mapping[str, Chunk],
    questions: Sequence[Question],
    rejects: Sequence[Reject],
    formats: Sequence[str],
    staged_documents: Path,
) -> dict[str, str]:
    """Write the data files of a folder and return the SHA-256 of each.

    The manifest goes first, so that a folder without one is known to be unfinished; a split without rows has no file,
    since `datasets` cannot load an empty one.

    Raises:
        DatasetError: The disk is full or the folder cannot be written.
    """
    (out / MANIFEST).unlink(missing_ok=True)
    for name, examples in splits.items():
        path = out / f"{name}.jsonl"
        if examples:
            write_lines(path, (make_row(example, chunks) for example in examples))
        else:
            path.unlink(missing_ok=True)
    write_lines(out / "chunks.jsonl", chunks.values())
    ordered = sorted(questions, key=lambda question: question.id)
    write_lines(out / "questions.jsonl", ordered)
    write_rejects(out, rejects)
    staged_documents.replace(out / "documents.jsonl")
    _write_formats(out, splits, formats)
    return {name: _digest(out / name) for name in DATA_FILES if (out / name).exists()}


def write_nothing(out: Path, rejects: Sequence[Reject]) -> None:
    """Write what was set aside by a run that made no row; rows of an earlier run are no longer said to be whole."""
    (out / MANIFEST).unlink(missing_ok=True)
    write_rejects(out, rejects)


def write_rejects(out: Path, rejects: Sequence[Reject]) -> None:
    """Write what was set aside, in a fixed order."""
    ordered = sorted(rejects, key=_order)
    write_lines(out / "rejected.jsonl", ordered)


def finish_folder(out: Path, *, card: str, report: str, manifest: Mapping[str, object]) -> None:
    """Write card and report, and last the manifest, which marks the folder as whole."""
    write_text(out / "README.md", card)
    write_text(out / "report.html", report)
    write_json(out / MANIFEST, dict(manifest))


def export_rows(folder: Path, *, format: str, split: str, system: str) -> Iterator[Row]:
    """Yield the rows of a dataset folder (or of one JSONL file) in another format; `split` may be `all`.

    Raises:
        DatasetError: There are no such rows.
    """
    names = ("train", "validation", "test") if split == "all" else (split,)
    files = [folder] if folder.is_file() else [folder / f"{name}.jsonl" for name in names]
    found = [path for path in files if path.is_file()]
    if not found:
        raise DatasetError(
            f"{folder}: no {' or '.join(path.name for path in files)} there; is it a dataset folder of raft?"
        )
    for path in found:
        for number, row in enumerate(read_lines(path), 1):
            try:
                yield row if format == "native" else CONVERTERS[format](row, system)
            except (KeyError, TypeError, AttributeError) as error:
                raise DatasetError(f"{path}, line {number}: no RAFT row ({type(error).__name__}: {error})") from error


def _write_formats(out: Path, splits: Mapping[str, Sequence[Example]], formats: Sequence[str]) -> None:
    for known in CONVERTERS:
        if known not in formats:
            shutil.rmtree(out / known, ignore_errors=True)  # what an earlier run wrote would no longer be true
    for name in formats:
        for split, examples in splits.items():
            path = out / name / f"{split}.jsonl"
            path.unlink(missing_ok=True)
            if examples:
                write_lines(path, export_rows(out, format=name, split=split, system=""))


def _order(reject: Reject) -> tuple[str, ...]:
    return (
        reject.stage,
        reject.source,
        reject.chunk_id,
        reject.question_id,
        reject.question,
        reject.reason,
        reject.detail,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
