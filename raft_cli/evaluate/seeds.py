"""How far runs of one recipe differ: the spread between training seeds, apart from that of the questions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from raft_cli.evaluate.resample import Column
from raft_cli.evaluate.statistics import Interval, bootstrap_all


@dataclass(frozen=True, slots=True)
class Spread:
    """Runs of one recipe under one condition, on the questions that all of them answered.

    Attributes:
        name: What the runs are called together.
        runs: How many.
        mean: Right answers, the mean of the runs; its interval is over passages, as if there were these runs alone.
        deviation: Standard deviation of the runs' shares: what another seed changes.
        low, high: The share of the worst run, and of the best.
    """

    name: str
    condition: str
    runs: int
    mean: Interval
    deviation: float
    low: float
    high: float


def spread_runs(
    name: str, condition: str, columns: Sequence[Column], units: Sequence[str], *, draws: int, seed: int
) -> Spread | None:
    """Return how far runs differ; None when there is no question that all answered.

    Args:
        columns: For each run, what each question adds to the share of right answers.
        units: For each question, what is resampled with it.
    """
    kept = [
        (unit, [pair for pair in pairs if pair and pair[1]])
        for unit, *pairs in zip(units, *columns, strict=True)
        if all(pair and pair[1] for pair in pairs)
    ]
    if not kept:
        return None
    shares = [
        sum(pair[0] for pair in run) / sum(pair[1] for pair in run)
        for run in zip(*(pairs for _, pairs in kept), strict=True)
    ]
    means = [(fmean(pair[0] for pair in pairs), fmean(pair[1] for pair in pairs)) for _, pairs in kept]
    (mean,) = bootstrap_all([means], [unit for unit, _ in kept], draws=draws, seed=seed)
    return Spread(name, condition, len(columns), mean, stdev(shares), min(shares), max(shares))
