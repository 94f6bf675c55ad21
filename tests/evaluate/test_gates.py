"""Gates are read before any model is asked; what is missing or too little never passes."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from raft_cli.errors import ConfigError, GateFailed
from raft_cli.evaluate.earlier import Stored, check_comparable, compare_to, read_stored, store
from raft_cli.evaluate.gates import Gate, GateResult, check_gates, parse_gates
from raft_cli.evaluate.resample import Pair
from raft_cli.evaluate.statistics import Difference, Interval

METRICS = {"acc": "up", "grounded_acc": "up", "misled_rate": "down", "quoted_share": "down", "prompt_tokens": "neither"}
CONDITIONS = ("closed", "oracle+4", "distract", "retrieved@5", "pos@0.25")


def parse(*expressions: str) -> list[Gate]:
    return parse_gates(expressions, subjects=("model", "base", "delta"), conditions=CONDITIONS, metrics=METRICS)


def interval(value: float | None, n: int = 200) -> Interval:
    return Interval(value, None if value is None else value - 0.1, None if value is None else value + 0.1,
                    n, 50, 0, False)  # fmt: skip


def difference(value: float | None, low: float | None, high: float | None, n: int = 200) -> Difference:
    return Difference(value, low, high, 0.5, 0.01, n, 50, 0, False)


def check(expression: str, figure: Interval | Difference | None) -> GateResult:
    gate = parse(expression)[0]
    return check_gates([gate], {gate.key: figure} if figure else {})[0]


@pytest.mark.parametrize(
    ("expression", "gate"),
    [
        ("model@oracle+4.grounded_acc>=0.70", ("model", "oracle+4", "grounded_acc", True, 0.7)),
        (" base@distract.misled_rate <= 1e-1 ", ("base", "distract", "misled_rate", False, 0.1)),
        ("delta@oracle+4.acc>=-0.02", ("delta", "oracle+4", "acc", True, -0.02)),
        ("model@pos@0.25.acc>=.5", ("model", "pos@0.25", "acc", True, 0.5)),
        ("model@retrieved@5.prompt_tokens<=900", ("model", "retrieved@5", "prompt_tokens", False, 900.0)),
        ("model@retrieved@5.prompt_tokens>=9", ("model", "retrieved@5", "prompt_tokens", True, 9.0)),
    ],
)
def test_expressions_are_read(expression: str, gate: tuple[object, ...]) -> None:
    found = parse(expression)[0]
    assert (found.subject, found.condition, found.metric, found.above, found.bound) == gate
    assert found.expression == expression.strip()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("raft@oracle+4.acc>=0.7", "no model or difference 'raft' in this run; there are base, delta, model"),
        ("model@oracle+8.acc>=0.7", "no condition 'oracle+8' in this run; there are closed, distract, oracle"),
        ("model@oracle+4.accuracy>=0.7", "no metric 'accuracy' in this run; there are acc, grounded_acc"),
        ("model@oracle+4.acc>=high", "'high' is no number"),
        ("model@oracle+4.acc>=nan", "'nan' is no number"),
        ("model@oracle+4.acc>=70%", "'70%' is no number"),
        ("model@oracle+4.acc<=0.7", "acc is better the higher it is; bound it with >="),
        ("delta@distract.misled_rate>=0.1", "misled_rate is better the lower it is; bound it with <="),
        ("model@oracle+4.acc=0.7", "expected MODEL@CONDITION.METRIC>=NUMBER"),
        ("model@oracle+4.acc>0.7", "expected MODEL@CONDITION"),
        ("acc>=0.7", "expected MODEL@CONDITION"),
        ("", "expected MODEL@CONDITION"),
    ],
)
def test_what_cannot_be_judged_is_said_with_what_exists(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("model@closed.acc>=0.1", expression)
    assert message in str(caught.value) and f"--fail-under {expression!r}" in str(caught.value)


def test_a_value_is_compared_itself() -> None:
    assert check("model@oracle+4.acc>=0.7", interval(0.7)).passed
    failed = check("model@oracle+4.acc>=0.7", interval(0.65))
    assert failed == GateResult("model@oracle+4.acc>=0.7", False, 0.65, 0.7, "acc is 0.650 over 200 questions", True)
    assert check("model@distract.misled_rate<=0.1", interval(0.1)).passed
    assert not check("model@distract.misled_rate<=0.1", interval(0.11)).passed


def test_a_difference_is_judged_by_the_nearer_end_of_its_interval() -> None:
    """The same gain passes with many questions and fails with few: it might as well be a loss."""
    assert check("delta@oracle+4.acc>=-0.02", difference(0.03, -0.01, 0.07)).passed
    failed = check("delta@oracle+4.acc>=-0.02", difference(0.03, -0.05, 0.11))
    assert (failed.passed, failed.value) == (False, -0.05)
    assert failed.message == "the lower end of +0.030 is -0.050 over 200 questions"
    assert check("delta@distract.misled_rate<=0.02", difference(-0.01, -0.03, 0.01)).value == 0.01
    assert not check("delta@distract.misled_rate<=0.02", difference(-0.01, -0.07, 0.05)).passed


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (None, "missing: this run has no such figure"),
        (interval(None, 200), "undefined: no answer counts for it"),
        (interval(math.nan), "undefined: no answer counts for it"),
        (interval(0.9, 19), "too few: 19 questions, a gate needs 20"),
        (interval(1.0, 1), "too few: 1 question, a gate needs 20"),
        (interval(None, 0), "undefined: no answer counts for it"),
        (difference(0.5, None, None), "no interval: too few passages give it a denominator"),
        (difference(0.5, math.nan, 0.6), "no interval: too few passages give it a denominator"),
    ],
)
def test_what_is_not_there_does_not_pass(figure: Interval | Difference | None, message: str) -> None:
    subject = "delta" if isinstance(figure, Difference) else "model"
    found = check(f"{subject}@oracle+4.acc>={-1 if subject == 'delta' else 0}", figure)
    assert (found.passed, found.message) == (False, message)


def test_a_judges_metric_only_warns() -> None:
    gates = parse("model@oracle+4.acc>=0.9", "model@closed.grounded_acc>=0.9")
    figures = {gate.key: interval(0.5) for gate in gates}
    found = check_gates(gates, figures, advisory={"grounded_acc"})
    assert [(result.passed, result.blocks) for result in found] == [(False, True), (False, False)]


def test_a_failed_gate_has_its_own_exit_code() -> None:
    assert GateFailed("x").exit_code == 4


def stored(pairs: Mapping[str, Pair], data: str = "d1", corpus: str = "c1") -> Stored:
    return Stored(data, corpus, tuple(pairs), {("model", "oracle+4", "acc"): tuple(pairs.values())})


EARLIER: dict[str, Pair] = {f"q{at}": (float(at % 2), 1.0) for at in range(40)}
NOW: dict[str, Pair] = {f"q{at}": (float(at % 4 > 0), 1.0) for at in range(39, -1, -1)}
CLUSTERS = {name: name for name in EARLIER}


def test_questions_are_paired_by_id_whatever_their_order() -> None:
    found = compare_to(stored(NOW), stored(EARLIER), CLUSTERS, place="old.json", seed=1)
    change = found.differences["oracle+4", "acc"]
    assert (found.shared, found.new, found.gone) == (40, 0, 0)
    assert change.value == 0.25 and change.n == 40
    assert change.low is not None and 0.1 < change.low < 0.25


def test_what_was_stored_is_read_back() -> None:
    run = stored({**EARLIER, "lost": None})
    assert read_stored(store(run), place="x") == run
    for damage in ({}, [], {"schema": 2}, {**store(run), "ids": ["q1"]}, {**store(run), "columns": {"m": 3}}):
        with pytest.raises(ConfigError, match=r"--compare-to x: "):
            read_stored(damage, place="x")


def test_other_data_is_refused_unless_forced() -> None:
    now, earlier = stored(NOW), stored(EARLIER, data="d2", corpus="c2")
    with pytest.raises(ConfigError, match="other test rows and other passages"):
        compare_to(now, earlier, CLUSTERS, place="old.json", seed=1)
    with pytest.raises(ConfigError, match=r"other passages, .*--force"):
        check_comparable(now, replace(earlier, data="d1"), place="old.json", force=False)
    assert compare_to(now, earlier, CLUSTERS, place="old.json", force=True, seed=1).shared == 40


def test_only_shared_questions_are_compared_and_some_have_to_be() -> None:
    half = {name: pair for name, pair in EARLIER.items() if int(name[1:]) < 25} | {"gone": (1.0, 1.0)}
    found = compare_to(stored(NOW), stored(half), CLUSTERS, place="old.json", seed=1)
    assert (found.shared, found.new, found.gone) == (25, 15, 1)
    with pytest.raises(ConfigError, match="no question is in both runs"):
        compare_to(stored(NOW), stored({"other": (1.0, 1.0)}), CLUSTERS, place="old.json", seed=1)


def test_figures_of_one_run_alone_are_not_compared() -> None:
    now = Stored("d1", "c1", ("q1",), {("model", "closed", "acc"): ((1.0, 1.0),), ("base", "closed", "acc"): (None,)})
    earlier = Stored("d1", "c1", ("q1",), {("model", "oracle", "acc"): ((1.0, 1.0),)})
    assert compare_to(now, earlier, {"q1": "a"}, place="old.json", seed=1).differences == {}


@pytest.mark.parametrize(
    "expression",
    ["model@oracle+4.acc>=70", "model@oracle+4.acc>=-0.1", "model@oracle+4.misled_rate<=10", "delta@oracle+4.acc>=-2"],
)
def test_a_bound_that_always_or_never_holds_is_refused(expression: str) -> None:
    with pytest.raises(ConfigError, match=r"is a share, .*0.7 for 70 %"):
        parse(expression)


@pytest.mark.parametrize("expression", ["delta@oracle+4.acc>=-0.02", "model@oracle+4.acc>=0", "model@oracle+4.acc>=1"])
def test_a_bound_at_the_ends_is_not(expression: str) -> None:
    assert parse(expression)[0].expression == expression
