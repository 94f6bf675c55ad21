"""What every reader hands back, and how text is cleaned on the way. Knows no file format."""

import re
from pathlib import PurePosixPath

from raft_cli.data import Document, Span, make_id
from raft_cli.language import HAN, KANA

# Scripts written without spaces, with their punctuation and full-width forms; Korean has spaces.
UNSPACED = HAN + KANA + "\u3000-\u303f\uff00-\uffef\u2e80-\u2fff"

_OTHER_BREAKS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CJK_BREAK = re.compile(f"(?<=[{UNSPACED}])[ \t]*\n\\s*(?=[{UNSPACED}])")
_HEADING_LIKE = re.compile("^(?=#{1,6}[ \t])", re.MULTILINE)
_HEADING = re.compile(r"#{1,6}[ \t]+(.*?)[ \t]*#*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BACKTICKS = re.compile("`+")
_TITLE_LENGTH = 200


class Unreadable(Exception):
    """A file, or a record inside it, that gives no document.

    Attributes:
        reason: empty, encrypted, scanned, oversized, unsupported, damaged, archive-bomb, no-text or bad-record;
            timeout, memory or crashed when the process that read it was ended.
        detail: What a person needs to understand this one case.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


Reading = tuple[list[Document], list[Unreadable]]


def clean_text(text: str) -> str:
    """Return `text` with newlines as line ends, without control characters, lone surrogates and outer blank lines."""
    text = _OTHER_BREAKS.sub("\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    return text.strip("\n").rstrip()


def collapse_space(text: str) -> str:
    """Return `text` as one line; a break between two Chinese or Japanese characters leaves no space."""
    return " ".join(_CJK_BREAK.sub("", text).split())


def shield_headings(text: str) -> str:
    """Indent the lines of `text` that only look like Markdown headings, such as a shell comment."""
    return _HEADING_LIKE.sub("    ", text)


def fence_code(code: str, language: str = "") -> str:
    """Write `code` as a Markdown code fence that nothing inside it can end."""
    code = code.strip("\n").rstrip()
    longest = max((len(run) for run in _BACKTICKS.findall(code)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{code}\n{mark}" if code else ""


def find_heading(text: str) -> str:
    """Return the first Markdown heading outside code fences, or nothing."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and (heading := _HEADING.match(line)) and heading[1]:
            return heading[1]
    return ""


def make_document(
    source: str,
    text: str,
    *,
    title: str = "",
    page_starts: tuple[int, ...] = (),
    cuts: tuple[Span, ...] = (),
    plain: bool = False,
) -> Document:
    """Make a document of cleaned `text`; without `title` its first heading, else the name of the file, is the title.

    Raises:
        Unreadable: There is no text.
    """
    if not text.strip():
        raise Unreadable("no-text", "nothing left to read after conversion")
    title = title or ("" if plain else find_heading(text)) or PurePosixPath(source).stem
    return Document(
        id=make_id("document", source, text),
        source=source,
        title=collapse_space(clean_text(title))[:_TITLE_LENGTH],
        text=text,
        page_starts=page_starts,
        cuts=cuts,
        plain=plain,
    )
