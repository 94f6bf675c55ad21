"""reStructuredText: underlined headings and literal blocks as Markdown, navigation left out, the rest as it is."""

import re
from collections.abc import Iterator

from raft_cli.corpus.readers.result import Reading, clean_text, fence_code, find_heading, make_document
from raft_cli.corpus.readers.text import decode_text

_ADORNMENT = re.compile(r"([!-/:-@[-`{-~])\1+[ \t]*$")
_TARGET = re.compile(r"\.\. (?:_[^:]*:|index::|\|[^|]+\| image::)")
_NAVIGATION = re.compile(r"\.\. (?:toctree|contents|index|highlight|currentmodule|include|raw|image|only)::")
_CODE = re.compile(r"\s*\.\. (?:code-block|code|sourcecode|parsed-literal|literalinclude|prompt)::[ \t]*([\w+-]*)")
_OPTION = re.compile(r"\s*:[\w-]+:")
_INLINE = re.compile(r"``(.+?)``")
_DEEPEST = 6


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end_of_block(lines: list[str], start: int, indent: int) -> int:
    """Return where the block that is indented deeper than `indent` ends."""
    end = start
    while end < len(lines) and (not lines[end].strip() or _indent_of(lines[end]) > indent):
        end += 1
    return end


def _dedent(block: list[str]) -> str:
    depth = min((_indent_of(line) for line in block if line.strip()), default=0)
    return "\n".join(line[depth:] for line in block)


def _is_underline(lines: list[str], index: int) -> bool:
    """Tell whether the line at `index` underlines the one before it."""
    if not 0 < index < len(lines) or not _ADORNMENT.match(lines[index]):
        return False
    above = lines[index - 1]
    return bool(above.strip()) and not _ADORNMENT.match(above) and len(lines[index].rstrip()) >= min(len(above), 3)


def _convert_lines(lines: list[str]) -> Iterator[str]:
    """Yield the lines in Markdown; a heading's level is the rank at which its adornment first appears."""
    styles: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        over = bool(_ADORNMENT.match(line)) and _is_underline(lines, index + 2) and line[0] == lines[index + 2][0]
        title = index + 1 if over else index
        if _is_underline(lines, title + 1):
            style = lines[title + 1][0] * (1 + over)
            styles += [] if style in styles else [style]
            yield f"{'#' * min(styles.index(style) + 1, _DEEPEST)} {lines[title].strip()}"
            index = title + 2
        elif _NAVIGATION.match(line) or _TARGET.match(line):
            index = _end_of_block(lines, index + 1, _indent_of(line))
        elif (code := _CODE.match(line)) or line.rstrip().endswith("::"):
            end = _end_of_block(lines, index + 1, _indent_of(line))
            yield from _convert_literal(line, lines[index + 1 : end], code[1] if code else None)
            index = end
        else:
            yield _INLINE.sub(r"`\1`", line)
            index += 1


def _convert_literal(line: str, block: list[str], language: str | None) -> Iterator[str]:
    """Yield a literal block as a code fence, after the sentence that announced it; another directive as it is."""
    if language is None and line.lstrip().startswith(".. "):
        yield from (line, *block)
        return
    if language is None and line.strip() != "::":
        yield _INLINE.sub(r"`\1`", line.rstrip()[:-1])
    while block and (_OPTION.match(block[0]) or not block[0].strip()):
        block = block[1:]
    yield from ("", fence_code(_dedent(block), language or ""), "")


def read_rst(data: bytes, source: str) -> Reading:
    """Read reStructuredText."""
    lines = clean_text(decode_text(data)).expandtabs(8).split("\n")
    text = clean_text(re.sub(r"\n{3,}", "\n\n", "\n".join(_convert_lines(lines))))
    return [make_document(source, text, title=find_heading(text))], []
