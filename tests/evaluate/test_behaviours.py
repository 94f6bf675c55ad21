"""Students of known behaviour, asked over HTTP, get the figures that their behaviour implies, in every condition."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from behaving import Student
from exams import ASKED, HALLS, make_halls, write_halls

from raft_cli.config.evaluate import EvalConfig
from raft_cli.evaluate import results as made
from raft_cli.evaluate.results import Results
from raft_cli.evaluate.run import evaluate_models
from raft_cli.progress import Progress

QUIET = Progress(quiet=True)
CONDITIONS = "closed oracle oracle+1 oracle+4 oracle+8 distract retrieved@3 pos@0 pos@0.5 pos@1 counter".split()
DOCUMENTS = dict(zip(CONDITIONS, (0, 1, 2, 5, 9, 3, 3, 9, 9, 9, 1), strict=True))
FOUND = {0: 1, 1: 2, 2: None}  # hall modulo 3, and the rank at which the retriever of these tests has its passage
PAIRS = [
    ("quotes", "reads"),
    ("bare", "remembers"),
    ("distracted", "misled"),
    ("alters", "refuses"),
    ("rambles", "unformatted"),
    ("filtered", "echoes"),
    ("silent", "severed"),
]
NUMBERS = range(ASKED)


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands in a prompt: the oracle, others, and whether the oracle tells another answer than memory does."""

    number: int
    condition: str
    oracle: bool
    others: bool

    @property
    def swapped(self) -> bool:
        return self.condition == "counter"


@dataclass(frozen=True, slots=True)
class Act:
    """What an answer is, by this test's own account; `knows` are the right words, whether tagged or not."""

    knows: bool
    tagged: bool = True
    quote: str = ""
    refuses: bool = False
    misled: bool = False
    cut: bool = False
    malformed: bool = False
    missing: bool = False


ACTS: dict[str, Callable[[Shown], Act]] = {
    "quotes": lambda it: Act(True, quote="oracle" if it.oracle else ""),
    "reads": lambda it: Act(it.oracle, refuses=not it.oracle),
    "bare": lambda it: Act(not it.swapped),
    "remembers": lambda it: Act(not it.oracle),
    "distracted": lambda it: Act(True, quote="distractor" if it.others else ""),
    "misled": lambda it: Act(False, misled=it.others),
    "echoes": lambda it: Act(False, misled=it.others and not it.oracle),
    "alters": lambda it: Act(True, quote="altered" if it.oracle else ""),
    "refuses": lambda it: Act(False, refuses=True),
    "rambles": lambda it: Act(False, tagged=False, cut=True),
    "silent": lambda it: Act(False, tagged=False),
    "severed": lambda it: Act(False, tagged=False, cut=True, malformed=True),
    "unformatted": lambda it: Act(not it.swapped, tagged=False),
    "filtered": lambda it: Act(True, quote="oracle" if it.oracle else "", missing=it.number % 3 == 0),
}
Ratio = Callable[[Shown, Act], float | None]
"""What one answer adds to a figure; None where the figure does not apply to it."""


def is_right(act: Act) -> bool:
    return act.knows and act.tagged


def is_wrong(act: Act) -> bool:
    return not is_right(act) and not act.refuses


def is_grounded(act: Act) -> bool:
    return is_right(act) and act.quote == "oracle"


def can_ground(it: Shown) -> bool:
    return it.condition not in ("closed", "distract")


