"""What `raft ask` prints: an answer as it is written, the passages behind it, the verdict on each quotation."""

import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator

import orjson
import typer

from raft_cli.data import Chunk
from raft_cli.errors import ChatError
from raft_cli.evaluate.ask import ALTERED, NEAR, NOWHERE, SHORT, VERBATIM, Exchange, Quoted
from raft_cli.language import CJK

_UNSAFE = re.compile(  # what moves a terminal's cursor, colours, or changes the order of characters
    r"\x1b\[[\d;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_PIECES = re.compile(rf"\s+|[{CJK}\u3000-\u303f\uff00-\uffef]|[^\s{CJK}\u3000-\u303f\uff00-\uffef]+")
_WORDS = {
    VERBATIM: ("verbatim in", typer.colors.GREEN),
    NEAR: ("nearly as in", typer.colors.YELLOW),
    ALTERED: ("ALTERED from", typer.colors.RED),
    NOWHERE: ("NOT IN ANY DOCUMENT", typer.colors.RED),
    SHORT: ("too short to tell", typer.colors.YELLOW),
}
_UNDEFINED = "–"
_PREVIEW = 72  # columns


class View:
    """Shows an answer while it is written, and what is behind it when it is there."""

    def __init__(self, *, as_json: bool, show_prompt: bool, single: bool) -> None:
        self._as_json = as_json
        self._show_prompt = show_prompt
        self._single = single
        self._said = ""

    def begin(self, prompt: str) -> None:
        """Show the prompt, if it is wanted."""
        self._said = ""
        if self._show_prompt and not self._as_json:
            _show_title("Prompt")
            typer.echo(clean(prompt).rstrip() + "\n")
            _show_title("Answer")

    def say(self, piece: str) -> None:
        """Show the next piece of the answer."""
        self._said += piece
        if not self._as_json:
            typer.echo(clean(piece), nl=False)

    def finish(self, exchange: Exchange) -> None:
        """Show what is behind an answer.

        Raises:
            ChatError: The answer broke off.
        """
        if self._as_json:
            layout = orjson.OPT_INDENT_2 if self._single else 0
            typer.echo(orjson.dumps(_build_record(exchange, prompt=self._show_prompt), option=layout).decode())
        else:
            typer.echo("" if self._said.endswith("\n") else "\n")
            _show_exchange(exchange)
        if exchange.said.fault:
            raise ChatError(f"the answer broke off: {exchange.said.fault}")


def warn(note: str) -> None:
    """Show what a person should be told before anything is asked, on stderr."""
    typer.echo(typer.style("note: ", fg=typer.colors.YELLOW) + clean(note), err=True)


def clean(text: str) -> str:
    """Return a text without what would move a terminal's cursor, or the order of its characters."""
    return _UNSAFE.sub("", text)


def _show_exchange(exchange: Exchange) -> None:
    _show_title("Documents")
    for number, chunk in enumerate(exchange.documents, 1):
        _show_block(f"{number:>3}  ", f"{_name(chunk)} ({_locate(chunk)})")
        _show_block("     ", _begin(chunk.text))
    if not exchange.documents:
        _show_block("  ", "none")
    _show_title("Quotations")
    for number, quote in enumerate(exchange.quotes, 1):
        _show_quote(number, quote, exchange.documents)
    if not exchange.quotes:
        _show_block("  ", "none")
    _show_title("Short answer")
    _show_block("  ", exchange.final if exchange.final is not None else f"{_UNDEFINED} (there is no answer line)")
    for note in exchange.notes:
        _show_block(typer.style("note: ", fg=typer.colors.YELLOW), note, hang=6)


def _show_quote(number: int, quote: Quoted, documents: tuple[Chunk, ...]) -> None:
    words, colour = _WORDS[quote.verdict]
    where = ""
    if quote.document is not None:
        chunk = documents[quote.document - 1]
        heading = " > ".join(chunk.heading)
        where = f"document {quote.document} ({', '.join(filter(None, (chunk.source, heading, _page(chunk))))})"
    where += f", also in {', '.join(map(str, quote.also))}" if quote.also else ""
    where = f"; stands in {where}" if quote.verdict == SHORT and where else f" {where}" if where else ""
    _show_block(f"{number:>3}  {typer.style(words, fg=colour)}", where, hang=5, lead=len(words) + 5)
    _show_block("     ", f"“{quote.text}”")
    if quote.verdict in (NEAR, ALTERED):
        _show_block("     ", f"the document: “{quote.source}”")


def _name(chunk: Chunk) -> str:
    return " > ".join([chunk.title or chunk.source, *(each for each in chunk.heading if each != chunk.title)])


def _begin(text: str) -> str:
    """Return how a passage begins, in a line: passages of one section have the same name."""
    room, line = _PREVIEW, ""
    for char in clean(" ".join(text.split())):
        room -= _measure(char)
        if room < 0:
            return f"{line.rstrip()}…"
        line += char
    return line


def _locate(chunk: Chunk) -> str:
    return ", ".join(filter(None, (chunk.source, _page(chunk))))


def _page(chunk: Chunk) -> str:
    return "" if chunk.page is None else f"page {chunk.page}"


def _show_title(title: str) -> None:
    typer.echo(typer.style(title, bold=True))


def _show_block(label: str, text: str, *, hang: int | None = None, lead: int | None = None) -> None:
    """Print a label and a text behind it, wrapped to the terminal.

    Args:
        hang: Columns before all lines but the first; as wide as the label unless given.
        lead: Columns of the label, where they are not those of `hang`.
    """
    hang = len(label) if hang is None else hang
    lines = _wrap(clean(text), hang if lead is None else lead, hang)
    typer.echo(label + f"\n{' ' * hang}".join(lines))


def _wrap(text: str, first: int, hang: int) -> Iterator[str]:
    """Yield the lines of a text; wide characters count two columns, and lines may end behind each of them."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    line, used = "", first
    for piece in _PIECES.findall(text):
        part = " " if piece.isspace() else piece
        size = _measure(part)
        if width and line.strip() and used + size > width:
            yield line.rstrip()
            line, used = "", hang
        if line or part != " " or used != hang:
            line, used = line + part, used + size
    yield line.rstrip()


def _measure(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _build_record(exchange: Exchange, *, prompt: bool) -> dict[str, object]:
    """Return an exchange for scripts; documents have the numbers that quotations name."""
    said = exchange.said
    return {
        "question": exchange.question,
        **({"prompt": exchange.prompt} if prompt else {}),
        "documents": [
            {
                "number": number,
                "chunk_id": chunk.id,
                "title": chunk.title,
                "heading": list(chunk.heading),
                "source": chunk.source,
                "page": chunk.page,
                "text": chunk.text,
            }
            for number, chunk in enumerate(exchange.documents, 1)
        ],
        "answer": said.text,
        "final": exchange.final,
        "quotes": list(exchange.quotes),
        "finish": said.finish,
        "error": said.fault,
        "notes": list(exchange.notes),
    }
