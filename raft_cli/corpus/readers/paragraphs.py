"""Lines as they stand on a page to paragraphs and headings. Knows nothing of PDF."""

import re
import unicodedata
from collections.abc import Sequence

from raft_cli.corpus.readers.result import UNSPACED, shield_headings

_BULLET = re.compile(r"^[•●○◦▪■‣⁃∙·–][ \t]*(?=\S)")
_ITEM = re.compile(r"^(?:- |\* |\(?(?:\d{1,3}|[a-zA-Z])[.)、][ \t]|[（(]?[一二三四五六七八九十]{1,3}[、）)])")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][”’」』）)\"']*$")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_NUMBERING = re.compile(r"^(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)*)[.:)]?\s+")
_WIDE = frozenset("WF")
_FULL_PERCENTILE = 0.95
_WRAPPED_SHARE = 0.8
_LAST_SHARE = 0.92
_DEEPEST = 6
_HEADING_LINES = 3

Bookmark = tuple[int, int, str]
_Line = tuple[int, str]


def join_pages(pages: Sequence[Sequence[str]], bookmarks: Sequence[Bookmark]) -> tuple[str, tuple[int, ...], bool]:
    """Return the text, the offset at which each page starts, and whether it has headings.

    Lines that were wrapped are joined, across pages too. A line that says what a bookmark (page, level, title) of its
    page says becomes a heading.
    """
    titles: dict[int, dict[str, int]] = {}
    for page, level, title in bookmarks:
        titles.setdefault(page, {})[_key(title)] = min(level + 1, _DEEPEST)
    marked = [_mark_headings(lines, titles.get(page, {})) for page, lines in enumerate(pages)]
    has_headings = any(level for lines in marked for level, _ in lines)
    full = _measure_full_line([line for lines in marked for level, line in lines if not level])
    writer = _Writer(full, has_headings)
    starts = [writer.write_page(lines) for lines in marked]
    return "".join(writer.pieces), tuple(starts), has_headings


class _Writer:
    """Puts lines together, and knows the offset it has come to."""

    def __init__(self, full: float, has_headings: bool) -> None:
        self.full = full
        self.has_headings = has_headings
        self.pieces: list[str] = []
        self.length = 0
        self.before: _Line | None = None
        self.in_item = False

    def write_page(self, lines: Sequence[_Line]) -> int:
        """Write the lines of a page; return the offset of the first."""
        start = self.length
        for index, (level, line) in enumerate(lines):
            gap = self._choose_gap(level, line)
            if gap not in ("", " "):
                self.in_item = bool(_ITEM.match(line))
            self._append(gap)
            start = self.length if index == 0 else start
            if self.has_headings and not level and gap not in ("", " "):
                line = shield_headings(line)
            self._append(f"{'#' * level} {line}" if level else line)
            self.before = level, line
        return start

    def _append(self, piece: str) -> None:
        self.pieces.append(piece)
        self.length += len(piece)

    def _choose_gap(self, level: int, line: str) -> str:
        """Return what parts `line` from the one before: nothing or a space inside a paragraph, else a line's end."""
        if self.before is None:
            return ""
        level_before, before = self.before
        if level or level_before:
            return "\n\n"
        width, ended, item = _measure(before), bool(_SENTENCE_END.search(before)), bool(_ITEM.match(line))
        if item or width < _WRAPPED_SHARE * self.full or (ended and width < _LAST_SHARE * self.full):
            return "\n\n" if ended and not (item and self.in_item) else "\n"
        return "" if _UNSPACED.match(before[-1]) and _UNSPACED.match(line[0]) else " "


def _measure(line: str) -> int:
    """Return the width of a line in columns, of which an ideograph takes two."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(character) in _WIDE else 1 for character in line)


def _measure_full_line(lines: Sequence[str]) -> float:
    widths = sorted(map(_measure, lines))
    return float(widths[int(_FULL_PERCENTILE * (len(widths) - 1))]) if widths else 0.0


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, _NUMBERING.sub("", text.strip()).casefold()))


def _mark_headings(lines: Sequence[str], titles: dict[str, int]) -> list[_Line]:
    """Return the filled lines of a page, each with its level where it says one of `titles`, else with 0."""
    filled = [_BULLET.sub("- ", " ".join(line.split())) for line in lines if line.strip()]
    marked: list[_Line] = []
    index = 0
    while index < len(filled):
        level, taken = _match_title(filled[index : index + _HEADING_LINES], titles)
        marked.append((level, " ".join(filled[index : index + taken])))
        index += taken
    return marked


def _match_title(lines: Sequence[str], titles: dict[str, int]) -> tuple[int, int]:
    """Return the level of the title that the first of `lines` make up, and how many of them it takes."""
    for taken in range(1, len(lines) + 1) if titles else ():
        key = _key(" ".join(lines[:taken]))
        if key and key in titles:
            return titles[key], taken
    return 0, 1
