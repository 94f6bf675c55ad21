"""The grammar of an answer: reasoning with marked quotes, then `<ANSWER>: …`; write it, read it, find its quotes.

The one place that knows the marks; knows neither models nor datasets.
"""

import itertools
import re
import unicodedata
from dataclasses import dataclass

from raft_cli.data import Chunk, Quote
from raft_cli.language import is_cjk, negations, numbers, split_sentences

BEGIN = "##begin_quote##"
END = "##end_quote##"
TAG = "<ANSWER>:"
JOINER = "\u200d"

_MARKERS = re.compile(r"(<)(?=/?DOCUMENT>|ANSWER>:)|(##)(?=(?:begin|end)_quote##)")
_ESCAPED = re.compile(rf"(?<=<){JOINER}(?=/?DOCUMENT>|ANSWER>:)|(?<=##){JOINER}(?=(?:begin|end)_quote##)")
_QUOTE = re.compile(rf"{BEGIN}(.*?){END}", re.DOTALL)
_ANY_TAG = re.compile(r"<ANSWER>[*_`]*\s*[:：]?[*_`]*[ \t]*", re.IGNORECASE)
_THINKING = re.compile(r"\A\s*(?:<think(?:ing)?>.*?</think(?:ing)?>|(?:(?!<think).)*?</think(?:ing)?>)\s*", re.DOTALL)

_NEAR = 95.0
_LIKE = str.maketrans("“”„‟«»‘’‚‛′″–—‒−", '""""""\'\'\'\'\'"----')


def escape(text: str) -> str:
    """Return `text` with a zero-width joiner inside each marker of ours that occurs in it."""
    return _MARKERS.sub(lambda match: match.group() + JOINER, text)


def escape_span(text: str, start: int, end: int) -> str:
    """Return `text[start:end]` as it stands in `escape(text)`, also where the span cuts a marker in two."""
    places = [match.end() for match in _MARKERS.finditer(text) if start < match.end() < end]
    borders = [start, *places, end]
    return JOINER.join(text[left:right] for left, right in itertools.pairwise(borders))


