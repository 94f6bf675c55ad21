"""JSONL files and folders on disk: written under a temporary name, synced, renamed. Knows no record's meaning."""

import contextlib
import dataclasses
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from raft_cli.errors import DatasetError

PARTIAL = ".part"


def to_json(record: object) -> dict[str, Any]:
    """Return a dataclass as the mapping that its line of JSONL holds."""
    return dataclasses.asdict(record)  # type: ignore[call-overload, no-any-return]


def dumps(value: object, option: int | None = None) -> bytes:
    """Return `value` as one line of JSON in UTF-8; lone surrogates become `?`."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(_mend(value), option=option)


def _mend(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mend(item) for item in value]
    return value


def write_lines(path: Path, records: Iterable[object]) -> int:
    """Write `records` (mappings or dataclasses) to a JSONL file that appears only when whole; return their number.

    Raises:
        DatasetError: The disk is full or the folder cannot be written; an earlier file of that name is untouched.
    """
    import jsonlines

    count = 0
    partial = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file, jsonlines.Writer(file, dumps=dumps) as writer:
            for record in records:
                writer.write(to_json(record) if dataclasses.is_dataclass(record) else record)
                count += 1
            _sync(file)
        partial.replace(path)
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        _discard(partial)
    return count


def write_text(path: Path, text: str) -> None:
    """Write a text file, as `write_bytes`."""
    write_bytes(path, lambda file: file.write(text.encode("utf-8", "replace")))


def write_bytes(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file that appears only when whole.

    Raises:
        DatasetError: As `write_lines`.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            _sync(file)
        partial.replace(path)
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        _discard(partial)


def write_json(path: Path, value: object) -> None:
    """Write one indented JSON value, as `write_text`."""
    write_text(path, dumps(value, orjson.OPT_INDENT_2).decode() + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - a JSON value
    """Read one JSON value.

    Raises:
        DatasetError: The file is missing or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error


def read_lines(path: Path, *, growing: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file.

    Args:
        growing: Whether somebody may be writing to it, or was killed at it: a last line without its end is left out.

    Raises:
        DatasetError: The file is missing, or a line (named) is not a JSON object.
    """
    import jsonlines

    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                if not line.strip() or (growing and not line.endswith(b"\n")):
                    continue
                with jsonlines.Reader([line.decode("utf-8")], loads=orjson.loads) as reader:
                    yield reader.read(type=dict)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except (jsonlines.InvalidLineError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}, line {number}: not a JSON object") from error


def explain_write_error(path: Path, error: OSError) -> DatasetError:
    """Return what to tell a person when `path` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatasetError(
            f"no space left to write {path}; earlier files and all paid replies are kept: free some space and run "
            "the same command again"
        )
    return DatasetError(f"cannot write {path}: {error.strerror or error}")


def _discard(partial: Path) -> None:
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)


def _sync(file: IO[bytes]) -> None:
    file.flush()  # what Python still holds, the system cannot sync
    os.fsync(file.fileno())
