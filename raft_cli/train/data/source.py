"""Read what is trained on: a dataset folder or one JSONL file, with rows held out when there is no validation split."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from raft_cli.data import Message, make_id
from raft_cli.errors import DatasetError
from raft_cli.store import read_json
from raft_cli.train.data.formats import STOP, Line, ends_with_stop, name_format, read_row
from raft_cli.train.records import Row

TRAIN, VALIDATION, TEST, MANIFEST = "train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json"
_FEW = 20  # rows from which on some are held out
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows to train and to validate on.

    Attributes:
        format: Of the training rows: `native`, `gorilla`, `messages` or `prompt-completion`.
        files: SHA-256 of each file that was read.
        held_out: Rows moved from training to validation because there was no validation file.
        notes: What a person should be told.
    """

    train: list[Row]
    validation: list[Row]
    format: str
    files: dict[str, str]
    held_out: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _File:
    rows: list[Row]
    format: str
    digest: str
    stops: int


def read_dataset(data: Path, *, system: str, validation_share: float, seed: int) -> Dataset:
    """Read the training and validation rows of `data`; a test split is never read.

    Args:
        data: A dataset folder, or one JSONL file.
        system: System turn put in front of every prompt, if any.
        validation_share: Share of the rows, whole oracles at a time, held out when there is no validation file.

    Raises:
        DatasetError: There is nothing to train on, or a row (named) cannot be read.
    """
    path = _find_train(data)
    train = _read_file(path, system)
    if not train.rows:
        raise DatasetError(f"{path}: no rows in it")
    files = {path.name: train.digest}
    beside = path.with_name(VALIDATION)
    validation = _read_file(beside, system) if data.is_dir() and beside.is_file() else _File([], "", "", 0)
    if validation.digest:
        files[VALIDATION] = validation.digest
    notes = [*_note_manifest(data), *_note_rows(train, validation)]
    if data.is_file() and path.name == TRAIN and beside.is_file():
        notes.append(f"{beside} is not read; give the folder to validate on it")
    kept, held = train.rows, validation.rows
    if not held:
        kept, held = _hold_out(train.rows, validation_share, seed)
        if validation_share and not held:
            notes.append(f"nothing to validate on: {len(kept)} rows, or their oracles, are too few to hold any out")
    elif not _is_split_by_question(data) and (shared := _count_shared(kept, held)):
        notes.append(f"{shared} rows of {TRAIN} have an oracle that {VALIDATION} has too: its loss will flatter")
    return Dataset(
        train=kept,
        validation=held,
        format=train.format,
        files=files,
        held_out=0 if validation.rows else len(held),
        notes=tuple(notes),
    )


def _find_train(data: Path) -> Path:
    if data.is_dir():
        if not (data / TRAIN).is_file():
            raise DatasetError(f"{data}: no {TRAIN} in it; `raft generate` writes one, or give a .jsonl file")
        return data / TRAIN
    if not data.is_file():
        raise DatasetError(f"{data}: no such file or folder")
    if data.suffix.lower() != ".jsonl":
        raise DatasetError(f"{data}: not a .jsonl file (one JSON object a line) and no dataset folder")
    if data.name == TEST:
        raise DatasetError(f"{data}: a test split is kept for `raft eval`; give the folder, or {TRAIN}")
    return data


def _read_file(path: Path, system: str) -> _File:
    digest = hashlib.sha256()
    rows: list[Row] = []
    form, stops = "", 0
    for line in _read_objects(path, digest):
        form = form or name_format(line)
        stops += ends_with_stop(line)
        rows.append(_set_system(read_row(line, form), system))
    return _File(rows, form, digest.hexdigest(), stops)


def _read_objects(path: Path, digest: Any) -> Iterator[Line]:  # noqa: ANN401 - hashlib names no type
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                digest.update(text)
                stripped = (text.removeprefix(_BOM) if number == 1 else text).strip()
                if stripped:
                    yield Line(_parse(stripped, path, number), str(path), number)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error


def _parse(text: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {number}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}, line {number}: not a JSON object")
    return value


def _set_system(row: Row, system: str) -> Row:
    if not system:
        return row
    if row.messages[0].role != "system":
        return replace(row, messages=(Message("system", system), *row.messages))
    if row.messages[0].content != system:
        raise DatasetError(f"{row.place}: has a system turn of its own, other than --system; leave --system away")
    return row


def _hold_out(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and those held out: whole groups in an order that seed and group decide alone."""
    groups = Counter(row.group for row in rows)
    chosen: set[str] = set()
    if share and len(rows) >= _FEW and len(groups) > 1:
        wanted = min(max(1, round(share * len(rows))), len(rows) // 2)
        left = wanted
        order = sorted(groups, key=lambda group: make_id(seed, "hold-out", group))
        for group in order:
            if groups[group] <= left:
                chosen.add(group)
                left -= groups[group]
        smallest = min(order, key=lambda group: groups[group])
        if not chosen and groups[smallest] <= len(rows) // 2:
            chosen.add(smallest)
    kept = [row for row in rows if row.group not in chosen]
    return kept, [row for row in rows if row.group in chosen]


def _note_rows(train: _File, validation: _File) -> Iterator[str]:
    rows = [*train.rows, *validation.rows]
    if earlier := sum(any(turn.role == "assistant" for turn in row.messages) for row in rows):
        yield f"{earlier:,} rows have earlier answers; those are context, loss falls on the last one only"
    if stops := train.stops + validation.stops:
        yield f"{stops} answers ended in {STOP}, which was taken away: the model's own end of turn stands there"
    seen = {make_id(*(turn.content for turn in row.messages), row.answer) for row in train.rows}
    if twice := len(train.rows) - len(seen):
        yield f"{twice} rows are exact copies of others and are kept"


def _note_manifest(data: Path) -> Iterator[str]:
    if _read_manifest(data).get("complete") is False:
        yield f"{data} is not complete: `raft generate` was stopped, and the same command goes on"


def _is_split_by_question(data: Path) -> bool:
    settings = _read_manifest(data).get("settings")
    return isinstance(settings, dict) and settings.get("split_by") == "question"


def _read_manifest(data: Path) -> dict[str, Any]:
    path = data / MANIFEST
    held = read_json(path) if data.is_dir() and path.is_file() else {}
    return held if isinstance(held, dict) else {}


def _count_shared(train: Sequence[Row], validation: Sequence[Row]) -> int:
    known = {row.group for row in validation}
    return sum(row.group in known for row in train)