def unescape(text: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub("", text)


def strip_thinking(text: str) -> str:
    """Return a reply without the leading think-block of a reasoning model."""
    return _THINKING.sub("", text, count=1)


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer taken apart.

    Attributes:
        reasoning: Everything before the answer tag, marks included.
        quotes: What stands between the marks, in order.
        final: What follows the tag, on one line; empty when there is no tag.
        fault: Name of the first breach of the grammar, or empty.
    """

    reasoning: str
    quotes: tuple[str, ...]
    final: str
    fault: str


def parse_answer(text: str) -> Parsed:
    """Take a reply apart, tolerating decoration around the tag (`**<ANSWER>**:`, `</ANSWER>`, a full-width colon)."""
    tags = list(_ANY_TAG.finditer(text))
    body = _strip_decoration(text[: tags[0].start()]) if tags else text
    final = re.sub(r"</ANSWER>", "", text[tags[-1].end() :], flags=re.IGNORECASE) if tags else ""
    final = " ".join(final.split()).strip("*` ")
    quotes = tuple(quote.strip() for quote in _QUOTE.findall(body))
    return Parsed(body.strip(), quotes, final, _find_fault(text, body, len(tags), quotes, final))


def _strip_decoration(body: str) -> str:
    """Return what precedes the tag without the marks that make the tag bold or a heading."""
    before, _, line = body.rpartition("\n")
    return body.rstrip("* \t") if line.strip("#*_` \t") else before


def _find_fault(text: str, body: str, tags: int, quotes: tuple[str, ...], final: str) -> str:
    left_over = _QUOTE.sub("", body)
    if tags != 1:
        return "no-answer-tag" if tags == 0 else "several-answer-tags"
    if not final:
        return "empty-answer"
    if (
        BEGIN in left_over
        or END in left_over
        or any(BEGIN in quote for quote in quotes)
        or END in final
        or BEGIN in final
    ):
        return "unbalanced-quote-marks"
    if not quotes:
        return "no-quote"
    if any(len(quote) < (2 if is_cjk(quote) else 4) for quote in quotes):
        return "empty-quote"
    return ""


def render_answer(reasoning: str, final: str) -> str:
    """Write an answer: the reasoning, then the answer line."""
    return f"{reasoning}\n{TAG} {final}" if reasoning else f"{TAG} {final}"


def drop_quotes(text: str) -> str:
    """Return `text` without its quotes."""
    return _QUOTE.sub(" ", text)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a quote was found; `exact` is false when the source's own words replaced a near miss."""

    quote: Quote
    exact: bool


def locate_quote(quote: str, chunk: Chunk) -> Located | None:
    """Find a quote of a reply (escaped text) in a chunk, or return None.

    First by equality, then with differences of spacing, width and quotation marks, then the most similar span if at
    least 95 % alike with the same numbers and negations (a high score alone is no agreement).
    """
    wanted = unescape(quote)
    start = chunk.text.find(wanted)
    if start >= 0:
        return Located(_quote(chunk, start, start + len(wanted)), True)
    needle, _ = _normalise(wanted)
    hay, offsets = _normalise(chunk.text)
    if not needle:
        return None
    at = hay.find(needle)
    if at >= 0:
        return Located(_quote(chunk, offsets[at], offsets[at + len(needle) - 1] + 1), True)
    return _locate_near(needle, hay, offsets, chunk)


def _locate_near(needle: str, hay: str, offsets: list[int], chunk: Chunk) -> Located | None:
    from rapidfuzz.fuzz import partial_ratio_alignment

    if len(needle) > len(hay):
        return None
    found = partial_ratio_alignment(needle, hay, score_cutoff=_NEAR)
    if found is None or found.dest_end <= found.dest_start:
        return None
    start, end = _widen(chunk.text, offsets[found.dest_start], offsets[found.dest_end - 1] + 1)
    span = chunk.text[start:end]
    if numbers(span) != numbers(needle) or negations(span) != negations(needle):
        return None
    return Located(_quote(chunk, start, end), False)


def _widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Move the ends of a span outwards to the borders of words, and off blanks."""
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum() and not is_cjk(text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum() and not is_cjk(text[end - 1 : end + 1]):
        end += 1
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _quote(chunk: Chunk, start: int, end: int) -> Quote:
    return Quote(chunk.text[start:end], chunk.id, start, end)


def _normalise(text: str) -> tuple[str, list[int]]:
    """Return `text` with like characters made equal, and for each character its offset in `text`."""
    kept: list[str] = []
    offsets: list[int] = []
    for offset, char in enumerate(text):
        plain = unicodedata.normalize("NFKC", char).translate(_LIKE) if char > "\x7f" else char
        for piece in plain:
            if piece.isspace():
                if not kept or kept[-1] == " ":
                    continue
                piece = " "
            kept.append(piece)
            offsets.append(offset)
    keep = [i for i in range(len(kept)) if not (kept[i] == " " and _is_beside_cjk(kept, i))]
    return "".join(kept[i] for i in keep).rstrip(), [offsets[i] for i in keep]


def _is_beside_cjk(kept: list[str], at: int) -> bool:
    return is_cjk("".join(kept[at - 1 : at + 2]))  # a first blank is never kept


def replace_quotes(reasoning: str, replacements: list[str]) -> str:
    """Put `replacements` (escaped text) between the marks of `reasoning`, in order."""
    pieces = iter(replacements)
    return _QUOTE.sub(lambda _: f"{BEGIN}{next(pieces)}{END}", reasoning)


def drop_quotations(reasoning: str) -> list[str]:
    """Return the sentences of a reasoning that quote nothing."""
    bare = _QUOTE.sub("\ue000", reasoning)
    return [bare[start:end] for start, end in split_sentences(bare) if "\ue000" not in bare[start:end]]
