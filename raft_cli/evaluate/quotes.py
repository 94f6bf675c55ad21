"""Say of each quotation of an answer which document it comes from, and what the quotations amount to. Pure."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from raft_cli.cot import unescape
from raft_cli.data import Chunk, Quote, Span
from raft_cli.evaluate.locate import find_near, find_verbatim
from raft_cli.evaluate.normalise import SINGLE, Rules, count_units, holds, tokenise
from raft_cli.evaluate.records import GradedQuote, QuoteClass

UNITS = 4  # fewer words and characters stand somewhere by chance; a first value

FROM_ORACLE = frozenset((QuoteClass.ORACLE, QuoteClass.SHARED))
VERBATIM = FROM_ORACLE | {QuoteClass.DISTRACTOR}
FALSE = frozenset((QuoteClass.ALTERED, QuoteClass.FABRICATED))

_WORD = re.compile(f"[{SINGLE}]|[^\\W{SINGLE}]+")


def grade_quotes(quotes: Sequence[str], documents: Sequence[Chunk], oracle: Sequence[int]) -> tuple[GradedQuote, ...]:
    """Return each quotation (as the answer has it) with its class and its place in the documents' raw text."""
    return tuple(grade_quote(quote, documents, frozenset(oracle)) for quote in quotes)


def grade_quote(quote: str, documents: Sequence[Chunk], oracle: AbstractSet[int]) -> GradedQuote:
    """Class one quotation. Documents are searched by likeness only where no document has it word for word."""
    text = unescape(quote)
    found = {at: spans for at, chunk in enumerate(documents) if (spans := find_verbatim(text, chunk.text))}
    places = sorted(found, key=lambda at: (at not in oracle, at))
    if count_units(text) < UNITS:
        first = places[0] if places else None
        return GradedQuote(
            text, QuoteClass.SHORT, first, found.get(places[0], ()) if places else (), 100.0 * bool(places)
        )
    if not places:
        return _grade_near(text, documents, oracle)
    inside = {at in oracle for at in places}
    kind = QuoteClass.SHARED if len(inside) == 2 else QuoteClass.ORACLE if True in inside else QuoteClass.DISTRACTOR
    return GradedQuote(text, kind, places[0], found[places[0]], 100.0, tuple(places[1:]))


def _grade_near(text: str, documents: Sequence[Chunk], oracle: AbstractSet[int]) -> GradedQuote:
    """Class a quotation that stands nowhere word for word; a likeness with the same figures comes first."""
    near = [(at, found) for at, chunk in enumerate(documents) if (found := find_near(text, chunk.text))]
    if not near:
        return GradedQuote(text, QuoteClass.FABRICATED, None, (), 0.0)
    at, best = max(near, key=lambda each: (each[1].agrees, each[1].likeness, each[0] in oracle, -each[0]))
    if not best.agrees:
        kind = QuoteClass.ALTERED
    else:
        kind = QuoteClass.NEAR_ORACLE if at in oracle else QuoteClass.NEAR_DISTRACTOR
    return GradedQuote(text, kind, at, best.spans, best.likeness)


def quote_oracles(quotes: Sequence[GradedQuote], oracle: Sequence[int]) -> frozenset[int]:
    """Return the positions of the oracle documents that are quoted word for word."""
    cited = [at for quote in quotes if quote.kind in FROM_ORACLE for at in (quote.document, *quote.also)]
    return frozenset(at for at in cited if at is not None and at in oracle)


def measure_evidence(
    reference: Sequence[Quote], quotes: Sequence[GradedQuote], documents: Sequence[Chunk], oracle: Sequence[int]
) -> float | None:
    """Return the share of the words of the reference's quotations that the answer's oracle quotations cover.

    None when no oracle document among `documents` has one of them. What stands in an absent oracle counts as uncovered.
    """
    cited: dict[int, list[Span]] = {}
    for quote in quotes:
        if quote.kind in FROM_ORACLE and quote.document is not None:
            cited.setdefault(quote.document, []).extend(quote.spans)
    total = covered = 0
    located = False
    for wanted in reference:
        order = sorted(oracle, key=lambda at: (documents[at].id != wanted.chunk_id, at))
        # Searched rather than taken from the record: the same search put the answer's quotations at a first place.
        found = next(((at, spans) for at in order if (spans := find_verbatim(wanted.text, documents[at].text))), None)
        if found is None:
            total += count_units(wanted.text)
            continue
        located = True
        at, spans = found
        words = [word.span() for start, end in spans for word in _WORD.finditer(documents[at].text, start, end)]
        total += len(words)
        covered += sum(any(start <= left and right <= end for start, end in cited.get(at, ())) for left, right in words)
    return covered / total if located and total else None


def share_quoted(quotes: Sequence[GradedQuote], documents: Sequence[Chunk]) -> float:
    """Return the largest share of one document that is quoted from it word for word, 0 to 1."""
    places: dict[int, list[Span]] = {}
    for quote in quotes:
        if quote.kind in VERBATIM and quote.document is not None:
            places.setdefault(quote.document, []).extend(quote.spans)
    return max((_cover(spans) / len(documents[at].text) for at, spans in places.items()), default=0.0)


def _cover(spans: list[Span]) -> int:
    covered, reach = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, reach))
        reach = max(reach, end)
    return covered


def stands_in_quote(answer: str, quotes: Sequence[GradedQuote], rules: Rules) -> bool:
    """Tell whether a short answer stands, token for token, in one of its own quotations."""
    wanted = tokenise(answer, rules)
    return any(holds(tokenise(quote.text, rules), wanted) for quote in quotes)
