"""DOCX to Markdown: headings, lists, tables and code in document order.

Walks the XML itself: the paragraph objects of python-docx look each style up anew and take ten times as long.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raft_cli.corpus.readers.archive import open_archive
from raft_cli.corpus.readers.result import (
    Reading,
    clean_text,
    fence_code,
    find_heading,
    make_document,
    shield_headings,
)
from raft_cli.corpus.readers.table import render_table

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_UNSEEN = (_FALLBACK, f"{_W}del", f"{_W}moveFrom")
_WRAPPERS = frozenset(f"{_W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"))
_MARKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-", f"{_W}p": "\n"}
_TEXTS = (f"{_W}t", _MATH_TEXT)
_HEADING_STYLE = re.compile(r"heading (\d)$|(title)$", re.IGNORECASE)
_CODE_STYLE = re.compile(r"code|preformatted|source|macro text|listing", re.IGNORECASE)
_TEMPLATE_TITLE = "Word Document"
_DEEPEST = 6
_DEEPEST_LIST = 8
_BODY_TEXT = 9


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style says: level of heading (0 for none), code, and its list, if any."""

    heading: int = 0
    code: bool = False
    list_id: str = ""


def read_docx(data: bytes, source: str) -> Reading:
    """Read the body of a document; headers, footers, comments and deleted text are left out."""
    import docx

    open_archive(data).close()
    document = docx.Document(io.BytesIO(data))
    body = document.element.body
    for element in list(body.iter(*_UNSEEN)):
        element.getparent().remove(element)
    writer = _Writer(_read_styles(document), _read_numbering(document))
    writer.write(body)
    text = clean_text("\n\n".join(writer.blocks))
    named = str(document.core_properties.title or "").strip()
    title = find_heading(text) or (named if named != _TEMPLATE_TITLE else "")
    return [make_document(source, text, title=title)], []


def _value(element: Any, path: str) -> str:  # noqa: ANN401 - lxml has no types
    """Return the `w:val` of what lies at `path` below an element, or nothing."""
    found = element.find("/".join(f"{_W}{name}" for name in path.split("/"))) if element is not None else None
    return str(found.get(f"{_W}val", "")) if found is not None else ""


def _read_styles(document: Any) -> dict[str, _Style]:  # noqa: ANN401
    """Return the paragraph styles by id, with what they inherit."""
    elements = {style.style_id: style.element for style in document.styles}
    styles = {}
    for style_id in elements:
        chain = []
        following = style_id
        while following in elements and elements[following] not in chain:
            chain.append(elements[following])
            following = _value(chain[-1], "basedOn")
        styles[style_id] = _inherit_style(chain)
    return styles


def _inherit_style(chain: list[Any]) -> _Style:
    names = [_value(element, "name") for element in chain]
    named = next((found for name in names if (found := _HEADING_STYLE.match(name))), None)
    outline = next((level for element in chain if (level := _value(element, "pPr/outlineLvl"))), "")
    heading = int(named[1] or 1) if named else _outline_level(outline)
    list_id = next((number for element in chain if (number := _value(element, "pPr/numPr/numId"))), "")
    return _Style(heading, any(map(_CODE_STYLE.search, names)), list_id)


def _outline_level(value: str) -> int:
    return int(value) + 1 if value.isdigit() and int(value) < _BODY_TEXT else 0


def _read_numbering(document: Any) -> dict[tuple[str, str], bool]:  # noqa: ANN401
    """Return for each list and level whether it is numbered."""
    from docx.opc.constants import RELATIONSHIP_TYPE

    try:
        root = document.part.part_related_by(RELATIONSHIP_TYPE.NUMBERING).element
    except KeyError:
        return {}
    kinds = {
        (abstract.get(f"{_W}abstractNumId"), level.get(f"{_W}ilvl")): _value(level, "numFmt") not in ("bullet", "none")
        for abstract in root.iter(f"{_W}abstractNum")
        for level in abstract.iter(f"{_W}lvl")
    }
    abstracts = {number.get(f"{_W}numId"): _value(number, "abstractNumId") for number in root.iter(f"{_W}num")}
    return {
        (list_id, level): numbered
        for list_id, abstract in abstracts.items()
        for (owner, level), numbered in kinds.items()
        if owner == abstract
    }


