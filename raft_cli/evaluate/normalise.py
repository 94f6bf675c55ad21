"""Make like answers equal: the normalisation, the tokens and the numbers that every score compares. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from raft_cli.language import HAN, KANA, fold

SINGLE = f"{HAN}{KANA}々〆〇\U00020000-\U000323af"  # characters that are a token each

_ALIKE = str.maketrans("“”„‟«»″‘’‚‛‹›′‐‑‒–—―−", '"' * 7 + "'" * 7 + "-" * 7)
_ZERO_WIDTH = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_BESIDE = re.compile(f"(?<=[{SINGLE}]) | (?=[{SINGLE}])")
_MARK = re.compile(r"[^\w\s]|_")
_TOKEN = re.compile(f"[{SINGLE}]|[^\\s{SINGLE}]+")
_ARTICLES = frozenset(("a", "an", "the"))
_LETTER_A = re.compile(r"(?<=[\w)] )A(?!\w)")  # "Appendix A": a capital inside a sentence is a name, no article
_NAME = "\ue000"
_BEFORE_SIGN = frozenset("([{=<>~±$€£¥")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d+))?")
_VERSION = re.compile(r"\b(?:versions?|releases?|firmware|python|v\d+)\b|版本|バージョン|버전", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What depends on the question rather than on the answer.

    Attributes:
        english: Whether English articles are dropped.
        literal: Whether 3.10 and 3.1 differ: they name versions. The question and the gold decide, never the answer.
    """

    english: bool = True
    literal: bool = False


PLAIN = Rules()


def names_version(text: str) -> bool:
    """Tell whether a question or an answer is about versions, whose 3.10 is not 3.1."""
    return _VERSION.search(text) is not None


def clean(text: str) -> str:
    """Return `text` without differences of width, case, spacing, quotation marks and dashes; punctuation stays.

    Blanks beside Chinese and Japanese characters go: they come from line breaks. English articles stay.
    """
    folded = unicodedata.normalize("NFKC", _unify(text).casefold())
    return _BESIDE.sub("", " ".join(folded.split()))


def _unify(text: str) -> str:
    if text.isascii():
        return text
    # Marks before NFKC, which would make two primes of a double one; and after it, for what it makes of others.
    return _ZERO_WIDTH.sub("", unicodedata.normalize("NFKC", text.translate(_ALIKE)).translate(_ALIKE))


@lru_cache(maxsize=16_384)
def tokenise(text: str, rules: Rules = PLAIN) -> tuple[str, ...]:
    """Return the normalised tokens of a text: a Han or kana character each, everything else split on blanks."""
    unified = _unify(text)
    if rules.english and not unified.isupper():
        unified = _LETTER_A.sub(f"A{_NAME}", unified)
    words = _MARK.sub(_keep_in_number, unified).split()
    if rules.english:
        words = [word for word in words[:-1] if word.casefold() not in _ARTICLES] + words[-1:]
    folded = unicodedata.normalize("NFKC", " ".join(words).casefold()).replace(_NAME, "")
    return tuple([_canonise(token, rules.literal) for token in _TOKEN.findall(folded)])


def _keep_in_number(match: re.Match[str]) -> str:
    """Drop punctuation, save between two digits, and save a sign or point that begins a number."""
    mark, text, at = match.group(), match.string, match.start()
    if not unicodedata.category(mark).startswith("P"):
        return mark
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if not after.isdecimal():
        return ""
    begins = mark in "-." and (not before or before.isspace() or before in _BEFORE_SIGN)
    return mark if begins or before.isdecimal() else ""


def _canonise(token: str, literal: bool) -> str:
    """Return a number in its shortest form (1,000.0 → 1000), any other token as it is."""
    if not token[-1].isdecimal():
        return token
    if _GROUPED.fullmatch(token):
        token = token.replace(",", "")
    match = None if literal else _DECIMAL.fullmatch(token)
    if match is None:
        return token
    sign, whole, part = match.group(1), match.group(2), match.group(3) or ""
    if not token.isascii():
        whole, part = _to_ascii(whole), _to_ascii(part)
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    value = f"{whole}.{part}" if part else whole
    return f"-{value}" if sign == "-" and value != "0" else value


def _to_ascii(digits: str) -> str:
    return "".join(str(unicodedata.decimal(digit)) for digit in digits)


def tokenise_pair(answer: str, gold: str, rules: Rules = PLAIN) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tokens of answer and gold; both by width and case alone where normalising would empty the gold."""
    if wanted := tokenise(gold, rules):
        return tokenise(answer, rules), wanted
    return tuple(_TOKEN.findall(fold(answer))), tuple(_TOKEN.findall(fold(gold)))


def normalise(text: str, rules: Rules = PLAIN) -> str:
    """Return the tokens of a text, a blank between any two."""
    return " ".join(tokenise(text, rules))


def holds(tokens: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Tell whether `wanted` is a contiguous part of `tokens`; nothing holds the empty."""
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(tokens)} "


def count_units(text: str) -> int:
    """Count the words of a text, each Han or kana character as one; marks alone are none."""
    return sum(any(map(str.isalnum, token)) for token in _TOKEN.findall(clean(text)))
