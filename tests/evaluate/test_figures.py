"""From graded answers to figures: what counts where, which questions a difference is over, which tests are made."""

from dataclasses import replace

import pytest
from exams import make_corpus, make_item

from raft_cli.data import Role
from raft_cli.evaluate.figures import (
    Table,
    compare_models,
    compare_primary,
    estimate_all,
    find_primary,
    share,
    tabulate_answers,
)
from raft_cli.evaluate.records import Case, Response
from raft_cli.evaluate.results import Answer
from raft_cli.evaluate.robustness import (
    contrast_conditions,
    follow_oracle,
    measure_refusals,
    measure_retrieval,
    slice_questions,
)
from raft_cli.evaluate.score import grade_response

CORPUS = make_corpus(40)
CHUNKS = list(CORPUS.values())
ITEMS = [
    make_item(at, CHUNKS[at], gold=f"{at + 40} minutes", seen=at % 2 == 0, language="zh" if at < 10 else "en")
    for at in range(30)
]
UNITS = {item.id: item.oracle_ids[0] for item in ITEMS}
RIGHT, WRONG, DECLINED, MISSING = "right", "wrong", "declined", "missing"
TEXTS = {WRONG: "<ANSWER>: 7 days", DECLINED: "<ANSWER>: I don't know.", MISSING: ""}


def answer(
    item_at: int, condition: str, what: str, *, model: str = "model", oracle: bool = True, at: int = 0
) -> Answer:
    item = ITEMS[item_at]
    documents = [CHUNKS[30 + step] for step in range(3)]
    if oracle:
        documents.insert(at, CHUNKS[item_at])
    roles = tuple(Role.ORACLE if chunk.id in item.oracle_ids else Role.RANDOM for chunk in documents)
    places = tuple(place for place, role in enumerate(roles) if role is Role.ORACLE)
    shown = () if condition == "closed" else tuple(documents)
    case = Case(item.id, condition, shown, roles[: len(shown)], places if shown else (), item.golds)
    text = TEXTS.get(what, f"<ANSWER>: {item.golds[0]}")
    response = Response(text, "stop", 100, 10, error="no answer" if what == MISSING else "")
    grade = None if what == MISSING else grade_response(item, case, response)
    return Answer(model, item, case, "hash", response, grade)


def tabulate(*answers: Answer, judged: bool = False) -> Table:
    return tabulate_answers(answers, UNITS, judged=judged, seed=1)


def test_a_missing_answer_is_scored_nowhere_and_one_not_asked_does_not_count() -> None:
    table = tabulate(answer(0, "oracle+4", RIGHT), answer(1, "oracle+4", WRONG), answer(2, "oracle+4", MISSING))
    column = table.pick("model", "oracle+4")
    assert column is not None and column[:4] == ((1.0, 1.0), (0.0, 1.0), None, (0.0, 0.0))
    figure = estimate_all(table)["model", "oracle+4", "acc"]
    assert (figure.value, figure.n, figure.missing) == (0.5, 2, 1)
    assert table.pick("base", "oracle+4") is None


def test_the_judge_counts_where_it_judged() -> None:
    answers = [answer(at, "oracle", RIGHT) for at in range(3)]
    verdicts = ("CORRECT", "INCORRECT", "NOT_ATTEMPTED")
    judged = [replace(each, judged=verdict) for each, verdict in zip(answers, verdicts, strict=True)]
    column = tabulate(*judged, judged=True).pick("model", "oracle", "judged")
    assert column is not None and column[:4] == ((1.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 0.0))
    assert tabulate(*judged).pick("model", "oracle", "judged") is None


def test_a_judge_that_fails_flatters_nobody() -> None:
    """What equals a gold needs no verdict, so the verdicts that are missing are those of doubtful answers."""
    answers = [answer(at, "oracle", RIGHT if at < 20 else WRONG) for at in range(30)]
    judged = [replace(each, judged="CORRECT" if at < 20 else "") for at, each in enumerate(answers)]
    assert estimate_all(tabulate(*judged, judged=True))["model", "oracle", "judged"].value is None


def test_a_difference_is_over_questions_that_both_answered() -> None:
    answers = [answer(at, "oracle+4", RIGHT if at < 20 else WRONG) for at in range(30)]
    answers += [
        answer(at, "oracle+4", MISSING if at >= 25 else RIGHT if at < 10 else WRONG, model="base") for at in range(30)
    ]
    table = tabulate(*answers)
    differences = compare_models(table)
    gain = differences["oracle+4", "acc"]
    assert (gain.value, gain.n, gain.missing) == (pytest.approx(10 / 25), 25, 5)
    (test,) = compare_primary(table, differences, ["oracle+4"])
    assert (test.better, test.worse) == (10, 0)
    assert test.p == pytest.approx(2 / 2**10) and test.adjusted == pytest.approx(test.p)
    assert test.smallest is not None and 0 < test.smallest < 0.5


def test_p_is_adjusted_for_the_number_of_conditions() -> None:
    answers = []
    for condition, gained in (("oracle", 6), ("oracle+4", 8), ("closed", 0)):
        answers += [answer(at, condition, RIGHT if at < gained else WRONG) for at in range(30)]
        answers += [answer(at, condition, WRONG, model="base") for at in range(30)]
    table = tabulate(*answers)
    tests = compare_primary(table, compare_models(table), ["oracle", "oracle+4", "closed"])
    assert [test.p for test in tests] == [pytest.approx(2 / 2**6), pytest.approx(2 / 2**8), 1]
    assert [test.adjusted for test in tests] == [pytest.approx(2 * 2 / 2**6), pytest.approx(3 * 2 / 2**8), 1]


