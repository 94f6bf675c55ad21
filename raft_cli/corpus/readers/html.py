"""HTML to Markdown headings, lists, tables and code fences, without the page's furniture."""

import re
from typing import TYPE_CHECKING

from raft_cli.corpus.readers.result import (
    Reading,
    clean_text,
    collapse_space,
    fence_code,
    find_heading,
    make_document,
    shield_headings,
)
from raft_cli.corpus.readers.table import render_table
from raft_cli.corpus.readers.text import decode_text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_FURNITURE = (
    "head, script, style, nav, footer, aside, noscript, template, svg, iframe, object, button, select, input, "
    "textarea, [role=navigation], [role=contentinfo], [role=search], .headerlink, .sphinxsidebar, .linenos, .linenodiv"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption figure form header hgroup "
    "hr main p section summary table tbody td tfoot th thead tr".split()
)
_LAYOUT = ", ".join(f"table {tag}" for tag in ("table", "pre", *_HEADINGS))
_LANGUAGE = re.compile(r"(?:language|lang|highlight-source)-([\w+#-]+)")
_EMPTY_ELEMENT = re.compile(
    r"<((?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)[A-Za-z][\w:.-]*)([^<>]*)/>"
)
_SAMPLE = 4096
_LEAST_MAIN = 200
_DEEPEST_LIST = 8
_WIDEST_SPAN = 100


class _Walker:
    """Collects the blocks below a node in one pass without recursion: pages nest without limit.

    `layout` holds the tables that merely place other blocks.
    """

    def __init__(self, layout: frozenset[int]) -> None:
        self.layout = layout
        self.blocks: list[str] = []
        self.line: list[str] = []
        self.lists: list[int | None] = []
        self.marker = ""
        self.in_heading = False
        self.after_item = False

    def walk(self, root: "LexborNode") -> list[str]:
        path: list[LexborNode] = []
        node = root.first_child
        while node is not None or path:
            if node is None:
                node = path.pop()
                self._leave(node.tag)
                node = node.next
            elif not self._enter(node):
                node = node.next
            elif (below := node.first_child) is None:
                self._leave(node.tag)
                node = node.next
            else:
                path.append(node)
                node = below
        self._flush()
        return self.blocks

    def _enter(self, node: "LexborNode") -> bool:
        """Take in what stands before the children of a node; tell whether to go down to them."""
        tag = node.tag
        if tag == "-text":
            self.line.append(node.text_content or "")
        elif tag == "br":
            self.line.append("\v")
        elif tag == "code" or tag == "tt":
            self._take_code(node)
        elif tag == "pre":
            self._flush()
            self._add(_fence(node))
        elif tag == "table" and node.mem_id not in self.layout and (rows := _read_rows(node)):
            self._flush()
            self._add(render_table(rows))
        else:
            self._open_block(tag or "", node)
            return True
        return False

    def _open_block(self, tag: str, node: "LexborNode") -> None:
        if tag in _BLOCKS:
            self._flush()
        elif tag in _HEADINGS:
            self._flush()
            self.in_heading = True
        elif tag == "ul" or tag == "ol":
            self._flush()
            self.after_item = self.after_item and bool(self.lists)
            self.lists.append(_start_of(node) if tag == "ol" else None)
        elif tag == "li":
            self._flush()
            self.marker = self._next_marker()

    def _next_marker(self) -> str:
        indent = "  " * min(len(self.lists) - 1, _DEEPEST_LIST)
        number = self.lists[-1] if self.lists else None
        if number is None:
            return f"{indent}- "
        self.lists[-1] = number + 1
        return f"{indent}{number}. "

    def _take_code(self, node: "LexborNode") -> None:
        text = collapse_space(node.text())
        self.line.append(f"`{text}`" if text and "`" not in text else text)

    def _leave(self, tag: str | None) -> None:
        if tag in _HEADINGS:
            text = collapse_space("".join(self.line).replace("\v", " "))
            self.line.clear()
            self.in_heading = False
            self._add(f"{'#' * _HEADINGS[tag]} {text}" if text else "")
        elif tag in _BLOCKS:
            self._flush()
        elif tag == "li":
            self._flush()
            self.marker = ""
        elif tag == "ul" or tag == "ol":
            self._flush()
            if self.lists:
                self.lists.pop()

    def _flush(self) -> None:
        """End the current paragraph or list item."""
        if self.in_heading:
            self.line.append(" ")
            return
        lines = [collapse_space(line) for line in "".join(self.line).split("\v")]
        self.line.clear()
        text = "\n".join(line for line in lines if line)
        if text and self.marker:
            marker, self.marker = self.marker, ""
            self._add(marker + text, item=True)
        else:
            self._add(shield_headings(text))

    def _add(self, block: str, *, item: bool = False) -> None:
        if not block:
            return
        if item and self.after_item:
            self.blocks[-1] += "\n" + block
        else:
            self.blocks.append(block)
        self.after_item = item


