"""What a difference is worth: McNemar, Holm, Cochran's Q, the smallest one a run could find; and agreement. Pure.

What is not defined is None, never 0 or 1.
"""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

_SURE = NormalDist().inv_cdf(0.975)  # 5 %, two-sided
_FOUND = NormalDist().inv_cdf(0.8)  # 80 % power
_STEPS = 60


def mcnemar(better: int, worse: int) -> float:
    """Return the exact two-sided p of two counts of discordant questions; 1 when there are none.

    It takes questions for independent; where several come from one passage, the bootstrap's p is the wider one.

    Raises:
        ValueError: A count is negative.
    """
    if better < 0 or worse < 0:
        raise ValueError("counts of questions are not negative")
    total = better + worse
    term = tail = 1
    for at in range(min(better, worse)):
        term = term * (total - at) // (at + 1)
        tail += term
    return 1.0 if better == worse else 2 * tail / 2**total


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return each p adjusted for that many tests (Holm, 1979); one that is None is no test and stays None.

    Raises:
        ValueError: A p is not between 0 and 1.
    """
    known = sorted((p, at) for at, p in enumerate(ps) if p is not None)
    if not all(0 <= p <= 1 for p, _ in known):
        raise ValueError("a p is not between 0 and 1")
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, at) in enumerate(known):
        highest = min(1.0, max(highest, (len(known) - rank) * p))
        adjusted[at] = highest
    return adjusted


def find_needed(difference: float, discordant: float) -> int | None:
    """Return how many questions McNemar's test needs to find `difference` in 80 % of runs (Miettinen, 1968).

    Args:
        difference: Between two shares of right answers.
        discordant: Share of the questions on which the two disagree; must be larger than the difference.
    """
    size = abs(difference)
    if not 0 < size < discordant <= 1:
        return None
    return math.ceil(_reach(size, discordant) ** 2 / size**2)


def find_smallest(n: int, discordant: float) -> float | None:
    """Return the smallest difference that McNemar's test finds in 80 % of runs with `n` questions.

    None when not even the largest possible one (all discordant questions to one side) would be found.
    """
    if n <= 0 or not 0 < discordant <= 1 or _reach(discordant, discordant) ** 2 > n * discordant**2:
        return None
    low, high = 0.0, discordant
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = _reach(middle, discordant) ** 2 <= n * middle**2
        low, high = (low, middle) if enough else (middle, high)
    return high


def find_smallest_clustered(error: float | None) -> float | None:
    """Return the smallest difference found in 80 % of runs, from the bootstrap's standard error: 2.8 of these.

    It holds whatever the figure, and when questions come in clusters. None without an error or with none at all (the
    two agree on every question: that says nothing of what could have been found).
    """
    return (_SURE + _FOUND) * error if error else None


def _reach(difference: float, discordant: float) -> float:
    return _SURE * math.sqrt(discordant) + _FOUND * math.sqrt(max(0.0, discordant - difference**2))


def cochran_q(verdicts: Sequence[Sequence[bool]]) -> tuple[float, float] | None:
    """Return Cochran's Q and its p: do the conditions, one a column, differ in their share of right answers?

    Questions with the same verdict everywhere say nothing; None when no other is there, or fewer than two conditions.
    The p is that of chi-squared, good from about 24 / conditions such questions on.

    Raises:
        ValueError: Rows differ in length.
    """
    width = len(verdicts[0]) if verdicts else 0
    if any(len(row) != width for row in verdicts):
        raise ValueError("questions differ in their number of conditions")
    rows = [sum(row) for row in verdicts if 0 < sum(row) < width]
    if not rows:
        return None
    columns = [sum(row[at] for row in verdicts) for at in range(width)]
    mean = sum(columns) / width
    scatter = sum((column - mean) ** 2 for column in columns)
    q = width * (width - 1) * scatter / sum(row * (width - row) for row in rows)
    return q, _chi_squared_tail(q, width - 1)


def _chi_squared_tail(value: float, freedom: int) -> float:
    """Return the upper tail of chi-squared for whole degrees of freedom, in closed form."""
    half = value / 2
    if freedom % 2 == 0:
        term = total = math.exp(-half)
        for at in range(1, freedom // 2):
            term *= half / at
            total += term
        return total
    total = math.erfc(math.sqrt(half))
    term = math.sqrt(half / math.pi) * 2 * math.exp(-half)
    for at in range(1, (freedom + 1) // 2):
        total += term
        term *= half / (at + 0.5)
    return total


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Return how far two raters agree beyond chance; None without ratings, or when both know one and the same word.

    Raises:
        ValueError: They rated different numbers of answers.
    """
    if len(one) != len(other):
        raise ValueError("the raters rated different numbers of answers")
    counts, others = Counter(one), Counter(other)
    expected = sum(counts[word] * others[word] for word in counts)
    if not one or expected == len(one) ** 2:
        return None
    agreed = sum(a == b for a, b in zip(one, other, strict=True))
    return (agreed * len(one) - expected) / (len(one) ** 2 - expected)
