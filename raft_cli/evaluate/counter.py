"""Put another question's answer into an oracle, to see whether a model reads or remembers. Pure."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from raft_cli.data import Chunk, make_id
from raft_cli.evaluate.records import Item
from raft_cli.language import YES_NO, detect_language, fold, is_cjk

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CODE = re.compile(r"[_/\\`=<>{}()]|--|\w[.:]\w|[a-z][A-Z]|\b[A-Z]{2,}\b")
_NAMED = re.compile(r"[A-Za-z][-_]?\d|\d[A-Za-z]|[_/\\`=<>{}()]|--")  # a number that is part of a name: E-4203
_LONGEST = 8  # words; beyond that an answer is a statement, not a value
_LONGEST_CJK = 16  # characters
_BUCKETS = (1, 3, _LONGEST)


class Swaps:
    """The answers of a set of questions by type, each a stand-in for another of its type."""

    def __init__(self, items: Iterable[Item], *, seed: int) -> None:
        self._seed = seed
        found: dict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for item in sorted(items, key=lambda item: item.id):
            value, kind = _type_answer(item.golds[0])
            if kind:
                found[kind].setdefault(value)
        self._values = {kind: list(values) for kind, values in found.items()}

    def swap(self, item: Item, oracle: Sequence[Chunk]) -> tuple[list[Chunk], str] | None:
        """Return the oracle with another answer in each place where the answer stood, and that answer.

        None when the answer does not stand there word for word, is still told in another spelling after the swap, is
        given by the question itself, or when no other question has an answer of its type.
        """
        gold = item.golds[0].strip(" .。")
        value, kind = _type_answer(gold)
        pattern = _bound(gold)
        if not kind or not any(pattern.search(chunk.text) for chunk in oracle) or pattern.search(item.question):
            return None
        texts = [fold(text) for text in (*(chunk.text for chunk in oracle), item.question)]
        draw = random.Random(f"{self._seed}:eval-counter:{item.id}")
        values = self._values.get(kind, [])
        for other in draw.sample(values, len(values)):
            made = gold.replace(value, other)
            if other == value or _bound(fold(made)).search(fold(gold)) or _bound(fold(gold)).search(fold(made)):
                continue
            if any(_bound(fold(made)).search(text) for text in texts):
                continue
            swapped = [_rewrite(chunk, pattern, made, item) for chunk in oracle]
            if any(_bound(fold(known)).search(fold(chunk.text)) for known in item.golds for chunk in swapped):
                return None
            return swapped, made
        return None


def _type_answer(gold: str) -> tuple[str, tuple[str, ...]]:
    """Return what of an answer is swapped, and its type; the type is empty for what cannot be.

    Of an answer with one number the number alone is swapped, for one of its look and size, so that its unit stays. One
    with several (a date, a range) or with one in a name is swapped whole, for one of the same shape; other answers for
    ones of the same script and look and about as many words.
    """
    gold = gold.strip(" .。")
    found = _NUMBER.findall(gold)
    if fold(gold) in YES_NO or not gold:
        return gold, ()
    if len(found) == 1 and not _NAMED.search(gold):
        return found[0], ("number", *_name_number(found[0]))
    if found:
        return gold, ("shape", _NUMBER.sub("0", gold))
    if is_cjk(gold):
        return (gold, ("cjk", detect_language(gold), str(len(gold) > 4))) if len(gold) <= _LONGEST_CJK else (gold, ())
    words = gold.split()
    if len(words) > _LONGEST:
        return gold, ()
    look = "code" if _CODE.search(gold) else "name" if all(word[0].isupper() for word in words) else "phrase"
    return gold, ("words", look, str(next(size for size in _BUCKETS if len(words) <= size)))


def _name_number(number: str) -> tuple[str, str]:
    """Return the look of a number and its digits before the point: a swap for 3,104 days would be found out."""
    if re.fullmatch(r"(?:1[5-9]|20)\d\d", number):
        return "year", ""
    return re.sub(r"\d+", "0", number), str(len(number.replace(",", "").partition(".")[0]))


def _bound(words: str) -> re.Pattern[str]:
    """Return a pattern for `words` where they are not part of a longer word or number."""
    left = r"(?<!\w)(?<!\d[.,])" if not is_cjk(words[:1]) else ""
    right = r"(?!\w)(?![.,]\d)" if not is_cjk(words[-1:]) else ""
    if words[:1].isdigit():
        left = r"(?<![0-9A-Za-z_])(?<!\d[.,])"  # a number may follow a Chinese character
    if words[-1:].isdigit():
        right = r"(?![0-9A-Za-z_])(?![.,]\d)"
    return re.compile(left + re.escape(words) + right)


def _rewrite(chunk: Chunk, pattern: re.Pattern[str], made: str, item: Item) -> Chunk:
    text = pattern.sub(lambda _: made, chunk.text)
    if text == chunk.text:
        return chunk
    return replace(chunk, id=make_id("counter", chunk.id, item.id, made), text=text, end=chunk.start + len(text))
