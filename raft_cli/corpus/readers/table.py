"""Rows of cells as a Markdown table. Knows no file format."""

from collections.abc import Sequence


def _write_row(cells: Sequence[str], width: int) -> str:
    padded = [*cells, *[""] * (width - len(cells))]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in padded) + " |"


def render_table(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table headed by the first row; each row stays on one line, blank ones are dropped."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    width = max(max(i for i, cell in enumerate(row, 1) if cell.strip()) for row in filled)
    head, *body = (_write_row(row[:width], width) for row in filled)
    return "\n".join([head, "|" + " --- |" * width, *body])