def _start_of(node: "LexborNode") -> int:
    start = node.attributes.get("start") or ""
    return int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1


def _fence(node: "LexborNode") -> str:
    code = node.css_first("code")
    named = _LANGUAGE.search(f"{node.attributes.get('class')} {code.attributes.get('class') if code else ''}")
    return fence_code(node.text(), named[1] if named else "")


def _span_of(cell: "LexborNode", name: str) -> int:
    value = cell.attributes.get(name) or ""
    return min(max(int(value), 1), _WIDEST_SPAN) if value.isascii() and value.isdigit() and len(value) < 9 else 1


def _read_rows(table: "LexborNode") -> list[list[str]]:
    """Return the cells of a data table, those that span rows repeated; nothing for a table of one column."""
    rows: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for line in table.css("tr"):
        row: list[str] = []
        for cell in line.iter():
            if cell.tag in ("td", "th"):
                _fill(row, hanging)
                text = " ".join(" ".join(_Walker(frozenset()).walk(cell)).split())
                across = [text, *[""] * (_span_of(cell, "colspan") - 1)]
                if (down := _span_of(cell, "rowspan")) > 1:
                    hanging |= {column: (down - 1, value) for column, value in enumerate(across, len(row))}
                row += across
        _fill(row, hanging)
        rows.append(row)
    return rows if max(map(len, rows), default=0) > 1 else []


def _fill(row: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Append the cells that hang down into `row` from earlier rows."""
    while (column := len(row)) in hanging:
        left, text = hanging.pop(column)
        row.append(text)
        if left > 1:
            hanging[column] = (left - 1, text)


def _find_layout_tables(tree: "LexborHTMLParser") -> frozenset[int]:
    """Return the tables that hold another table, a heading or a code block: they place things, they hold no data."""
    found = set()
    for node in tree.css(_LAYOUT):
        above = node.parent
        while above is not None and above.tag != "table":
            above = above.parent
        if above is not None:
            found.add(above.mem_id)
    return frozenset(found)


def open_empty_elements(xml: str) -> str:
    """Give elements such as `<title/>` an end of their own: to an HTML parser they would swallow what follows."""
    return _EMPTY_ELEMENT.sub(r"<\1\2></\1>", xml)


def convert_html(html: str) -> tuple[str, str]:
    """Return a page as Markdown, and its title: the first heading, else what the page calls itself."""
    from selectolax.lexbor import LexborHTMLParser

    html = clean_text(html)
    tree = LexborHTMLParser(open_empty_elements(html) if "xmlns=" in html[:_SAMPLE] else html)
    named = tree.css_first("head > title")
    title = named.text() if named else ""
    for node in tree.css(_FURNITURE):
        node.decompose()
    for node in tree.css("pre br"):
        node.replace_with("\n")
    main = tree.css_first("main, [role=main]")
    root = main if main and len(main.text()) > _LEAST_MAIN else tree.body
    text = clean_text("\n\n".join(_Walker(_find_layout_tables(tree)).walk(root))) if root else ""
    return text, find_heading(text) or title


def read_html(data: bytes, source: str) -> Reading:
    """Read a page in the encoding of its mark or its declaration."""
    declared = _CHARSET.search(data[:_SAMPLE])
    text, title = convert_html(decode_text(data, declared[1].decode("ascii") if declared else ""))
    return [make_document(source, text, title=title)], []
