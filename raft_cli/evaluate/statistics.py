"""How sure a figure is: ratios of sums over answers, with intervals from resampling whole passages. Pure.

What is not defined is None, never 0 or 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raft_cli.evaluate.resample import Column, choose_units, draw_sums, sum_units, tabulate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Terms = Sequence[tuple[float, Column]]  # a sum of ratios and their weights: [(1, a), (-1, b)] is a less b

DRAWS = 10_000
_TAIL = 0.025
_DEFINED = 0.95
_NOISE = 1e-12  # of floating point: thirds of equal shares do not add up to nothing


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio of sums with its 95 % interval.

    Attributes:
        value: None when no answer counts.
        low, high: None also when the figure rests on so few passages that over 5 % of the draws leave it undefined.
        n: Answers that count: those with a denominator above 0.
        clusters: Passages (or questions) that were resampled.
        missing: Answers that are missing.
        by_question: Whether questions were resampled, because they come from fewer than 20 passages.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    missing: int
    by_question: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference (or another weighted sum) of ratios over the same questions, with its 95 % interval.

    Attributes:
        value, low, high, clusters, by_question: As in `Interval`.
        p: Two-sided, by the bootstrap, at least 2 / (draws + 1); None without an interval.
        error: Its standard error; None without an interval.
        n: Questions of which no answer is missing and at least one counts.
        missing: Questions left out because an answer is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    error: float | None
    n: int
    clusters: int
    missing: int
    by_question: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sum of ratios; `spread` holds its defined draws and is None where there can be no interval.

    Attributes:
        counting: Clusters in which every ratio has a denominator, at least.
        shares: Whether each ratio is one of parts to wholes, so that it lies between 0 and 1.
    """

    value: float | None
    spread: "Floats | None"
    counting: int
    shares: bool
    n: int
    clusters: int
    missing: int
    by_question: bool


def bootstrap(column: Column, clusters: Sequence[str], *, draws: int = DRAWS, seed: int) -> Interval:
    """Return a ratio of sums with its interval; see `bootstrap_all`."""
    return bootstrap_all([column], clusters, draws=draws, seed=seed)[0]


def bootstrap_all(
    columns: Sequence[Column], clusters: Sequence[str], *, draws: int = DRAWS, seed: int
) -> list[Interval]:
    """Return each column's ratio of sums with its percentile interval.

    Clusters are drawn with replacement, all answers of one together, the same draws for every column. Where each answer
    has its whole denominator, or none of it (all right, all wrong), resampling sees no spread; then the exact binomial
    bound stands there (Clopper and Pearson, 1934), for as many independent answers as clusters count.

    Args:
        columns: One value for each answer.
        clusters: The passage that each answer's question is about.

    Raises:
        ValueError: A value is not finite, a denominator is negative or is 0 beside a numerator, or lengths differ.
    """
    samples = _resample_all([[(1.0, column)] for column in columns], clusters, draws, seed)
    return [_to_interval(sample, column) for sample, column in zip(samples, columns, strict=True)]


def compare(one: Column, other: Column, clusters: Sequence[str], *, draws: int = DRAWS, seed: int) -> Difference:
    """Return `one` less `other` over the questions that both answered, both resampled together."""
    return contrast_all([[(1.0, one), (-1.0, other)]], clusters, draws=draws, seed=seed)[0]


def contrast_all(
    contrasts: Sequence[Terms], clusters: Sequence[str], *, draws: int = DRAWS, seed: int
) -> list[Difference]:
    """Return each weighted sum of ratios with interval and p, over the questions of which no answer is missing.

    Where all questions differ by the same (by nothing, or all of them), resampling sees no spread; for shares the ends
    are then moved outwards by the exact binomial bound on what was never seen, as in `bootstrap_all`.

    Raises:
        ValueError: As `bootstrap_all`.
    """
    return [_to_difference(sample) for sample in _resample_all(contrasts, clusters, draws, seed)]


def count_discordant(one: Column, other: Column) -> tuple[int, int]:
    """Return how many questions `one` did better at, and how many `other`: what McNemar's test asks for."""
    both = [(a, b) for a, b in zip(one, other, strict=True) if a and b and a[1] and b[1]]
    gains = [a[0] / a[1] - b[0] / b[1] for a, b in both]
    return sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)


