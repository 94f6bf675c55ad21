"""Tell which chunks are not worth a question: navigation, contents, licences, fragments, near-duplicates. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from raft_cli.data import Chunk
from raft_cli.language import CJK, fold, negations, numbers, search_tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LINK = re.compile(r"\[[^\]]*\]\([^)]*\)|https?://\S+")
_LEADER = re.compile(r"(?:\.{3,}|…{1,}|·{3,}|\s{3,}|\t)\s*\d{1,4}\s*$|^\s*[-*]?\s*\[[^\]]+\]\(#[^)]*\)\s*$")
_LICENCE = re.compile(
    r"Permission is hereby granted, free of charge|Licensed under the Apache License|GNU (?:Lesser |Affero )?General "
    r"Public License|Redistribution and use in source and binary forms|THE SOFTWARE IS PROVIDED .AS IS",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_CJK_LETTER = re.compile(f"[{CJK}]")
_SHINGLE = 3
_BANDS, _ROWS = 5, 5
_SIMILAR = 95.0


def find_fault(chunk: Chunk) -> str:
    """Return why to set a chunk aside (too-short, table-of-contents, navigation, no-prose, licence), or nothing."""
    text = chunk.text
    letters = len(_LETTER.findall(text)) + 2 * len(_CJK_LETTER.findall(text))
    if letters < 40:
        return "too-short"
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) >= 4 and sum(bool(_LEADER.search(line)) for line in lines) > 0.6 * len(lines):
        return "table-of-contents"
    if len(_LETTER.findall(_LINK.sub("", text))) < 0.35 * len(_LETTER.findall(text)):
        return "navigation"
    if len(text) > 500 and not _CJK_LETTER.search(text) and len(text.split()) < 0.04 * len(text):
        return "no-prose"
    return "licence" if _LICENCE.search(text) else ""


def sketch(text: str) -> "npt.NDArray[np.uint64]":
    """Return a MinHash sketch of the word 3-grams of a text (CJK: of characters and bigrams): 25 numbers.

    Method: Broder, On the resemblance and containment of documents (1997).
    """
    import numpy as np
    import xxhash

    tokens = search_tokens(text) or [fold(text)]
    hashes = np.array([xxhash.xxh64_intdigest(token.encode()) for token in tokens], dtype=np.uint64)
    for _ in range(min(_SHINGLE, len(tokens)) - 1):  # one more token joins each shingle
        hashes = hashes[:-1] * np.uint64(0x9E3779B97F4A7C15) + np.roll(hashes, -1)[:-1]
    draw = np.random.default_rng(1)
    factors = draw.integers(1, 2**63, _BANDS * _ROWS, dtype=np.uint64) | np.uint64(1)
    shifts = draw.integers(0, 2**63, _BANDS * _ROWS, dtype=np.uint64)
    return np.array([(hashes * a + b).min() for a, b in zip(factors, shifts, strict=True)], dtype=np.uint64)


def find_duplicates(chunks: Sequence[Chunk], sketches: "Iterable[npt.NDArray[np.uint64]]") -> dict[str, str]:
    """Return, for each chunk that repeats an earlier one, the id of that one.

    A repetition is at least 95 % alike with the same numbers and negations: passages that differ in one figure are
    two facts, not a duplicate.
    """
    import xxhash

    first: dict[int, int] = {}  # a band of a sketch → the first chunk that has it
    repeats: dict[str, str] = {}
    for index, drawn in enumerate(sketches):
        bands = enumerate(drawn.reshape(_BANDS, _ROWS))
        keys = [xxhash.xxh64_intdigest(band.tobytes(), seed=number) for number, band in bands]
        near = sorted({first[key] for key in keys if key in first})
        twin = next((other for other in near if _repeats(chunks[index].text, chunks[other].text)), None)
        if twin is None:
            for key in keys:
                first.setdefault(key, index)
        else:
            repeats[chunks[index].id] = chunks[twin].id
    return repeats


def _repeats(one: str, other: str) -> bool:
    from rapidfuzz import fuzz

    first, second = fold(one), fold(other)
    if min(len(first), len(second)) < 0.9 * max(len(first), len(second)):
        return False
    if first == second:
        return True
    if fuzz.ratio(first, second, score_cutoff=_SIMILAR) < _SIMILAR:
        return False
    return numbers(one) == numbers(other) and negations(one) == negations(other)
