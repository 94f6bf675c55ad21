"""PDF: the text layer of each page, without what runs along its edges. Layout is `paragraphs`' matter."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from raft_cli.corpus.readers.paragraphs import join_pages
from raft_cli.corpus.readers.result import Reading, Unreadable, clean_text, make_document

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

_WRONG_PASSWORD = 4
_LEAST_CHARACTERS = 20
_EDGE_LINES = 2
_LEAST_REPEATS = 3
_REPEAT_SHARE = 0.4
_TELLING_LENGTH = 8
_PAGE_NUMBER = re.compile(r"\d+|^[ivxlc]{1,7}$", re.IGNORECASE)
_HYPHENATED = re.compile("(\\w+)\x02(\\w+)(\\S*)[ \t]?")
_WORD = re.compile(r"\w+(?:-\w+)*")
_NO_TITLE = re.compile(r"microsoft|untitled|无标题|.*\.(?:docx?|pptx?|xlsx?|dvi|indd|tex|pdf)$", re.IGNORECASE)


def read_pdf(data: bytes, source: str) -> Reading:
    """Read the text layer; pages that are pictures or damaged are named."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        pdf = PdfDocument(data)
    except PdfiumError as error:
        if error.err_code == _WRONG_PASSWORD:
            raise Unreadable("encrypted", "protected by a password; save it without one") from error
        raise Unreadable("damaged", f"not a complete PDF: {error}") from error
    with contextlib.closing(pdf):
        pages, pictures, broken = _read_pages(pdf)
        problems = _judge_pages(pages, pictures, broken)
        bookmarks = list(_read_bookmarks(pdf))
        title = str(pdf.get_metadata_dict().get("Title", "")).strip()
    lines = [page.split("\n") for page in _join_hyphens(pages)]
    text, starts, has_headings = join_pages(_drop_running_lines(lines), bookmarks)
    title = "" if _NO_TITLE.match(title) else title
    return [make_document(source, text, title=title, page_starts=starts, plain=not has_headings)], problems


def _read_pages(pdf: "PdfDocument") -> tuple[list[str], list[int], list[int]]:
    """Return the text of each page, the numbers of those that are pictures, and of those that do not open."""
    from pypdfium2 import PdfiumError

    pages: list[str] = []
    pictures: list[int] = []
    broken: list[int] = []
    for number in range(1, len(pdf) + 1):
        text = ""
        try:
            with contextlib.closing(pdf[number - 1]) as page, contextlib.closing(page.get_textpage()) as textpage:
                text = textpage.get_text_bounded()
                if _is_sparse(text) and _has_picture(page):
                    pictures.append(number)
        except PdfiumError:
            broken.append(number)
        pages.append(text)
    return pages, pictures, broken


def _is_sparse(text: str) -> bool:
    return len("".join(text.split())) < _LEAST_CHARACTERS


def _has_picture(page: "PdfPage") -> bool:
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    return any(True for _ in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _judge_pages(pages: list[str], pictures: list[int], broken: list[int]) -> list[Unreadable]:
    """Return what to say of single pages; raise Unreadable when most of them have no text."""
    if len(broken) == len(pages):
        raise Unreadable("damaged", "none of its pages can be opened")
    sparse = sum(map(_is_sparse, pages)) - len(broken)
    if sparse * 2 > len(pages):
        raise Unreadable("scanned", f"{sparse} of {len(pages)} pages have no text layer; run OCR on it first")
    problems = []
    if pictures:
        problems.append(Unreadable("scanned", f"no text layer on {_list_numbers(pictures)}; run OCR on it first"))
    if broken:
        problems.append(Unreadable("damaged", f"cannot open {_list_numbers(broken)}"))
    return problems


def _list_numbers(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"pages {shown}" + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")


def _read_bookmarks(pdf: "PdfDocument") -> Iterator[tuple[int, int, str]]:
    """Yield page (from 0), level (from 0) and title of each bookmark that leads to a page."""
    for bookmark in pdf.get_toc():
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            yield page, bookmark.level, clean_text(bookmark.get_title())


def _join_hyphens(pages: list[str]) -> list[str]:
    """Join words divided at a line's end, with their hyphen only where the document writes it elsewhere too.

    The text layer has no line end after them; it is put back, for a line's length tells whether it was wrapped.
    """
    written = set(_WORD.findall("\n".join(pages)))

    def join(divided: re.Match[str]) -> str:
        plain, hyphenated = divided[1] + divided[2], f"{divided[1]}-{divided[2]}"
        word = hyphenated if hyphenated in written and plain not in written else plain
        return f"{word}{divided[3]}\n"

    return [clean_text(_HYPHENATED.sub(join, page).replace("\x02", "-\n")) for page in pages]


def _drop_running_lines(pages: list[list[str]]) -> list[list[str]]:
    """Return the pages without lines that recur, but for numbers, at the same edges of other pages."""
    edges = [_find_edges(lines) for lines in pages]
    count = Counter(key for keys in edges for key in set(keys.values()))
    running = {key for key, repeats in count.items() if _is_running(key, repeats, len(pages))}
    return [
        [line for i, line in enumerate(lines) if keys.get(i) not in running]
        for lines, keys in zip(pages, edges, strict=True)
    ]


def _find_edges(lines: list[str]) -> dict[int, str]:
    """Return what the first and last lines of a page say, numbers apart, by their index."""
    filled = [i for i, line in enumerate(lines) if line.strip()]
    return {
        i: _PAGE_NUMBER.sub("#", "".join(lines[i].split())) for i in {*filled[:_EDGE_LINES], *filled[-_EDGE_LINES:]}
    }


def _is_running(key: str, repeats: int, pages: int) -> bool:
    if repeats < _LEAST_REPEATS:
        return False
    return repeats >= _REPEAT_SHARE * pages or len(key) >= _TELLING_LENGTH or not key.strip("#-–—·/|.")