def _resample_all(contrasts: Sequence[Terms], clusters: Sequence[str], draws: int, seed: int) -> list[_Sample]:
    """Resample each contrast; those that miss the same answers share their draws."""
    import numpy as np

    names = {name: at for at, name in enumerate(dict.fromkeys(clusters))}
    labels = np.array([names[name] for name in clusters], dtype=np.int64)
    tables = [np.stack([tabulate(column, len(labels)) for _, column in terms], axis=1) for terms in contrasts]
    groups: dict[bytes, list[int]] = {}
    for at, table in enumerate(tables):
        groups.setdefault((~np.isnan(table).any(axis=(1, 2))).tobytes(), []).append(at)
    samples: dict[int, _Sample] = {}
    for mask, group in groups.items():
        kept = np.frombuffer(mask, dtype=np.bool_)
        units, by_question = choose_units(labels[kept])
        sums = [sum_units(tables[at][kept], units) for at in group]
        drawn = draw_sums(np.concatenate(sums, axis=1), draws, seed)
        parts = np.split(drawn, np.cumsum([each.shape[1] for each in sums])[:-1], axis=1)
        for at, total, part in zip(group, sums, parts, strict=True):
            weights = np.array([weight for weight, _ in contrasts[at]])
            whole = bool(total[:, 1::2].any(axis=0).all())
            counting = int(np.count_nonzero(total[:, 1::2], axis=0).min())
            samples[at] = _Sample(
                value=float(_divide(total.sum(axis=0, keepdims=True), weights)[0]) if whole else None,
                spread=_find_spread(part, weights) if counting > 1 else None,
                counting=counting,
                shares=bool(
                    ((tables[at][kept][:, :, 0] >= 0) & (tables[at][kept][:, :, 0] <= tables[at][kept][:, :, 1])).all()
                ),
                n=int((tables[at][kept][:, :, 1] > 0).any(axis=1).sum()),
                clusters=len(total),
                missing=len(kept) - int(kept.sum()),
                by_question=by_question,
            )
    return [samples[at] for at in range(len(contrasts))]


def _divide(sums: "Floats", weights: "Floats") -> "Floats":
    import numpy as np

    with np.errstate(invalid="ignore"):
        values = np.asarray((sums[:, ::2] / sums[:, 1::2]) @ weights)
    values[np.abs(values) < _NOISE] = 0.0
    return values


def _find_spread(drawn: "Floats", weights: "Floats") -> "Floats | None":
    """Return the draws that are defined, or None if more than one in twenty is not."""
    import numpy as np

    values = _divide(drawn, weights)
    defined = values[~np.isnan(values)]
    return defined if len(defined) >= _DEFINED * len(values) else None


def _find_ends(spread: "Floats | None") -> tuple[float, float] | tuple[None, None]:
    import numpy as np

    if spread is None:
        return None, None
    low, high = np.quantile(spread, [_TAIL, 1 - _TAIL])
    return float(low), float(high)


def _to_interval(sample: _Sample, column: Column) -> Interval:
    low, high = _find_ends(sample.spread)
    counted = [pair for pair in column if pair and pair[1]]
    bound = _TAIL ** (1 / sample.counting) if counted else 0.0
    if counted and all(above == 0 for above, _ in counted):
        low, high = 0.0, 1 - bound
    elif counted and all(above == below for above, below in counted):
        low, high = bound, 1.0
    return Interval(sample.value, low, high, sample.n, sample.clusters, sample.missing, sample.by_question)


def _to_difference(sample: _Sample) -> Difference:
    low, high = _find_ends(sample.spread)
    p = error = None
    if (spread := sample.spread) is not None:
        beyond = min(int((spread <= 0).sum()), int((spread >= 0).sum()))
        p = min(1.0, 2 * (beyond + 1) / (len(spread) + 1))
        error = float(spread.std(ddof=1))
        error = 0.0 if error < _NOISE else error
    if error == 0 and sample.shares and sample.value is not None and low is not None and high is not None:
        bound = 1 - _TAIL ** (1 / sample.counting)
        low, high = max(-1.0, low - bound), min(1.0, high + bound)
    return Difference(sample.value, low, high, p, error, sample.n, sample.clusters, sample.missing, sample.by_question)
