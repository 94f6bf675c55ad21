"""Cut a document into chunks within a token budget, at its own structure. Knows no file format and no corpus."""

import bisect
import functools
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raft_cli.corpus.tokens import TokenCounter
from raft_cli.data import Chunk, Document, Span, make_id
from raft_cli.language import detect_language

Cut = Callable[[str], list[tuple[int, str]]]

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-{3,})[ \t]*$")
_ONLY_HEADING = re.compile(r"(?:#{1,6}[ \t][^\n]*\s*)+")
_SLAB = 20_000  # characters: the splitter slows down with the length of what it is fed
_MODELS = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}  # vocabularies that the splitter carries itself


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    path: tuple[str, ...]


def split_document(document: Document, *, counter: TokenCounter, size: int, overlap: int = 0) -> list[Chunk]:
    """Cut a document into chunks of at most `size` tokens.

    Sections are kept whole where they fit, small ones are merged with their neighbours, large ones are cut between
    paragraphs, rows or sentences; `overlap` tokens are repeated only within such a section. Chunks that came already
    cut stay as they are, whatever their length.
    """
    sections = _find_sections(document.text, plain=document.plain)
    if document.cuts:
        pieces = [_Section(start, end, _path_at(sections, start)) for start, end in document.cuts]
    else:
        cut = _load_splitter(counter, size, overlap, document.plain)
        pieces = [
            piece
            for group in _merge_sections(document.text, sections, counter=counter, size=size)
            for piece in _cut_section(document.text, group, cut=cut, counter=counter, size=size)
        ]
    language = detect_language(document.text[:20_000])
    return [
        _build_chunk(document, position, piece, counter=counter, language=language)
        for position, piece in enumerate(pieces)
    ]


def _build_chunk(document: Document, position: int, piece: _Section, *, counter: TokenCounter, language: str) -> Chunk:
    text = document.text[piece.start : piece.end]
    own = detect_language(text)
    page = bisect.bisect_right(document.page_starts, piece.start) or None if document.page_starts else None
    return Chunk(
        id=make_id("chunk", document.id, piece.start, piece.end),
        document_id=document.id,
        position=position,
        text=text,
        start=piece.start,
        end=piece.end,
        heading=piece.path,
        page=page,
        tokens=counter.count(text),
        source=document.source,
        title=document.title,
        language=language if own == "other" else own,
    )


def _find_sections(text: str, *, plain: bool) -> list[_Section]:
    starts = [(0, ())] if plain else [(0, ()), *_find_headings(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    found = (_Section(start, end, path) for (start, path), end in zip(starts, ends, strict=True))
    return [section for section in found if text[section.start : section.end].strip()]


def _find_headings(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the offset and the heading path of each Markdown heading outside code fences."""
    path: list[tuple[int, str]] = []
    fence = ""
    offset = 0
    before = ("", 0)  # the line before, for headings that are underlined
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if mark := _FENCE.match(bare):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        found = None if fence else _read_heading(bare, before[0])
        if found:
            level, title, underlined = found
            path = [entry for entry in path if entry[0] < level] + [(level, title)]
            yield before[1] if underlined else offset, tuple(title for _, title in path)
        before = (bare if not (fence or mark or found) else "", offset)
        offset += len(line)


def _read_heading(line: str, before: str) -> tuple[int, str, bool] | None:
    if match := _HEADING.match(line):
        return (len(match[1]), match[2].strip(), False) if match[2].strip() else None
    underline = _UNDERLINE.match(line)
    if underline and before.strip() and not re.match(r"\s*([|>*+-]|\d+[.)])", before) and len(before) < 120:
        return 1 if underline[1][0] == "=" else 2, before.strip(), True
    return None


def _path_at(sections: list[_Section], offset: int) -> tuple[str, ...]:
    at = bisect.bisect_right([section.start for section in sections], offset) - 1
    return sections[at].path if at >= 0 else ()


def _merge_sections(text: str, sections: list[_Section], *, counter: TokenCounter, size: int) -> Iterator[_Section]:
    """Yield runs of sections within the budget: a run takes in its own subsections, and others until half full."""
    run: _Section | None = None
    level = tokens = 0
    for section in sections:
        length = counter.count(text[section.start : section.end])
        fits = run is not None and tokens + length <= size
        if run and fits and (len(section.path) > level or tokens < size // 2):
            run, tokens = _Section(run.start, section.end, _shared(run.path, section.path)), tokens + length
            continue
        if run:
            yield run
        run, level, tokens = section, len(section.path), length
    if run:
        yield run


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(title for title, _ in pairs)


def _cut_section(text: str, section: _Section, *, cut: Cut, counter: TokenCounter, size: int) -> Iterator[_Section]:
    start, end = _trim(text, section.start, section.end)
    if counter.count(text[start:end]) <= size:
        yield _Section(start, end, section.path)
        return
    for slab_start, slab_end in _slabs(text, start, end):
        for offset, piece in cut(text[slab_start:slab_end]):
            begin, stop = _trim(text, slab_start + offset, slab_start + offset + len(piece))
            heading = begin == start and section.path and _ONLY_HEADING.fullmatch(text, begin, stop)
            if begin < stop and not heading:  # the words of a heading alone travel as the heading path
                yield _Section(begin, stop, section.path)


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _slabs(text: str, start: int, end: int) -> Iterator[Span]:
    while end - start > _SLAB:
        border = max(text.rfind("\n\n", start, start + _SLAB), text.rfind("\n", start + _SLAB // 2, start + _SLAB))
        stop = border + 1 if border > start else start + _SLAB
        yield start, stop
        start = stop
    if text[start:end].strip():
        yield start, end


@functools.cache
def _load_splitter(counter: TokenCounter, size: int, overlap: int, plain: bool) -> Cut:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = TextSplitter if plain else MarkdownSplitter
    if counter.json:
        splitter = kind.from_huggingface_tokenizer_str(counter.json, size, overlap=overlap)
    elif counter.name in _MODELS:
        splitter = kind.from_tiktoken_model(_MODELS[counter.name], size, overlap=overlap)
    else:
        splitter = kind.from_callback(counter.count, size, overlap=overlap)
    return splitter.chunk_indices