def test_columns_are_shared_where_all_count() -> None:
    one, other = share([[(1, 1), (0, 0), None, (1, 1)], [(0, 1), (1, 1), (1, 1), None]])
    assert one == [(1, 1), (0, 0), None, (1, 1)]
    assert other == [(0, 1), (0, 0), (1, 1), None]


def test_contrasts_are_over_the_same_questions() -> None:
    answers = [answer(at, "oracle", RIGHT) for at in range(30)]
    answers += [answer(at, "oracle+8", RIGHT if at < 5 else WRONG) for at in range(20)]  # ten lack distractors
    answers += [answer(at, "closed", DECLINED) for at in range(30)]
    found = {each.name: each.difference for each in contrast_conditions(tabulate(*answers), ["model"], CONDITIONS)}
    assert found.keys() == {"context_gain", "distraction_8"}
    assert (found["context_gain"].value, found["context_gain"].n) == (1.0, 30)
    assert (found["distraction_8"].value, found["distraction_8"].n) == (0.75, 20)


CONDITIONS = ["closed", "oracle", "oracle+8"]


def test_every_contrast_has_its_own_conditions() -> None:
    names = ["closed", "oracle", "oracle+4", "distract", "retrieved@5", "pos@0", "pos@0.5", "pos@1"]
    share_right = {
        "closed": 3,
        "oracle": 27,
        "oracle+4": 24,
        "distract": 6,
        "retrieved@5": 21,
        "pos@0": 30,
        "pos@0.5": 12,
    }
    answers = [
        answer(at, name, RIGHT if at < share_right.get(name, 24) else WRONG) for name in names for at in range(30)
    ]
    found = {each.name: each.difference.value for each in contrast_conditions(tabulate(*answers), ["model"], names)}
    assert found == {
        "context_gain": pytest.approx(0.8),
        "distraction_4": pytest.approx(0.1),
        "retrieval_gap_5": pytest.approx(0.1),
        "interference": pytest.approx(-0.1),
        "mid_drop": pytest.approx(0.5 * 1 + 0.5 * 0.8 - 0.4),
    }


def test_slices_divide_the_questions() -> None:
    answers = [answer(at, "oracle+4", RIGHT if at % 2 == 0 else WRONG) for at in range(30)]
    found = slice_questions(tabulate(*answers), ITEMS, ["model"], ["oracle+4"], "oracle+4")
    held = {(each.kind, each.name): each.figure for each in found}
    assert held["chunk", "seen in training"].value == 1 and held["chunk", "seen in training"].n == 15
    assert held["chunk", "unseen in training"].value == 0
    assert (held["language", "zh"].n, held["language", "en"].n) == (10, 20)
    assert sum(kind == "source" for kind, _ in held) == 30
    assert not any(kind == "question" for kind, _ in held)  # all of one kind


def test_positions_are_in_order_and_tested() -> None:
    places = ["pos@0", "pos@1", "pos@0.5"]
    answers = [
        answer(at, name, RIGHT if name != "pos@0.5" or at < 15 else WRONG, at=1) for name in places for at in range(30)
    ]
    table = tabulate(*answers)
    positions, (steady,) = follow_oracle(estimate_all(table), table, ["model"], places)
    assert [(each.place, each.acc.value) for each in positions] == [(0, 1), (0.5, 0.5), (1, 1)]
    assert (steady.consistent, steady.n) == (0.5, 30)
    assert steady.q == pytest.approx(30) and steady.p is not None and steady.p < 1e-5


def test_retrieval_is_measured_whatever_the_model_says() -> None:
    answers = [answer(at, "retrieved@4", RIGHT, at=at % 2) for at in range(20)]
    answers += [answer(at, "retrieved@4", WRONG, oracle=False) for at in range(20, 30)]
    (found,) = measure_retrieval(tabulate(*answers), ITEMS, [each.case for each in answers], ["model"])
    assert found.hit.value == pytest.approx(20 / 30)
    assert found.mrr.value == pytest.approx((10 * 1 + 10 * 0.5) / 30)
    assert found.ndcg.value == pytest.approx((10 * 1 + 10 / 1.5849625) / 30)
    hit, miss = found.right["model"]
    assert (hit.value, hit.n, miss.value, miss.n) == (1, 20, 0, 10)


def test_grounded_refusal_needs_both_conditions() -> None:
    answers = [answer(at, "oracle+4", RIGHT) for at in range(30)]
    assert measure_refusals(tabulate(*answers), ["model"], "oracle+4") == {}
    answers += [answer(at, "distract", DECLINED, oracle=False) for at in range(30)]
    assert measure_refusals(tabulate(*answers), ["model"], "oracle+4") == {"model": 1.0}


@pytest.mark.parametrize(
    ("conditions", "primary"),
    [
        (["closed", "oracle", "oracle+4", "distract"], "oracle+4"),
        (["closed", "oracle+1", "oracle+8"], "oracle+1"),
        (["closed", "oracle"], "oracle"),
        (["retrieved@5", "closed"], "retrieved@5"),
    ],
)
def test_the_condition_that_decides(conditions: list[str], primary: str) -> None:
    assert find_primary(conditions) == primary
