"""Take a response apart: what it says in short, and what it quotes. Pure; knows neither question nor documents."""

import re
from dataclasses import dataclass

from raft_cli.cot import BEGIN, END, TAG, strip_thinking, unescape

_THOUGHTS = re.compile(r"<(think(?:ing)?)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
# Ends of turns: nothing that follows one was meant to be said. `</s>` is HTML as well, so it ends only a text.
_STOP = re.compile(r"<STOP>|<\|(?:im_end|im_start|eot_id|end|endoftext|end_of_text|eom_id|return)\|>|<end_of_turn>")
_LAST_STOP = "</s>"
_TAG = re.compile(
    r"<ANSWER>[*_`]*\s*[:：]?|#{2,}\s*Answer[*_`]*\s*[:：]|\bFinal\s+answer[*_`]*\s*[:：]|答案[*_`]*\s*[:：]",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"</ANSWER>", re.IGNORECASE)
_MARK = re.compile(f"({re.escape(BEGIN)}|{re.escape(END)})")
_QUOTED = re.compile(rf"{BEGIN}((?:(?!{BEGIN}|{re.escape(TAG)}).)*?){END}", re.DOTALL)
_VEIL = "\ue000"
_DECORATION = "*` \t\r\n"


@dataclass(frozen=True, slots=True)
class Reading:
    """A response taken apart.

    Attributes:
        extracted: What follows the last answer tag; None without one. It may be empty.
        lenient: The same, or the last line that says something.
        quotes: What stands between well-formed marks, in order.
        malformed: Marks without a partner, pairs around pairs, and pairs around nothing.
    """

    extracted: str | None
    lenient: str
    quotes: tuple[str, ...]
    malformed: int


def read_response(text: str) -> Reading:
    """Take a response apart."""
    said = strip_stops(strip_thoughts(text))
    quotes, malformed = split_quotes(said)
    extracted = extract_answer(said)
    return Reading(extracted, _last_line(said) if extracted is None else extracted, quotes, malformed)


def strip_thoughts(text: str) -> str:
    """Return a response without its think blocks, one that was never closed included."""
    veiled = _veil(text)
    at = len(veiled) - len(strip_thinking(veiled)) if "</think" in veiled else 0
    pieces = []
    for block in _THOUGHTS.finditer(veiled, at):
        pieces.append(text[at : block.start()])
        at = block.end()
    return "".join([*pieces, text[at:]])


def strip_stops(text: str) -> str:
    """Return a response up to the first token that ends a turn."""
    stop = _STOP.search(_veil(text))
    said = text[: stop.start()] if stop else text
    while said.rstrip().endswith(_LAST_STOP):
        said = said.rstrip().removesuffix(_LAST_STOP)
    return said


def extract_answer(text: str) -> str | None:
    """Return what follows the last answer tag, to the end; None without a tag."""
    tags = list(_TAG.finditer(_veil(text)))
    return _tidy(text[tags[-1].end() :]) if tags else None


def _veil(text: str) -> str:
    """Hide the quotations: a quoted page may have tags of its own ("答案：", "</think>", "<|im_end|>")."""
    return _QUOTED.sub(lambda match: _VEIL * len(match.group()), text) if BEGIN in text else text


def _last_line(text: str) -> str:
    return next((tidy for line in reversed(text.splitlines()) if (tidy := _tidy(line))), "")


def _tidy(text: str) -> str:
    return unescape(_CLOSING.sub("", _MARK.sub("", text))).strip(_DECORATION)


def split_quotes(text: str) -> tuple[tuple[str, ...], int]:
    """Return what stands between well-formed marks, and how many faults there are.

    A pair is well-formed when it neither holds nor lies in another pair and has a letter or digit inside. An opening
    mark that is never closed spoils only itself.
    """
    pieces = _MARK.split(text)
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []  # in the order of their ends, so an outer pair follows what it holds
    faults = 0
    for at in range(1, len(pieces), 2):
        if pieces[at] == BEGIN:
            opened.append(at)
        elif opened:
            begin = opened.pop()
            inner = len(pairs)
            while inner and pairs[inner - 1][0] > begin:
                inner -= 1
            pairs[inner:] = [(begin, at)]
        else:
            faults += 1
    quotes = []
    for begin, end in pairs:
        inside = pieces[begin + 1] if end == begin + 2 else ""
        if any(map(str.isalnum, inside)):
            quotes.append(inside.strip())
        else:
            faults += 1
    return tuple(quotes), faults + len(opened)