def _children(parent: Any, *names: str) -> Iterator[Any]:  # noqa: ANN401
    """Yield the children of these names, also out of content controls and tracked changes."""
    wanted = [f"{_W}{name}" for name in names]
    for child in parent:
        if child.tag in wanted:
            yield child
        elif child.tag in _WRAPPERS:
            yield from _children(child, *names)


def _read_text(paragraph: Any) -> str:  # noqa: ANN401
    pieces = [
        (element.text or "") if element.tag in _TEXTS else _MARKS[element.tag]
        for element in paragraph.iter(*_TEXTS, *_MARKS)
        if element is not paragraph and element.getparent().tag != f"{_W}tabs"
    ]
    return "".join(pieces)


def _read_rows(table: Any) -> list[list[str]]:  # noqa: ANN401
    """Return the cells of a table; a merged cell says the same in each of its rows, and once across columns."""
    rows: list[list[str]] = []
    for line in _children(table, "tr"):
        row: list[str] = []
        for cell in _children(line, "tc"):
            text = " ".join(_read_text(paragraph) for paragraph in cell.iter(f"{_W}p"))
            merged = cell.find(f"{_W}tcPr/{_W}vMerge")
            if merged is not None and merged.get(f"{_W}val") != "restart" and rows and len(row) < len(rows[-1]):
                text = rows[-1][len(row)]
            span = _value(cell, "tcPr/gridSpan")
            row += [text, *[""] * (min(int(span), 100) - 1 if span.isdigit() else 0)]
        rows.append(row)
    return rows


class _Writer:
    """Collects the blocks of a document."""

    def __init__(self, styles: dict[str, _Style], numbering: dict[tuple[str, str], bool]) -> None:
        self.styles = styles
        self.numbering = numbering
        self.counts: Counter[tuple[str, int]] = Counter()
        self.blocks: list[str] = []
        self.code: list[str] = []
        self.after_item = False

    def write(self, parent: Any) -> None:  # noqa: ANN401
        for child in _children(parent, "p", "tbl"):
            if child.tag == f"{_W}p":
                self._write_paragraph(child)
            else:
                self._write_table(child)
        self._end_code()

    def _write_table(self, table: Any) -> None:  # noqa: ANN401
        rows = _read_rows(table)
        if max(map(len, rows), default=0) > 1:
            self._add(render_table(rows))
            return
        for line in _children(table, "tr"):  # a frame around other things
            for cell in _children(line, "tc"):
                self.write(cell)

    def _write_paragraph(self, paragraph: Any) -> None:  # noqa: ANN401
        text = _read_text(paragraph)
        style = self.styles.get(_value(paragraph, "pPr/pStyle"), _Style())
        heading = style.heading or _outline_level(_value(paragraph, "pPr/outlineLvl"))
        list_id = _value(paragraph, "pPr/numPr/numId") or style.list_id
        if style.code:
            self.code.append(text)
        elif not text.strip():
            return
        elif heading:
            self._add(f"{'#' * min(heading, _DEEPEST)} {' '.join(text.split())}")
        elif list_id and list_id != "0":
            level = _value(paragraph, "pPr/numPr/ilvl")
            self._add(
                self._mark_item(list_id, int(level) if level.isdigit() else 0) + " ".join(text.split()), item=True
            )
        else:
            self._add(shield_headings("\n".join(line.strip() for line in text.strip().split("\n"))))

    def _mark_item(self, list_id: str, level: int) -> str:
        indent = "  " * min(level, _DEEPEST_LIST)
        if not self.numbering.get((list_id, str(level)), False):
            return f"{indent}- "
        self.counts[list_id, level] += 1
        for deeper in [key for key in self.counts if key[0] == list_id and key[1] > level]:
            del self.counts[deeper]
        return f"{indent}{self.counts[list_id, level]}. "

    def _add(self, block: str, *, item: bool = False) -> None:
        self._end_code()
        if item and self.after_item:
            self.blocks[-1] += "\n" + block
        elif block:
            self.blocks.append(block)
        self.after_item = item

    def _end_code(self) -> None:
        if self.code and (fence := fence_code("\n".join(self.code))):
            self.blocks.append(fence)
            self.after_item = False
        self.code.clear()
