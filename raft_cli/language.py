"""What can be said of a text without a model: script, sentences, words, numbers, negations. Pure."""

import re
import unicodedata
from collections import Counter

from raft_cli.data import Span

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
KANA = "\u3040-\u30ff\u31f0-\u31ff"
HANGUL = "\u1100-\u11ff\uac00-\ud7af"
CJK = HAN + KANA + HANGUL

_HAN = re.compile(f"[{HAN}]")
_KANA = re.compile(f"[{KANA}]")
_HANGUL = re.compile(f"[{HANGUL}]")
_CJK = re.compile(f"[{CJK}]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['’][A-Za-z]+)?")
_SEARCH = re.compile(f"[{CJK}]+|[^\\W_{CJK}]+(?:[_.-][^\\W_{CJK}]+)*")
_SPACE = re.compile(r"\s+")

_ENGLISH = frozenset(
    "the a an of to and in is are for with on by be as at or from that this it not if when must can may "
    "will which has have was were do does how what where who why".split()
)
YES_NO = frozenset(
    "yes no true false 是 否 是的 不是 对 不对 可以 不可以 不能 能 支持 不支持 需要 不需要 有 没有".split()
)
SAME = 90.0  # `alike` from which two questions with the same figures say the same
STOP_WORDS = _ENGLISH | frozenset(
    "its their there these those than then also only into but they you your we our he she his her i me my about "
    "should would could been being each any all some such so no".split()
)
_STOP_HAN = frozenset("的了是在和与或及为对以于之其这那有个被把将会能可请")

_NEGATION_EN = re.compile(
    r"\b(?:not|no|never|without|cannot|none|neither|nor|nothing|un(?:supported|available))\b|n['’]t\b"
)
_NEGATION_CJK = re.compile("不|没|沒|无|無|非(?!常)|未|勿|禁止|莫|ない|ません|ず(?=に|、|。)|않|없|아니|못")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*|[零〇一二三四五六七八九十百千万亿两]+")
_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
} | {"first": "1st", "second": "2nd", "third": "3rd", "twice": "2x", "half": "1/2"}
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_NUMBER_WORDS)})\b")

_SENTENCE_END = re.compile(r"[。！？；!?]+[”’」』）)\"']*|\.(?=[\s\"'”’)]|$)[\"'”’)]*|\n+")
_RUNNING = re.compile(f"[a-z{CJK}]|[A-Z0-9][a-z0-9]*[ ,]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|Ms|Prof|No|Fig|Sec|approx|max|min|St|Inc|Ltd)|(?:^|\s)[A-Z]|^\s*\d+)$"
)


def detect_language(text: str) -> str:
    """Return `en`, `zh`, `ja` or `ko` by script and function words, else `other`.

    Kanji without kana counts as Chinese; a Latin text without English function words counts as `other`.
    """
    han, kana, hangul = (len(pattern.findall(text)) for pattern in (_HAN, _KANA, _HANGUL))
    words = _LATIN_WORD.findall(text)
    if han + kana + hangul > 0.35 * len(words):
        if hangul > han + kana:
            return "ko"
        return "ja" if kana > 0.1 * (han + kana) else "zh"
    common = sum(word.lower() in _ENGLISH for word in words)
    return "en" if words and common >= 0.08 * len(words) else "other"


def is_cjk(text: str) -> bool:
    """Tell whether `text` holds a Chinese, Japanese or Korean character."""
    return _CJK.search(text) is not None


def fold(text: str) -> str:
    """Return `text` without differences of width, case and spacing."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def search_tokens(text: str) -> list[str]:
    """Return the terms of lexical search: lower-case words, and CJK characters with their bigrams.

    A pattern of words alone takes a whole Chinese phrase as one word and halves recall.
    """
    tokens: list[str] = []
    for run in _SEARCH.findall(unicodedata.normalize("NFKC", text).lower()):
        if _CJK.match(run):
            tokens.extend(run)
            tokens.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            tokens.append(run)
    return tokens


def content_words(text: str) -> set[str]:
    """Return what carries meaning: words that are not function words, and CJK characters."""
    found: set[str] = set()
    for run in _SEARCH.findall(unicodedata.normalize("NFKC", text).lower()):
        if _CJK.match(run):
            found.update(char for char in run if char not in _STOP_HAN)
        elif run not in STOP_WORDS:
            found.add(run)
    return found


def numbers(text: str) -> Counter[str]:
    """Count the numbers of a text: digits, Chinese numerals, small English number words."""
    folded = fold(text)
    found = Counter(number.replace(",", "").rstrip(".") for number in _NUMBER.findall(folded))
    found.update(_NUMBER_WORDS[word] for word in _NUMBER_WORD.findall(folded))
    return found


def negations(text: str) -> int:
    """Count the negating words of a text."""
    folded = fold(text)
    return len(_NEGATION_EN.findall(folded)) + len(_NEGATION_CJK.findall(folded))


def split_sentences(text: str) -> list[Span]:
    """Return the spans of the sentences of a text, without surrounding blanks.

    A full stop ends a sentence only before a blank, and not after an abbreviation, an initial or a list number;
    nothing ends inside open quotation marks or brackets (given up after 400 characters).
    """
    spans: list[Span] = []
    start = 0
    for end_mark in _SENTENCE_END.finditer(text):
        stop = end_mark.end()
        if end_mark.group()[0] == "." and _ABBREVIATION.search(text[start : end_mark.start()]):
            continue
        newline = end_mark.group()[0] == "\n"
        if end_mark.group() == "\n" and _wraps(text, end_mark.start()):
            continue
        if not newline and stop - start < 400 and _is_open(text[start:stop]):
            continue
        _append_trimmed(spans, text, start, stop)
        start = stop
    _append_trimmed(spans, text, start, len(text))
    return spans


def _wraps(text: str, at: int) -> bool:
    """Tell whether the line break at `at` only wraps a long line of running text."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return (
        len(before) > (24 if is_cjk(before) else 55)
        and _RUNNING.match(text, at + 1) is not None
        and before[0].isalnum()
    )


def _is_open(text: str) -> bool:
    pairs = (("“", "”"), ("「", "」"), ("『", "』"), ("（", "）"), ("(", ")"), ("《", "》"))
    return any(text.count(opening) > text.count(closing) for opening, closing in pairs)


def _append_trimmed(spans: list[Span], text: str, start: int, stop: int) -> None:
    piece = text[start:stop]
    left = len(piece) - len(piece.lstrip())
    if right := len(piece.rstrip()):
        spans.append((start + left, start + right))


def alike(one: str, other: str) -> float:
    """Return how alike two questions are, 0 to 100; CJK characters count as tokens of their own."""
    from rapidfuzz import fuzz

    return fuzz.token_set_ratio(tokenise(one), tokenise(other))


def same_figures(one: str, other: str) -> bool:
    """Tell whether two texts agree in their numbers and negations."""
    return numbers(one) == numbers(other) and negations(one) == negations(other)


def tokenise(text: str) -> str:
    """Return the folded words of a text, blank-separated, with each CJK character a word."""
    return " ".join(re.sub(f"([{CJK}])", r" \1 ", re.sub(r"[^\w\s]|_", " ", fold(text))).split())


def is_specific(final: str) -> bool:
    """Tell whether an answer is long enough that a passage containing it gives it away."""
    folded = fold(final).strip(" .。")
    if folded in YES_NO:
        return False
    return len(re.findall(f"[{CJK}]", folded)) >= 2 or len(folded) >= 4
