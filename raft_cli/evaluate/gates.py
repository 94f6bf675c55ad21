"""Gates that a run has to pass: read the expressions before any model is asked, judge them by the figures. Pure.

`model@oracle+4.acc>=0.7` asks for a value; `delta@oracle+4.acc>=-0.02` asks that the model is not worse than the base
by more than that, and so tests the nearer end of the interval (non-inferiority).
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.errors import ConfigError
from raft_cli.evaluate.statistics import Difference, Interval

FEWEST_QUESTIONS = 20
COUNTS = frozenset(("prompt_tokens", "answer_tokens", "final_units", "quote_units"))  # all other figures are shares
_GATE = re.compile(
    r"\s*(?P<subject>[^@\s]+)@(?P<condition>\S+)\.(?P<metric>[^.\s<>=]+)\s*(?P<sign>>=|<=)\s*(?P<bound>\S+)\s*"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on one figure.

    Attributes:
        subject: A model (`model`, `base`) or a difference (`delta`).
        above: Whether the figure has to be at least the bound; else at most.
    """

    expression: str
    subject: str
    condition: str
    metric: str
    above: bool
    bound: float

    @property
    def key(self) -> tuple[str, str, str]:
        """Where its figure is found."""
        return self.subject, self.condition, self.metric


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a gate was passed.

    Attributes:
        value: What was compared with the bound: of a difference the end of its interval; None if there is nothing.
        message: What it came to, for people.
        blocks: Whether failing it fails the run; one on a judge's metric may only warn.
    """

    expression: str
    passed: bool
    value: float | None
    bound: float
    message: str
    blocks: bool


def parse_gates(
    expressions: Iterable[str],
    *,
    subjects: Collection[str],
    conditions: Collection[str],
    metrics: Mapping[str, str],
) -> list[Gate]:
    """Read the expressions of `--fail-under`.

    Args:
        subjects: Names of models and differences that this run will have.
        metrics: Each with the way in which it is better: `up` or `down`.

    Raises:
        ConfigError: One cannot be read, names what will not be there, or bounds a metric on its better side.
    """
    return [_parse_gate(expression, subjects, conditions, metrics) for expression in expressions]


def _parse_gate(
    expression: str, subjects: Collection[str], conditions: Collection[str], metrics: Mapping[str, str]
) -> Gate:
    where = f"--fail-under {expression!r}"
    found = _GATE.fullmatch(expression)
    if not found:
        raise ConfigError(
            f"{where}: expected MODEL@CONDITION.METRIC>=NUMBER or <=NUMBER, as in model@oracle+4.acc>=0.7"
        )
    for part, known in (("subject", subjects), ("condition", conditions), ("metric", metrics)):
        if found[part] not in known:
            word = "model or difference" if part == "subject" else part
            hint = "; base and delta need --baseline" if found[part] in ("base", "delta") else ""
            hint = "; judged needs --judge" if found[part] == "judged" else hint
            raise ConfigError(
                f"{where}: no {word} {found[part]!r} in this run; there are {', '.join(sorted(known))}{hint}"
            )
    try:
        bound = float(found["bound"])
    except ValueError:
        bound = math.nan
    _check_range(where, found["subject"], found["metric"], bound)
    if not math.isfinite(bound):
        raise ConfigError(f"{where}: {found['bound']!r} is no number")
    above = found["sign"] == ">="
    if metrics[found["metric"]] == ("down" if above else "up"):
        better, sign = ("lower", "<=") if above else ("higher", ">=")
        raise ConfigError(f"{where}: {found['metric']} is better the {better} it is; bound it with {sign}")
    return Gate(expression.strip(), found["subject"], found["condition"], found["metric"], above, bound)


def _check_range(where: str, subject: str, metric: str, bound: float) -> None:
    """Refuse a bound that no share can ever pass, or ever miss."""
    if metric in COUNTS or not math.isfinite(bound):
        return
    least = -1 if subject == "delta" or metric == "crag" else 0
    if not least <= bound <= 1:
        raise ConfigError(f"{where}: {metric} is a share, from {least} to 1; write 0.7 for 70 %, 0.02 for two points")


def check_gates(
    gates: Sequence[Gate],
    figures: Mapping[tuple[str, str, str], Interval | Difference],
    *,
    advisory: Collection[str] = (),
    fewest: int = FEWEST_QUESTIONS,
) -> list[GateResult]:
    """Judge each gate; what is missing, undefined or rests on fewer than `fewest` questions does not pass.

    Args:
        figures: By subject, condition and metric.
        advisory: Metrics whose gates only warn.
    """
    return [_check_gate(gate, figures.get(gate.key), gate.metric not in advisory, fewest) for gate in gates]


def _check_gate(gate: Gate, figure: Interval | Difference | None, blocks: bool, fewest: int) -> GateResult:
    value = _pick_value(gate, figure)
    fault = ""
    if figure is None:
        fault = "missing: this run has no such figure"
    elif figure.value is None or not math.isfinite(figure.value):
        fault = "undefined: no answer counts for it"
    elif figure.n < fewest:
        fault = f"too few: {_count(figure.n)}, a gate needs {fewest}"
    elif value is None or not math.isfinite(value):
        fault = "no interval: too few passages give it a denominator"
    if fault or figure is None or value is None:
        return GateResult(gate.expression, False, value, gate.bound, fault, blocks)
    passed = value >= gate.bound if gate.above else value <= gate.bound
    return GateResult(gate.expression, passed, value, gate.bound, _describe(gate, figure, value), blocks)


def _pick_value(gate: Gate, figure: Interval | Difference | None) -> float | None:
    """Return what is compared with the bound: a value, or the end of a difference's interval that is nearer to it."""
    if isinstance(figure, Difference):
        return figure.low if gate.above else figure.high
    return figure.value if figure else None


def _describe(gate: Gate, figure: Interval | Difference, value: float) -> str:
    if isinstance(figure, Interval):
        return f"{gate.metric} is {value:.3f} over {_count(figure.n)}"
    end = "lower" if gate.above else "upper"
    return f"the {end} end of {figure.value:+.3f} is {value:+.3f} over {_count(figure.n)}"


def _count(n: int) -> str:
    return f"{n} question{'' if n == 1 else 's'}"
