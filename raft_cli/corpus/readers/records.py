"""JSON and JSON Lines: records with a text, chunks that came already cut, catalogues of APIs, or any data."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from raft_cli.corpus.readers.apis import is_catalogue_entry, is_openapi, read_openapi, render_entry
from raft_cli.corpus.readers.result import Reading, Unreadable, clean_text, find_heading, make_document
from raft_cli.corpus.readers.text import decode_text
from raft_cli.data import Document

_TEXT_FIELDS = ("text", "content", "page_content", "body")
_TITLE_FIELDS = ("title", "name")
_DOCUMENT_FIELDS = ("document_id", "doc_id", "source")
_CHUNK_FIELDS = ("chunk_id", "position", "chunk_index")

_Object = dict[str, Any]
_Row = tuple[int, _Object]


def read_json(data: bytes, source: str) -> Reading:
    """Read a record, a list of records, an OpenAPI description, or any other JSON as indented text."""
    text = decode_text(data)
    try:
        value = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            return _read_lines(text, source)
        raise Unreadable("damaged", f"not JSON: {error}") from error
    if is_openapi(value):
        return read_openapi(value, source), []
    if isinstance(value, list) and any(map(_is_record, value)):
        rows = [(number, row) for number, row in enumerate(value, 1) if _is_record(row)]
        odd = [_reject("record", number, "has no text") for number, row in enumerate(value, 1) if not _is_record(row)]
        return _read_rows(rows, odd, source, "record")
    if _is_record(value):
        return [_make_record(value, source, PurePosixPath(source).stem)], []
    pretty = json.dumps(value, ensure_ascii=False, indent=2)
    return [make_document(source, clean_text(pretty), plain=True)], []


def read_jsonl(data: bytes, source: str) -> Reading:
    """Read a record from each line; lines that are none are named, the others kept."""
    return _read_lines(decode_text(data), source)


def _read_lines(text: str, source: str) -> Reading:
    rows: list[_Row] = []
    problems: list[Unreadable] = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would cut inside strings
        if not line.strip():
            continue
        try:
            value = json.loads(line, strict=False)
        except (json.JSONDecodeError, RecursionError) as error:
            problems.append(_reject("line", number, f"not JSON: {error}"))
            continue
        if _is_record(value):
            rows.append((number, value))
        else:
            problems.append(_reject("line", number, f"no object with one of the fields {', '.join(_TEXT_FIELDS)}"))
    return _read_rows(rows, problems, source, "line")


def _reject(unit: str, number: int, fault: str) -> Unreadable:
    return Unreadable("bad-record", f"{unit} {number}: {fault}")


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and (bool(_find_text(value)) or is_catalogue_entry(value))


def _find_text(row: _Object) -> str:
    found = (row.get(field) for field in _TEXT_FIELDS)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _find_name(row: _Object, fields: tuple[str, ...]) -> str:
    found = (row.get(field) for field in fields)
    return next((str(name) for name in found if isinstance(name, str | int) and str(name).strip()), "")


def _read_rows(rows: list[_Row], problems: list[Unreadable], source: str, unit: str) -> Reading:
    documents = []
    for group in _group_chunks(rows):
        number = group[0][0]
        try:
            documents.append(_make_group(group, f"{source}#{number}", f"{PurePosixPath(source).stem} {number}"))
        except Unreadable as error:
            problems.append(_reject(unit, number, error.detail))
    if not documents:
        first = f"; {problems[0].detail}" if problems else ""
        raise Unreadable("no-text", f"no {unit} has a text{first}")
    return documents, problems


def _group_chunks(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Yield runs of rows that are chunks of one document, and every other row by itself."""
    group: list[_Row] = []
    for row in rows:
        owner = _owner_of(row[1])
        if group and not (owner and owner == _owner_of(group[0][1])):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _owner_of(row: _Object) -> str:
    """Return the document that a row is a chunk of, or nothing."""
    return _find_name(row, _DOCUMENT_FIELDS) if any(row.get(field) is not None for field in _CHUNK_FIELDS) else ""


def _make_group(group: list[_Row], source: str, fallback: str) -> Document:
    """Make a document of one row, or of the chunks of one document with their spans as its cuts."""
    owner = _owner_of(group[0][1])
    if not owner:
        return _make_record(group[0][1], source, fallback)
    chunks = [chunk for _, row in group if (chunk := clean_text(_find_text(row)).strip())]
    cuts = []
    start = 0
    for chunk in chunks:
        cuts.append((start, start + len(chunk)))
        start += len(chunk) + 2
    title = _find_name(group[0][1], _TITLE_FIELDS) or owner
    return make_document(source, "\n\n".join(chunks), title=title, cuts=tuple(cuts))


def _make_record(row: _Object, source: str, fallback: str) -> Document:
    text = _find_text(row)
    if not text:
        title, text = render_entry(row)
        return make_document(source, clean_text(text), title=title)
    text = clean_text(text)
    title = _find_name(row, _TITLE_FIELDS) or find_heading(text) or _find_name(row, ("id",)) or fallback
    return make_document(source, text, title=title)
