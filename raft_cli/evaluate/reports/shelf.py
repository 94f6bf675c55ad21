"""The documents of the examples that a page shows: each once, with the places that answers quote. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from raft_cli.data import Chunk, Span

_MOST = 60  # quoted places of one document that have an address of their own


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a document: `places` are the numbers of the quotations it lies in, `first` those it begins."""

    text: str
    places: tuple[int, ...]
    first: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as it is shown."""

    number: int
    chunk: Chunk
    title: str
    pieces: tuple[Piece, ...]


@dataclass(slots=True)
class _Held:
    chunk: Chunk
    places: list[tuple[Span, ...]] = field(default_factory=list)


class Shelf:
    """Collects documents and the places in them; the address of a place is known at once."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], _Held] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def add(self, chunk: Chunk) -> int:
        """Return the number of a document, from 1."""
        key = chunk.id, chunk.text  # the text too: `counter` has other words under the same id
        self._held.setdefault(key, _Held(chunk))
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def address(self, chunk: Chunk, spans: Sequence[Span]) -> str:
        """Return the address of a place in a document, that of the document for one place too many."""
        number, key = self.add(chunk), tuple(spans)
        places = self._held[chunk.id, chunk.text].places
        if key not in places:
            if not key or len(places) >= _MOST:
                return f"d{number}"
            places.append(key)
        return f"d{number}p{places.index(key)}"

    @property
    def places(self) -> int:
        """The most places that one document has."""
        return max((len(held.places) for held in self._held.values()), default=0)

    def show(self) -> Iterator[Shown]:
        """Yield the documents, cut at the borders of the places quoted."""
        for key, held in self._held.items():
            yield Shown(self._numbers[key], held.chunk, name_document(held.chunk), tuple(_cut(held)))


def name_document(chunk: Chunk) -> str:
    """Return the title and headings of a document, or its source."""
    return " › ".join(part for part in (chunk.title, *chunk.heading) if part) or chunk.source


def _cut(held: _Held) -> Iterator[Piece]:
    text = held.chunk.text
    spans = [(start, end, at) for at, place in enumerate(held.places) for start, end in place]
    begins = {at: min(start for start, _ in place) for at, place in enumerate(held.places)}
    borders = sorted({0, len(text), *(border for start, end, _ in spans for border in (start, end))})
    for left, right in pairwise(borders):
        inside = tuple(sorted({at for start, end, at in spans if start <= left and right <= end}))
        yield Piece(text[left:right], inside, tuple(at for at, start in begins.items() if start == left))
