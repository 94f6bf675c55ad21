"""Splits that stay short because questions hang together."""

from hypothesis import given
from hypothesis import strategies as st

from raft_cli.data import Question
from raft_cli.generate.carve import carve_splits

SHARES = {"test": 0.1, "validation": 0.1}


def make_questions(count: int) -> list[Question]:
    return [Question(f"{number:04}", ("c",), f"question {number}?", "factoid") for number in range(count)]


def carve(count: int, close: list[tuple[str, str]]) -> tuple[dict[str, list[Question]], dict[str, str]]:
    sides = {"train": make_questions(count), "validation": [], "test": []}
    return carve_splits(sides, close, shares=SHARES, seed=1)


def test_a_chain_through_everything_still_fills_both_splits() -> None:
    close = [(f"{number:04}", f"{number + 1:04}") for number in range(99)]
    splits, dropped = carve(100, close)
    assert 2 <= len(splits["test"]) <= 10
    assert 2 <= len(splits["validation"]) <= 10
    assert len(dropped) <= 10
    assert sum(map(len, splits.values())) + len(dropped) == 100


def test_splits_that_are_full_enough_stay_as_they_are() -> None:
    questions = make_questions(100)
    sides = {"train": questions[20:], "validation": questions[10:20], "test": questions[:10]}
    splits, dropped = carve_splits(sides, [], shares=SHARES, seed=1)
    assert splits == sides
    assert not dropped


def test_a_star_is_not_moved_as_a_whole() -> None:
    splits, _ = carve(100, [("0000", f"{number:04}") for number in range(1, 100)])
    assert all(len(splits[name]) <= 10 for name in SHARES)


@given(st.integers(2, 60), st.data())
def test_no_close_pair_ends_up_on_two_sides(count: int, data: st.DataObject) -> None:
    number = st.integers(0, count - 1)
    drawn = data.draw(st.lists(st.tuples(number, number).filter(lambda pair: pair[0] != pair[1]), max_size=120))
    close = [(f"{one:04}", f"{other:04}") for one, other in drawn]
    splits, dropped = carve(count, close)
    side = {question.id: name for name, questions in splits.items() for question in questions}
    assert all(side[one] == side[other] for one, other in close if one in side and other in side)
    assert side.keys() | dropped.keys() == {f"{number:04}" for number in range(count)}
    assert len(dropped) <= 0.1 * count
    assert splits["train"]
