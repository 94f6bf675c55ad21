"""Rows of a file that people filled in, CSV or JSONL, with the lines they stand on. Knows nothing of what they mean."""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from raft_cli.errors import ConfigError

Row = tuple[int, Mapping[str, object]]

_JSON = (".jsonl", ".json", ".ndjson")
_LONGEST = 1 << 24  # characters of a cell: an exported answer may be long


def read_sheet(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """Yield line number and fields of each row: of JSONL by its suffix, else of CSV with a header line.

    Args:
        columns: What the header of a CSV must name, in any case and order.

    Raises:
        ConfigError: The file cannot be read, or a line is broken; it is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    yield from _read_json(path, text) if path.suffix.lower() in _JSON else _read_csv(path, text, columns)


def _read_json(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: no JSON ({error})") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{path}, line {number}: no JSON object")
        yield number, value


def _read_csv(path: Path, text: str, columns: Collection[str]) -> Iterator[Row]:
    """Yield the rows under the header, with the line on which each ends; the separator is the header's."""
    header = text.partition("\n")[0]
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    before = csv.field_size_limit(_LONGEST)
    try:
        known = [name.strip().lower() for name in next(cells, [])]
        if missing := [name for name in columns if name not in known]:
            raise ConfigError(f"{path}, line 1: the column {missing[0]} is missing; expected {', '.join(columns)}")
        for row in cells:
            if row:
                yield cells.line_num, dict(zip(known, row, strict=False))
    except csv.Error as error:
        raise ConfigError(f"{path}, line {cells.line_num}: {error}") from error
    finally:
        csv.field_size_limit(before)
