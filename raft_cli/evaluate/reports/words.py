"""Figures, conditions and untrusted text as people read them, the same in every report. Pure."""

import unicodedata
from collections.abc import Sequence

from raft_cli.evaluate.conditions import POSITIONED, parse_condition
from raft_cli.evaluate.gates import COUNTS
from raft_cli.evaluate.statistics import Difference, Interval

NOTHING = "–"  # a figure that is not defined
STAR = "*"
SURE = 0.05  # adjusted p below which a difference has a star

_CONTROLS = frozenset(("Cc", "Cs"))
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of writing direction
_NO_CHARACTERS = (0xFFFE, 0xFFFF)  # the last two of each plane
_MARKDOWN = str.maketrans({
    "&": "&amp;", "<": "&lt;", ">": "&gt;", **{mark: f"\\{mark}" for mark in "\\|`*_[]~#!$"}
})  # fmt: skip


def show_share(value: float | None, *, unit: str = " %") -> str:
    """Write a share (0 to 1) in per cent with one decimal."""
    return NOTHING if value is None else f"{_round(100 * value)}{unit}"


def show_number(value: float | None) -> str:
    """Write a number that is no share: tokens, words."""
    return NOTHING if value is None else f"{value:,.1f}"


def show_interval(figure: Interval | None, *, unit: str = " %") -> str:
    """Write a share with its interval: `64.0 % [59.6, 68.2]`; the interval is left away where there is none."""
    if figure is None or figure.value is None:
        return NOTHING
    return show_share(figure.value, unit=unit) + _show_ends(_ends(figure, signed=False))


def show_difference(difference: Difference | None) -> str:
    """Write a difference of shares in points with its interval: `+43.4 [38.2, 48.8]`."""
    if difference is None or difference.value is None:
        return NOTHING
    return show_points(difference.value) + _show_ends(_ends(difference, signed=True))


def show_points(value: float | None) -> str:
    """Write a difference of shares in points, with its sign: `+4.2`, `−0.3`, `0.0`."""
    if value is None:
        return NOTHING
    text = _round(100 * value)
    return text if text.startswith("−") or text == "0.0" else f"+{text}"


def show_figure(metric: str, figure: Interval | None) -> str:
    """Write a figure by its name: a share with its interval, or a number of tokens or words."""
    if metric in COUNTS:
        return show_number(figure.value if figure else None)
    return show_interval(figure)


def show_p(p: float | None) -> str:
    """Write a p with three decimals; below the last of them, that it is."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def mark_sure(p: float | None) -> str:
    """Return the star of an adjusted p that says something, else nothing."""
    return STAR if p is not None and p < SURE else ""


def show_seconds(seconds: float) -> str:
    """Write a duration in two units at most."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02} min"


def show_count(number: int, noun: str) -> str:
    """Write how many there are: `1 question`, `1,200 questions`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def explain_condition(name: str) -> str:
    """Say in words what a model gets under a condition.

    Raises:
        ConfigError: There is none of that name.
    """
    condition = parse_condition(name)
    if condition.kind == "oracle":
        return f"the oracle and {show_count(condition.size, 'distractor')}" if condition.size else "the oracle alone"
    if condition.kind == "retrieved":
        return f"{show_count(condition.size, 'passage')} that a search found"
    if condition.kind == "pos":
        place = {0.0: "first", 1.0: "last"}.get(condition.place or 0.0, f"{100 * (condition.place or 0):g} % down")
        return f"the oracle {place} among {POSITIONED} distractors"
    return {
        "closed": "no documents",
        "distract": "distractors only, the oracle missing",
        "counter": "the oracle with another answer put in",
    }[condition.kind]


def clean_text(text: str) -> str:
    """Return text on one line, without control characters, turns of writing direction, and what XML forbids."""
    kept = (" " if mark.isspace() else mark for mark in text)
    return " ".join("".join(mark for mark in kept if not _is_unseemly(mark)).split())


def shorten(text: str, length: int) -> str:
    """Return text cleaned as by `clean_text`, at most `length` characters."""
    clean = clean_text(text)
    return clean if len(clean) <= length else clean[: length - 1].rstrip() + "…"


def escape_markdown(text: str) -> str:
    """Return text so that Markdown and the HTML in it show it as it is, in a table too."""
    return clean_text(text).translate(_MARKDOWN)


def draw_markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return the lines of a table whose cells are Markdown already.

    Args:
        left: Columns set left, the first ones; the others are set right.
    """
    rule = "|" + "---|" * left + "---:|" * (len(headers) - left)
    return [f"| {' | '.join(headers)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def _is_unseemly(mark: str) -> bool:
    return unicodedata.category(mark) in _CONTROLS or mark in _TURNS or ord(mark) & 0xFFFF in _NO_CHARACTERS


def _round(points: float) -> str:
    text = f"{points:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def _ends(figure: Interval | Difference, *, signed: bool) -> tuple[str, str] | None:
    if figure.low is None or figure.high is None:
        return None
    show = show_points if signed else _show_bare
    return show(figure.low), show(figure.high)


def _show_bare(value: float) -> str:
    return _round(100 * value)


def _show_ends(ends: tuple[str, str] | None) -> str:
    return f" [{ends[0]}, {ends[1]}]" if ends else ""
