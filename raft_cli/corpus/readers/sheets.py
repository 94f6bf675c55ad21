"""Tables: each sheet of a workbook, and CSV files, as Markdown tables."""

import csv
import datetime
import io
import sys
from pathlib import PurePosixPath

from raft_cli.corpus.readers.archive import open_archive
from raft_cli.corpus.readers.result import Reading, Unreadable, clean_text, make_document
from raft_cli.corpus.readers.table import render_table
from raft_cli.corpus.readers.text import decode_text

_ZIP = b"PK"
_OLD_EXCEL = ".xls"
_SEPARATORS = ",;\t|"
_SAMPLE_LINES = 20
_MIDNIGHT = datetime.time()


def read_workbook(data: bytes, source: str) -> Reading:
    """Read every sheet as a table under its name."""
    from python_calamine import CalamineWorkbook, PasswordError

    if data.startswith(_ZIP) or not source.lower().endswith(_OLD_EXCEL):
        open_archive(data).close()
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError as error:
        raise Unreadable("encrypted", "protected by a password; save it without one") from error
    sections = []
    for name in workbook.sheet_names:
        rows = workbook.get_sheet_by_name(name).to_python()
        table = render_table([[_write_cell(value) for value in row] for row in rows])
        if table:
            sections.append(f"## {' '.join(name.split())}\n\n{table}")
    stem = PurePosixPath(source).stem
    return [make_document(source, clean_text("\n\n".join(sections)), title=stem)], []


def _write_cell(value: object) -> str:
    """Write a cell as a person reads it: whole numbers without a point, dates without midnight."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime) and value.time() == _MIDNIGHT:
        return value.date().isoformat()
    return str(value)


def read_csv(data: bytes, source: str) -> Reading:
    """Read separated values, whatever separates them, as one table under the name of the file."""
    text = clean_text(decode_text(data))
    csv.field_size_limit(sys.maxsize)
    separator = "\t" if source.lower().endswith(".tsv") else _find_separator(text)
    table = render_table(list(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    stem = PurePosixPath(source).stem
    return [make_document(source, f"## {stem}\n\n{table}" if table else "", title=stem)], []


def _find_separator(text: str) -> str:
    """Return the separator found most evenly in the first lines."""
    lines = [line for line in text[:100_000].split("\n") if line.strip()][:_SAMPLE_LINES]
    counts = {mark: [line.count(mark) for line in lines] for mark in _SEPARATORS}
    return max(_SEPARATORS, key=lambda mark: (min(counts[mark], default=0), sum(counts[mark])))
