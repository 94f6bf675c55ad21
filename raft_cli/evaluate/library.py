"""What `raft ask` answers from: the passages of a dataset, and what a model's run tells of its training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raft_cli.data import Chunk
from raft_cli.errors import DatasetError
from raft_cli.evaluate.cases import search_lexically
from raft_cli.evaluate.distractors import Search
from raft_cli.evaluate.passages import CHUNKS, Passages
from raft_cli.store import read_json

MANIFEST = "manifest.json"
_DOCUMENTS = 5  # where nothing says how many a row of training has


@dataclass(frozen=True, slots=True)
class Library:
    """The passages of a dataset, to be searched.

    Attributes:
        documents: How many a row of training has, 0 when the dataset does not tell.
        files: SHA-256 of its files, as its manifest has them.
    """

    chunks: Mapping[str, Chunk]
    search: Search
    documents: int
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Training:
    """What a run tells of its training; empty for other models.

    Attributes:
        system: System turn of its prompts.
        documents: How many a row had on average, 0 when it is not known.
        data: The dataset, as a path.
        files: SHA-256 of its files, by name.
    """

    system: str = ""
    documents: int = 0
    data: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


def open_library(data: Path) -> Library:
    """Read the passages of a dataset folder and make them searchable.

    Raises:
        DatasetError: There are none, or their file is broken.
    """
    if not data.exists():
        raise DatasetError(f"{data}: no such folder")
    rows = data / "train.jsonl" if data.is_dir() else data
    chunks = Passages(rows, ()).chunks
    if not chunks:
        raise DatasetError(
            f"{rows.with_name(CHUNKS)}: no passages there to answer from; give the folder that `raft generate` wrote"
        )
    manifest = _read_mapping(rows.with_name(MANIFEST))
    distractors = _take(manifest, "settings").get("distractors")
    return Library(
        chunks,
        search_lexically(chunks),
        distractors + 1 if isinstance(distractors, int) else 0,
        _take(manifest, "files"),
    )


def read_training(model: str) -> Training:
    """Return what a run, or a model merged from one, tells of its training."""
    manifest = _read_mapping(Path(model).expanduser() / MANIFEST)
    documents = _take(manifest, "rows").get("documents")
    data = _take(manifest, "data")
    return Training(
        system=str(_take(manifest, "prompt").get("system") or ""),
        documents=round(documents) if isinstance(documents, int | float) else 0,
        data=str(data.get("path") or ""),
        files=_take(data, "files"),
    )


def choose_count(training: Training, library: Library) -> int:
    """Return how many documents a prompt gets: as many as the rows of training have."""
    return training.documents or library.documents or _DOCUMENTS


def compare_corpora(training: Training, library: Library) -> str:
    """Return what to say when a model was trained on other passages; nothing when that is not known.

    A run knows the files of rows it was trained on. When these are others, the passages may still be the same: then
    the folder of the run's dataset tells, unless its rows have changed since.
    """
    trained, here = training.files, library.files
    if not trained or not here or set(trained.values()) & set(here.values()):
        return ""
    there = _take(_read_mapping(Path(training.data) / MANIFEST), "files")
    if set(trained.values()) & set(there.values()) and there.get(CHUNKS) == here.get(CHUNKS):
        return ""
    return f"the model was trained on other data ({training.data}): what it remembers may be of other documents"


def _read_mapping(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty when it cannot be read: what it tells is worth a note, not an error."""
    try:
        held = read_json(path)
    except DatasetError:
        return {}
    return held if isinstance(held, dict) else {}


def _take(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    held = record.get(key)
    return held if isinstance(held, dict) else {}
