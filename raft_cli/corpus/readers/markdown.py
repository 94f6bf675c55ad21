"""Markdown: kept as it is, but for the front matter."""

import re

from raft_cli.corpus.readers.result import Reading, clean_text, find_heading, make_document
from raft_cli.corpus.readers.text import decode_text

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_FIELD = re.compile(r"[A-Za-z_][\w-]*[ \t]*:|[ \t]*(?:-[ \t]|#|$)|[ \t]+\S")
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_SETEXT = re.compile(r"^ {0,3}(\S[^\n]*)\n {0,3}(?:=+|-+)[ \t]*$", re.MULTILINE)
_HEAD = 2000


def _split_front_matter(text: str) -> tuple[str, str]:
    """Return front matter and body; a text that merely opens with a rule has none."""
    found = _FRONT_MATTER.match(text)
    if found and all(_FIELD.match(line) for line in found[1].split("\n")):
        return found[1], text[found.end() :]
    return "", text


def _find_title(front_matter: str, body: str) -> str:
    if named := _TITLE.search(front_matter):
        return named[1].strip("\"'")
    underlined = _SETEXT.match(body[:_HEAD].lstrip())
    return underlined[1] if underlined else find_heading(body)


def read_markdown(data: bytes, source: str) -> Reading:
    """Read Markdown; the title is that of the front matter, else the first heading."""
    front_matter, body = _split_front_matter(clean_text(decode_text(data)))
    body = clean_text(body)
    return [make_document(source, body, title=_find_title(front_matter, body))], []
