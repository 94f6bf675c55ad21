"""Lexical search over texts: BM25 with words, and characters and bigrams for CJK. Knows no dataset.

Our own lines of numpy, because the index must stay small beside a corpus in memory: on 20,000 chunks of 500 tokens
bm25s 0.3.16 took twelve times the memory, twice the time to build and seven times the time a query
(benchmarks/search.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raft_cli.language import search_tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_K1, _B = 1.5, 0.75
_COMMON = 0.1  # a term in more than this share of a large corpus tells little and costs most of the index
_LARGE = 10_000
_QUERY_TERMS = 24
_FEWEST_TERMS, _POSTINGS = 4, 10_000  # of a query: then the common terms are left out


class LexicalIndex:
    """A BM25 index in memory; the rarest terms of a query decide, so that time stays flat for long queries.

    Method: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), with the idf of Lucene.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        self._size = len(texts)
        self._terms: dict[str, int] = {}
        rows = [self._count_terms(text) for text in texts]
        frequency = np.zeros(len(self._terms), dtype=np.int64)
        for terms, _ in rows:
            frequency[terms] += 1
        self._frequency = frequency
        kept = frequency <= (self._size * _COMMON if self._size > _LARGE else self._size)
        self._starts = np.concatenate([[0], np.cumsum(np.where(kept, frequency, 0))])
        self._fill(rows, kept)

    def _count_terms(self, text: str) -> "tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]":
        import numpy as np

        terms = self._terms
        numbers = [terms.setdefault(token, len(terms)) for token in search_tokens(text)]
        found, counts = np.unique(np.array(numbers, dtype=np.int32), return_counts=True)
        return found, np.minimum(counts, 65_535).astype(np.uint16)

    def _fill(
        self, rows: "list[tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]]", kept: "npt.NDArray[np.bool_]"
    ) -> None:
        """Turn rows of (term, count) into one posting list per term; frees the rows on the way."""
        import numpy as np

        lengths = np.array([int(counts.sum()) for _, counts in rows] or [1], dtype=np.float32)
        norm = _K1 * (1 - _B + _B * lengths / max(float(lengths.mean()), 1.0))
        idf = np.log1p((self._size - self._frequency + 0.5) / (self._frequency + 0.5)).astype(np.float32)
        self._documents = np.empty(int(self._starts[-1]), dtype=np.int32)
        self._weights = np.empty(int(self._starts[-1]), dtype=np.float32)
        free = self._starts[:-1].copy()
        for document in range(len(rows)):
            terms, counts = rows[document]
            rows[document] = (terms[:0], counts[:0])
            known = kept[terms]
            terms, counts = terms[known], counts[known].astype(np.float32)
            slots = free[terms]
            self._documents[slots] = document
            self._weights[slots] = idf[terms] * counts * (_K1 + 1) / (counts + norm[document])
            free[terms] += 1

    def search(self, query: str, top: int) -> list[int]:
        """Return the positions of the `top` best texts, best first; only texts that share a term with the query."""
        import numpy as np

        spans = [slice(self._starts[term], self._starts[term + 1]) for term in self._choose_terms(query)]
        if not spans:
            return []
        documents = np.concatenate([self._documents[span] for span in spans])
        weights = np.concatenate([self._weights[span] for span in spans])
        scores = np.bincount(documents, weights, minlength=self._size)
        found = np.flatnonzero(scores)
        if len(found) > top:
            found = found[np.argpartition(-scores[found], top - 1)[:top]]
        order = np.lexsort((found, -scores[found]))
        return [int(position) for position in found[order]]

    def _choose_terms(self, query: str) -> list[int]:
        """Return the rarest terms of a query, as many as are cheap to look up."""
        known = {self._terms[token] for token in search_tokens(query) if token in self._terms}
        chosen: list[int] = []
        postings = 0
        for term in sorted(known, key=lambda term: (self._frequency[term], term))[:_QUERY_TERMS]:
            postings += int(self._starts[term + 1] - self._starts[term])
            if postings > _POSTINGS and len(chosen) >= _FEWEST_TERMS:
                break
            chosen.append(term)
        return chosen
