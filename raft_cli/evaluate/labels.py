"""Answers that are one of few: yes or no, a letter of a choice. They are right by label, never by containment. Pure."""

import re

from raft_cli.evaluate.normalise import SINGLE, clean

_YES = "yes true correct ja oui sí si да 是 是的 对 对的 正确 可以 能 有 支持 需要 はい 예 네".split()
_NO = "no false incorrect nein non нет 否 不是 不对 错误 不可以 不能 没有 不支持 不需要 いいえ 아니요 아니오".split()
_POLARITY = {**dict.fromkeys(_YES, "yes"), **dict.fromkeys(_NO, "no"), "maybe": "maybe"}
_ALONE = re.compile(r"[\W_]*(\w(?:.*\w)?)[\W_]*", re.DOTALL)
_LONGEST = 30  # characters of a label with what surrounds it
_CUT = r"(?=$|[,.;:!?。、])"
_LEADING = re.compile(rf"\W*({'|'.join(sorted(_POLARITY, key=len, reverse=True))}){_CUT}")
# "不支持该格式" is a no; one character (是, 有, 能, 对) begins too many other words.
_PAIRS = [word for word in sorted(_POLARITY, key=len, reverse=True) if re.match(f"[{SINGLE}]{{2}}", word)]
_LEADING_CJK = re.compile(f"({'|'.join(_PAIRS)})")
_TRAILING = re.compile(r"\b(not |n't |non |nicht )?(yes|true|correct|no|false|incorrect)\W*$")
_CHOICE = re.compile(r"[(\[]?([A-Z])[)\].:]?")
_CHOSEN = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?|选项?|选择|答案是?)?\s*:?\s*"
    r"[(\[]?([a-z])(?:[)\].:,、。]|$|(?=[^\x00-\x7f]))"
)


def match_label(answer: str, gold: str) -> bool | None:
    """Tell whether an answer gives the gold's label; None when the gold is no label.

    Labels are yes and no in several languages (also true, false, 支持, 不支持), `maybe`, and a single capital letter. A
    yes or no is read where it stands alone, begins the answer before a mark, or ends it.
    """
    if chosen := _CHOICE.fullmatch(gold.strip()):
        found = _CHOSEN.match(clean(answer))
        return found is not None and found.group(1) == chosen.group(1).casefold()
    wanted = _POLARITY.get(_bare(gold))
    return None if wanted is None else read_polarity(answer) == wanted


def read_polarity(answer: str) -> str | None:
    """Return `yes`, `no` or `maybe`, or None when the answer does not say, or says both."""
    said = clean(answer)
    if label := _POLARITY.get(_bare(answer)):
        return label
    leading = _LEADING.match(said) or _LEADING_CJK.match(said)
    trailing = _TRAILING.search(said)
    first = _POLARITY[leading.group(1)] if leading else None
    last = _POLARITY[trailing.group(2)] if trailing and not trailing.group(1) else None
    return None if first and last and first != last else first or last


def _bare(text: str) -> str:
    match = _ALONE.fullmatch(clean(text)) if len(text) <= _LONGEST else None
    return match.group(1) if match else ""
