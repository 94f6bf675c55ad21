"""Show an answer as it was given: its quotations where they stand in it, and what was not read. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.cot import BEGIN, END, unescape
from raft_cli.evaluate.extract import strip_stops, strip_thoughts
from raft_cli.evaluate.records import GradedQuote

UNREAD = "unread"
LONGEST = 12_000  # characters of an answer that are shown
_PAIR = re.compile(f"{re.escape(BEGIN)}((?:(?!{re.escape(BEGIN)}|{re.escape(END)}).)*){re.escape(END)}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of an answer.

    Attributes:
        text: Without its marks, if it is a quotation.
        style: Empty, `unread` (thoughts, and what follows the end of a turn), or `quote`.
        quote: Which one, if it is a quotation.
    """

    text: str
    style: str = ""
    quote: int = -1


def mark_answer(text: str, quotes: Sequence[GradedQuote]) -> tuple[list[Stretch], int]:
    """Return an answer in stretches, and how many characters at its end are not shown."""
    said = strip_stops(strip_thoughts(text))
    start = text.rfind(said) if said else -1  # thoughts come first, and an answer may repeat them
    start, end = (0, len(text)) if start < 0 else (start, start + len(said))
    found = [Stretch(text[:start], UNREAD), *_mark_quotes(text[start:end], quotes), Stretch(text[end:], UNREAD)]
    return _clip([stretch for stretch in found if stretch.text])


def _mark_quotes(text: str, quotes: Sequence[GradedQuote]) -> Iterator[Stretch]:
    after = 0
    for at, quote in enumerate(quotes):
        pairs = _PAIR.finditer(text, after)
        pair = next((pair for pair in pairs if unescape(pair.group(1).strip()) == quote.text), None)
        if pair is not None:
            yield Stretch(text[after : pair.start()])
            yield Stretch(pair.group(1), "quote", at)
            after = pair.end()
    yield Stretch(text[after:])


def _clip(stretches: Sequence[Stretch]) -> tuple[list[Stretch], int]:
    kept, room, left_out = [], LONGEST, 0
    for stretch in stretches:
        shown = stretch.text[:room]
        room -= len(shown)
        left_out += len(stretch.text) - len(shown)
        if shown:
            kept.append(Stretch(shown, stretch.style, stretch.quote))
    return kept, left_out
