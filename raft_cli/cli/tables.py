"""Tables for the terminal, as wide as it is. Knows no figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

_GAP, _INDENT = 2, 2
_PIPED = 160  # columns where there is no terminal: a file has room for a row on one line
_INTERVAL = " ["


def _open_console() -> "Console":
    """Return the console that tables go to: without colours or its width where stdout is no terminal."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PIPED
    return console


def show_table(
    title: str, sides: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, spare: bool = False
) -> None:
    """Print a title and a table below it; a row takes a second line, for intervals, only where one is too narrow.

    Args:
        sides: For each column whether it is set left (`l`) or right (`r`).
        spare: Whether the last column goes first where there is no room.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = _open_console()
    typer.echo(typer.style(title, bold=True))
    if spare and console.width < _measure(headers, rows):
        sides, headers, rows = sides[:-1], headers[:-1], [row[:-1] for row in rows]
    if console.width < _measure(headers, rows):
        rows = [[cell.replace(_INTERVAL, "\n[", 1) for cell in row] for row in rows]
    indent = _INDENT if console.width >= _measure(headers, rows) + _INDENT else 0
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for header, side in zip(headers, sides, strict=True):
        table.add_column(Text(header), justify="left" if side == "l" else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as drawn:
        console.print(Padding(table, (0, 0, 0, indent), expand=False))
    typer.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def _measure(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how many columns a terminal needs to break no cell."""
    from rich.cells import cell_len

    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n"))
        for column in zip(headers, *rows, strict=True)
    ]
    return sum(widths) + _GAP * (len(widths) - 1)