FIGURES: dict[str, Ratio] = {
    "acc": lambda it, act: is_right(act),
    "em": lambda it, act: is_right(act),
    "acc_lenient": lambda it, act: act.knows,
    "em_lenient": lambda it, act: act.knows,
    "format_rate": lambda it, act: act.tagged,
    "quote_rate": lambda it, act: bool(act.quote),
    "malformed_rate": lambda it, act: act.malformed,
    "citation_precision": lambda it, act: act.quote == "oracle" if act.quote and can_ground(it) else None,
    "citation_precision_mean": lambda it, act: act.quote == "oracle" if act.quote and can_ground(it) else None,
    "citation_chance": lambda it, act: 1 / DOCUMENTS[it.condition] if it.oracle else None,
    "citation_recall": lambda it, act: act.quote == "oracle" if it.oracle else None,
    "grounded_acc": lambda it, act: is_grounded(act) if can_ground(it) else None,
    "lucky": lambda it, act: is_right(act) and not is_grounded(act) if can_ground(it) else None,
    "verbatim_rate": lambda it, act: act.quote != "altered" if act.quote else None,
    "near_rate": lambda it, act: False if act.quote else None,
    "fabrication_rate": lambda it, act: act.quote == "altered" if act.quote else None,
    "altered_rate": lambda it, act: act.quote == "altered" if act.quote else None,
    "distractor_citation_rate": lambda it, act: act.quote == "distractor" if act.quote else None,
    "distractor_citation_share": lambda it, act: act.quote == "distractor",
    "overquoted": lambda it, act: False,
    "misled_rate": lambda it, act: act.misled,
    "refusal_rate": lambda it, act: act.refuses,
    "over_refusal": lambda it, act: act.refuses if it.oracle else None,
    "wrong_rate": lambda it, act: is_wrong(act),
    "crag": lambda it, act: is_right(act) - is_wrong(act),
    "length_share": lambda it, act: act.cut,
}


def list_shown(condition: str) -> Iterator[Shown]:
    """Yield what the prompts of a condition show, by the meaning of its name."""
    kind = condition.partition("+")[0].partition("@")[0]
    for number in NUMBERS:
        oracle = FOUND[number % 3] is not None if kind == "retrieved" else kind not in ("closed", "distract")
        yield Shown(number, condition, oracle, DOCUMENTS[condition] > oracle)


def expect(behaviour: str, condition: str, metric: str) -> tuple[float | None, int, int]:
    """Return value, number of answers that count, and number that are missing."""
    acts = [(it, ACTS[behaviour](it)) for it in list_shown(condition)]
    added = [FIGURES[metric](it, act) for it, act in acts if not act.missing]
    counted = [float(each) for each in added if each is not None]
    return (math.fsum(counted) / len(counted) if counted else None), len(counted), len(acts) - len(added)


def write_run(path: Path) -> Path:
    """Write a ranking of three passages for each question."""
    chunks = make_halls()
    with path.open("w") as file:
        for number in NUMBERS:
            found = [chunks[(number + step) % HALLS].id for step in (1, 2, 3)]
            if rank := FOUND[number % 3]:
                found[rank - 1] = chunks[number].id
            for rank, chunk in enumerate(found, 1):
                file.write(f"t{number:02} Q0 {chunk} {rank} {9 - rank} mine\n")
    return path


@pytest.fixture(scope="module")
def examine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Results]]:
    """Return a function that examines a model beside a baseline; the same two are examined once."""
    folder = tmp_path_factory.mktemp("behaviours")
    data, ranking = write_halls(folder / "data"), write_run(folder / "mine.trec")
    with Student() as student:

        @cache
        def run(model: str, base: str, conditions: str = ",".join(CONDITIONS), base_prompt: str = "plain") -> Results:
            config = EvalConfig(
                model=student.name(model),
                baseline=student.name(base),
                conditions=conditions,
                baseline_prompt=base_prompt,
                retrieved=str(ranking),
                partial=True,
            )
            student.reset()
            results = evaluate_models(data, folder / f"{model}-{base}-{base_prompt}-{len(conditions)}", config, QUIET)
            assert max(ticket.attempt for ticket in student.log()) == 1  # no prompt is sent twice
            return results

        yield run


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_figure_is_what_the_behaviour_implies(examine: Callable[..., Results], pair: tuple[str, str]) -> None:
    results = examine(*pair)
    assert results.conditions == tuple(CONDITIONS)
    wrong = []
    for label, behaviour in zip(("model", "base"), pair, strict=True):
        for condition in CONDITIONS:
            for metric in FIGURES:
                found = results.figures[label, condition, metric]
                value, n, missing = expect(behaviour, condition, metric)
                same = found.value == value or (value is not None and found.value == pytest.approx(value))
                if not same or (found.n, found.missing) != (n, missing):
                    told = f"{found.value} of {found.n}, {found.missing} missing"
                    wrong.append(f"{behaviour} {condition} {metric}: {told}; must be {value} of {n}, {missing} missing")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_check_of_the_scores_finds_nothing(examine: Callable[..., Results], pair: tuple[str, str]) -> None:
    results = examine(*pair)
    assert results.failures == () and results.gates == () and results.judged is None and results.change is None
    assert results.complete is (pair[0] != "filtered")
    assert results.leaks.overlap == results.leaks.alike == 0


