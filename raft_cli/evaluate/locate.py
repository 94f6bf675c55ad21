"""Find a quotation in the raw text of a document: word for word, or nearly. Pure; knows no roles.

Word for word is after `clean`: case, width, spacing, quotation marks and dashes may differ, punctuation may not.
"""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import LCSseq
from rapidfuzz.fuzz import partial_ratio_alignment, ratio

from raft_cli.data import Span
from raft_cli.evaluate.normalise import SINGLE, clean
from raft_cli.language import same_figures

NEAR = 90.0  # partial_ratio; a first value

_ELLIPSIS = re.compile(r"\s*(?:\[\s*\.{3,}\s*\]|\(\s*\.{3,}\s*\)|\.{3,})\s*")
_WRAPPED = re.compile(r"[\"'「『](.+)[\"'」』]", re.DOTALL)
_CJK = re.compile(f"[{SINGLE}]")
_WORD = re.compile(f"[{SINGLE}]|[^\\s{SINGLE}]+")
_MARGIN = 0.15  # of a quote's length: how far left-out words can push its end


@dataclass(frozen=True, slots=True)
class Near:
    """A span that a quotation resembles.

    Attributes:
        likeness: 90 to 100.
        agrees: Whether numbers and negations are the same.
    """

    spans: tuple[Span, ...]
    likeness: float
    agrees: bool


clean_document = lru_cache(maxsize=16_384)(clean)


@lru_cache(maxsize=4_096)
def split_ellipsis(quote: str) -> tuple[tuple[str, ...], ...]:
    """Return the ways to read a quotation, cleaned: as it stands, without marks around it, in parts at its ellipses."""
    whole = clean(quote)
    wrapped = _WRAPPED.fullmatch(whole)
    bare = wrapped.group(1).strip() if wrapped else whole
    parts = tuple(part for part in _ELLIPSIS.split(bare) if part)
    return tuple(dict.fromkeys(way for way in ((whole,), (bare,), parts) if way and all(way)))


def find_verbatim(quote: str, text: str) -> tuple[Span, ...] | None:
    """Return where a quotation stands in `text` (code points), or None; its parts in order, each at its first place."""
    hay = clean_document(text)
    for way in split_ellipsis(quote):
        if places := _find_in_order(way, hay):
            return tuple(_to_raw(text, place) for place in places)
    return None


def _find_in_order(parts: tuple[str, ...], hay: str) -> list[Span] | None:
    places: list[Span] = []
    for part in parts:
        place = _find_part(part, hay, places[-1][1] if places else 0)
        if place is None:
            return None
        places.append(place)
    return places


def _find_part(part: str, hay: str, after: int) -> Span | None:
    at = hay.find(part, after)
    while at >= 0:
        if not (_cuts(hay, at) or _cuts(hay, at + len(part))):
            return at, at + len(part)
        at = hay.find(part, at + 1)
    return None


def _cuts(text: str, at: int) -> bool:
    """Tell whether a border at `at` cuts a word or a number: "5 bar" is no quotation of "15 bar" or of "2.5 bar"."""
    if at in (0, len(text)):
        return False
    left, right = text[at - 1], text[at]
    if left.isalnum() and right.isalnum():
        return not (_CJK.match(left) or _CJK.match(right))
    if left.isdecimal() and right in ".,":
        return text[at + 1 : at + 2].isdecimal()
    if right.isdecimal() and left in ".,-":
        before = text[at - 2 : at - 1]
        return before.isdecimal() if left != "-" else not before.isalnum()
    return False


@lru_cache(maxsize=16_384)  # a reference's quotations are placed anew for each answer to its question
def _to_raw(text: str, place: Span) -> Span:
    """Return the span of `text` that became `place` of its cleaned form."""
    hay = clean_document(text)
    start, end = place
    if clean(text[start:end]) == hay[start:end] and len(text) == len(hay):
        return place

    def length(at: int) -> int:
        return len(clean(text[:at]))

    start = bisect_right(range(len(text) + 1), start, key=length) - 1
    end = bisect_right(range(len(text) + 1), end - 1, lo=start, key=length)
    while start < end and text[start].isspace():
        start += 1
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return start, end


def find_near(quote: str, text: str) -> Near | None:
    """Return the span that a quotation resembles by at least 90 %, or None; its parts in order."""
    hay = clean_document(text)
    parts = next(reversed(split_ellipsis(quote)), ())
    spans: list[Span] = []
    likeness, agrees, after = 100.0, True, 0
    for part in parts:
        found = _align(part, hay[after:])
        if found is None:
            return None
        place, score, same = found
        spans.append(_to_raw(text, (place[0] + after, place[1] + after)))
        likeness, agrees, after = min(likeness, score), agrees and same, after + place[1]
    return Near(tuple(spans), likeness, agrees) if spans else None


def _align(part: str, hay: str) -> tuple[Span, float, bool] | None:
    if len(part) > len(hay):  # rapidfuzz would look for the document in the quotation
        score = ratio(part, hay, score_cutoff=NEAR)
        return ((0, len(hay)), score, same_figures(part, hay)) if score else None
    found = partial_ratio_alignment(part, hay, score_cutoff=NEAR)
    if found is None or found.dest_end <= found.dest_start:
        return None
    margin = max(8, int(_MARGIN * len(part)))
    places = _match_words(part, hay, max(0, found.dest_start - margin), min(len(hay), found.dest_end + margin))
    agreeing = [place for place in places if same_figures(part, hay[place[0] : place[1]])]
    return (agreeing or places)[0], found.score, bool(agreeing)


def _match_words(part: str, hay: str, start: int, end: int) -> list[Span]:
    """Return the spans of whole words that `part` may mean.

    The window of a partial ratio is as long as the quotation, so it cuts words off where some were left out. Words are
    matched anew: from the first to the last that agree; and that with one word more for each unmatched one at the ends.
    """
    while start > 0 and not hay[start - 1].isspace() and not _CJK.match(hay[start - 1]):
        start -= 1
    while end < len(hay) and not hay[end].isspace() and not _CJK.match(hay[end]):
        end += 1
    words = [match.span() for match in _WORD.finditer(hay, start, end)]
    wanted = _WORD.findall(part)
    same = [
        block for block in LCSseq.opcodes(wanted, [hay[left:right] for left, right in words]) if block.tag == "equal"
    ]
    if not same:
        return [(start, end)]
    first, last = same[0].dest_start, same[-1].dest_end
    wide = max(0, first - same[0].src_start), min(len(words), last + len(wanted) - same[-1].src_end)
    borders = dict.fromkeys((wide, (first, last)))
    return [(words[left][0], words[right - 1][1]) for left, right in borders]
