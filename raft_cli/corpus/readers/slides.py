"""PPTX to Markdown: a section and a page for each slide."""

import io
from collections.abc import Iterator
from typing import Any

from raft_cli.corpus.readers.archive import open_archive
from raft_cli.corpus.readers.result import Reading, clean_text, make_document, shield_headings
from raft_cli.corpus.readers.table import render_table

_TEMPLATE_TITLE = "PowerPoint Presentation"


def read_pptx(data: bytes, source: str) -> Reading:
    """Read titles, text, tables and speaker notes of every slide, in order."""
    import pptx

    open_archive(data).close()
    presentation = pptx.Presentation(io.BytesIO(data))
    text = ""
    starts = []
    for slide in presentation.slides:
        page = clean_text("\n\n".join(block for block in _write_slide(slide) if block))
        text += "\n\n" if text and page else ""
        starts.append(len(text))
        text += page
    named = str(presentation.core_properties.title or "").strip()
    title = named if named != _TEMPLATE_TITLE else ""
    return [make_document(source, text, title=title, page_starts=tuple(starts))], []


def _write_slide(slide: Any) -> Iterator[str]:  # noqa: ANN401 - python-pptx has no types
    """Yield the blocks of a slide: its title first, its notes last."""
    title = slide.shapes.title
    heading = " ".join(title.text_frame.text.split()) if title is not None else ""
    yield f"## {heading}" if heading else ""
    for shape in _list_shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if getattr(shape, "has_table", False):
            yield render_table([[cell.text for cell in row.cells] for row in shape.table.rows])
        elif shape.has_text_frame:
            yield _write_paragraphs(shape.text_frame.paragraphs)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield shield_headings(slide.notes_slide.notes_text_frame.text.strip())


def _list_shapes(shapes: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the shapes of a slide, also those inside groups, without recursion."""
    waiting = list(shapes)[::-1]
    while waiting:
        shape = waiting.pop()
        inner = getattr(shape, "shapes", None)
        if inner is None:
            yield shape
        else:
            waiting += list(inner)[::-1]


def _write_paragraphs(paragraphs: Any) -> str:  # noqa: ANN401
    """Write the paragraphs of a text frame: a list where there are several, as slides show them."""
    filled = [(paragraph.level, " ".join(paragraph.text.split())) for paragraph in paragraphs]
    filled = [(level, text) for level, text in filled if text]
    if len(filled) == 1:
        return shield_headings(filled[0][1])
    return "\n".join(f"{'  ' * level}- {text}" for level, text in filled)