BY_HAND = [
    # behaviour, condition, metric, value: written down without the account above
    ("quotes", "closed", "acc", 1.0),
    ("quotes", "closed", "citation_precision", None),
    ("quotes", "closed", "grounded_acc", None),
    ("quotes", "oracle+8", "grounded_acc", 1.0),
    ("quotes", "retrieved@3", "grounded_acc", 2 / 3),
    ("quotes", "retrieved@3", "lucky", 1 / 3),
    ("quotes", "retrieved@3", "citation_recall", 1.0),
    ("quotes", "counter", "acc", 1.0),
    ("bare", "counter", "acc", 0.0),
    ("bare", "oracle", "lucky", 1.0),
    ("distracted", "distract", "distractor_citation_rate", 1.0),
    ("distracted", "oracle", "quote_rate", 0.0),
    ("distracted", "oracle", "distractor_citation_rate", None),
    ("distracted", "oracle+4", "citation_precision", 0.0),
    ("distracted", "oracle+4", "fabrication_rate", 0.0),
    ("alters", "pos@0.5", "altered_rate", 1.0),
    ("alters", "pos@0.5", "grounded_acc", 0.0),
    ("alters", "pos@0.5", "acc", 1.0),
    ("refuses", "distract", "over_refusal", None),
    ("refuses", "oracle", "over_refusal", 1.0),
    ("refuses", "oracle", "crag", 0.0),
    ("misled", "oracle", "misled_rate", 0.0),
    ("misled", "distract", "misled_rate", 1.0),
    ("misled", "distract", "crag", -1.0),
    ("remembers", "distract", "acc", 1.0),
    ("remembers", "retrieved@3", "acc", 1 / 3),
    ("reads", "retrieved@3", "refusal_rate", 1 / 3),
    ("rambles", "oracle", "length_share", 1.0),
    ("rambles", "oracle", "crag", -1.0),
    ("unformatted", "oracle", "acc", 0.0),
    ("unformatted", "oracle", "acc_lenient", 1.0),
    ("unformatted", "counter", "acc_lenient", 0.0),
]


@pytest.mark.parametrize(("behaviour", "condition", "metric", "value"), BY_HAND)
def test_figures_written_by_hand(
    examine: Callable[..., Results], behaviour: str, condition: str, metric: str, value: float | None
) -> None:
    pair = next(pair for pair in PAIRS if behaviour in pair)
    label = ("model", "base")[pair.index(behaviour)]
    found = examine(*pair).figures[label, condition, metric].value
    assert found is None if value is None else found == pytest.approx(value)


def test_whole_answers_are_kept_with_what_they_were_asked(examine: Callable[..., Results]) -> None:
    results = examine("quotes", "reads")
    assert len(results.answers) == 2 * ASKED * len(CONDITIONS)
    prompts = {answer.prompt for answer in results.answers}
    assert ASKED * (len(CONDITIONS) - 1) < len(prompts) < ASKED * len(CONDITIONS)  # pos@R may be oracle+8
    assert [each.asked + each.replayed for each in results.examinees] == [len(prompts)] * 2
    assert all(answer.response.prompt_tokens > 0 for answer in results.answers)
    assert {item.language for item in results.items} == {"en", "zh"} and sum(i.seen for i in results.items) == 12


def pick(results: Results, condition: str) -> made.Test:
    return next(test for test in results.tests if test.condition == condition)


@pytest.mark.parametrize(
    ("pair", "condition", "better", "worse"),
    [
        (("quotes", "reads"), "closed", ASKED, 0),
        (("quotes", "reads"), "distract", ASKED, 0),
        (("quotes", "reads"), "oracle+4", 0, 0),
        (("quotes", "reads"), "retrieved@3", ASKED // 3, 0),
        (("bare", "remembers"), "oracle", ASKED, 0),
        (("bare", "remembers"), "closed", 0, 0),
        (("filtered", "echoes"), "oracle+4", ASKED - ASKED // 3, 0),
    ],
)
def test_mcnemar_counts_who_alone_was_right(
    examine: Callable[..., Results], pair: tuple[str, str], condition: str, better: int, worse: int
) -> None:
    test = pick(examine(*pair), condition)
    assert (test.better, test.worse) == (better, worse)
    assert test.p == pytest.approx(1.0 if not better else 2 / 2**better)


def test_mcnemar_of_two_that_are_right_about_different_halls(examine: Callable[..., Results]) -> None:
    results = examine("odd", "thirds", "closed,oracle,oracle+4")
    # right about odd halls: 12 of 24; about every third: 8; both: 3, 9, 15, 21; so 8 and 4 stand alone
    tail = sum(math.comb(12, at) for at in range(5)) / 2**12
    for test in results.tests:
        assert (test.better, test.worse, test.difference.n) == (8, 4, 24)
        assert test.difference.value == pytest.approx(12 / 24 - 8 / 24)
        assert test.p == pytest.approx(2 * tail) == pytest.approx(0.3877, abs=1e-4)
        assert test.adjusted == 1.0  # 3 × 0.39
    assert "No difference was found" in results.verdict and "50.0 %" in results.verdict and "33.3 %" in results.verdict


def test_a_sure_difference_is_told_with_both_shares(examine: Callable[..., Results]) -> None:
    ahead = examine("bare", "remembers").verdict
    assert "ahead of its base" in ahead and "oracle+4" in ahead and "100.0 %" in ahead and "+100.0" in ahead
    behind = examine("remembers", "bare", "oracle+4").verdict
    assert "behind its base" in behind and "-100.0" in behind.replace("−", "-")
    same = examine("quotes", "reads")
    assert "No difference was found" in same.verdict and "100.0 %" in same.verdict
    assert pick(same, "oracle+4").smallest is None


def contrast(results: Results, label: str, name: str) -> made.Contrast:
    return next(each for each in results.contrasts if (each.model, each.name) == (label, name))


@pytest.mark.parametrize(
    ("behaviour", "name", "value"),
    [
        ("quotes", "context_gain", 0.0),
        ("reads", "context_gain", 1.0),
        ("remembers", "context_gain", -1.0),
        ("reads", "interference", 0.0),
        ("reads", "distraction_8", 0.0),
        ("reads", "mid_drop", 0.0),
        ("dazed", "context_gain", 0.0),
        ("dazed", "distraction_1", 1.0),
        ("dazed", "distraction_8", 1.0),
        ("dazed", "interference", 1.0),
        ("edges", "mid_drop", 1.0),
    ],
)
def test_contrasts_between_conditions(examine: Callable[..., Results], behaviour: str, name: str, value: float) -> None:
    pair = next((pair for pair in PAIRS if behaviour in pair), ("dazed", "edges"))
    label = ("model", "base")[pair.index(behaviour)]
    found = contrast(examine(*pair), label, name).difference
    assert found.value == pytest.approx(value) and found.n == ASKED
    unseen = 1 - 0.025 ** (1 / ASKED)  # what may still be where all passages agree: the exact binomial bound
    assert found.low == pytest.approx(max(-1, value - unseen)) and found.high == pytest.approx(min(1, value + unseen))


def test_places_and_how_steady_a_model_is(examine: Callable[..., Results]) -> None:
    results = examine("dazed", "edges")
    places = {(each.model, each.place): each.acc.value for each in results.positions}
    assert [places["base", at] for at in (0, 0.5, 1)] == [1.0, 0.0, 1.0]
    assert [places["model", at] for at in (0, 0.5, 1)] == [0.0, 0.0, 0.0]
    dazed, edges = results.steadiness
    assert (dazed.consistent, dazed.n, dazed.q, dazed.p) == (1.0, ASKED, None, None)
    # each row is 1 0 1: Q = 3 · 2 · (2 · 8² + 16²) / (24 · 2) = 48, with two degrees of freedom
    assert (edges.consistent, edges.n) == (0.0, ASKED)
    assert edges.q == pytest.approx(48.0) and edges.p == pytest.approx(math.exp(-24))


def test_retrieval_is_measured_whatever_the_model_makes_of_it(examine: Callable[..., Results]) -> None:
    (found,) = examine("quotes", "reads").retrievals
    assert found.condition == "retrieved@3" and found.hit.n == ASKED
    assert found.hit.value == pytest.approx(2 / 3)
    assert found.mrr.value == pytest.approx((1 + 1 / 2) / 3)
    assert found.ndcg.value == pytest.approx((1 + 1 / math.log2(3)) / 3)
    hit, miss = found.right["base"]
    assert (hit.value, hit.n, miss.value, miss.n) == (1.0, 16, 0.0, 8)
    hit, miss = found.right["model"]
    assert (hit.value, miss.value) == (1.0, 1.0)


def test_declining_where_and_only_where_the_oracle_is_missing(examine: Callable[..., Results]) -> None:
    found = examine("quotes", "reads").grounded_refusal
    assert found["base"] == pytest.approx(1.0)
    assert "model" not in found  # it never declines: nothing to tell
    # always declines: 24 rightly of 48, F1 2·24 / (48 + 24); never answers
    assert examine("alters", "refuses").grounded_refusal["base"] == pytest.approx((2 / 3 + 0) / 2)


def test_what_is_missing_is_scored_nowhere_and_told(examine: Callable[..., Results]) -> None:
    results = examine("filtered", "echoes")
    held_back = [answer for answer in results.answers if answer.grade is None]
    assert len(held_back) == ASKED // 3 * len(CONDITIONS) and {answer.model for answer in held_back} == {"model"}
    assert all("filter" in answer.response.error for answer in held_back)
    difference = results.differences["oracle+4", "acc"]
    assert (difference.value, difference.n, difference.missing) == (1.0, 16, 8)
    assert any("88 of 264 answers are missing" in warning for warning in results.warnings)


def test_what_rambles_is_warned_of(examine: Callable[..., Results]) -> None:
    results = examine("rambles", "unformatted")
    assert any("100 % of its answers were cut off" in warning for warning in results.warnings)
    assert results.figures["model", "oracle", "answer_tokens"].value is not None


def test_a_base_that_needs_the_format_told_is_asked_so(examine: Callable[..., Results]) -> None:
    results = examine("quotes", "needy", "closed,oracle+4", "auto")
    model, base = results.examinees
    assert (model.prompt, model.tried) == ("plain", ())
    assert base.prompt == "instructed"
    assert base.tried == (("instructed", 1.0, 12), ("plain", 0.0, 12))
    assert results.figures["base", "oracle+4", "grounded_acc"].value == 1.0
    assert results.differences["oracle+4", "acc"].value == 0.0
    assert not any("best prompt" in warning for warning in results.warnings)


def test_columns_that_are_kept_hold_what_was_reported(examine: Callable[..., Results]) -> None:
    results = examine("alters", "refuses")
    for (label, condition, metric), column in results.stored.columns.items():
        counted: Sequence[tuple[float, float]] = [pair for pair in column if pair and pair[1]]
        value = sum(pair[0] for pair in counted) / sum(pair[1] for pair in counted) if counted else None
        figure = results.figures[label, condition, metric].value
        assert figure == (None if value is None else pytest.approx(value))
