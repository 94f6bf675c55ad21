"""Questions are shared out to the splits exactly, related ones on one side."""

from collections import Counter

import pytest
from fakes import by_id, make_chunk, make_question
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.data import Chunk, Question
from raft_cli.generate.split import SPLITS, round_half_up, split_questions


def make_questions(count: int, per_chunk: int = 1, per_document: int = 1) -> tuple[list[Question], dict[str, Chunk]]:
    chunks = [
        make_chunk(f"Text {number}.", number, document=f"doc{number // per_document}")
        for number in range(-(-count // per_chunk))
    ]
    questions = [make_question(chunks[n // per_chunk], f"Which is number {n}?", number=n) for n in range(count)]
    return questions, dict(by_id(chunks))


def split(
    questions: list[Question],
    chunks: dict[str, Chunk],
    *,
    close: tuple[tuple[str, str], ...] = (),
    by: str = "question",
    shares: tuple[float, float] = (0.1, 0.1),
    seed: int = 1,
) -> dict[str, list[Question]]:
    return split_questions(
        questions, chunks=chunks, close=close, by=by, test_share=shares[0], validation_share=shares[1], seed=seed
    )


def sides(result: dict[str, list[Question]]) -> dict[str, str]:
    return {question.id: name for name, questions in result.items() for question in questions}


@given(count=st.integers(0, 120), test=st.floats(0, 0.45), validation=st.floats(0, 0.45), seed=st.integers())
def test_shares_are_exact_and_nobody_is_lost(count: int, test: float, validation: float, seed: int) -> None:
    questions, chunks = make_questions(count)
    result = split(questions, chunks, shares=(test, validation), seed=seed)
    assert list(result) == list(SPLITS)
    assert sorted(sides(result)) == [question.id for question in questions]
    assert sum(map(len, result.values())) == count
    assert len(result["test"]) == round_half_up(test * count)
    assert len(result["validation"]) == round_half_up(validation * count)
    for members in result.values():
        assert members == sorted(members, key=lambda question: question.id)


def test_defaults_are_eight_to_one_to_one() -> None:
    assert {name: len(found) for name, found in split(*make_questions(100)).items()} == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }


def test_seed_alone_decides_whatever_the_order() -> None:
    questions, chunks = make_questions(60)
    first = split(questions, chunks)
    assert split(questions[::-1], chunks) == first
    assert split(questions, chunks, seed=2) != first


@given(
    per_chunk=st.integers(1, 5),
    per_document=st.integers(1, 4),
    close=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=15),
    by=st.sampled_from(["question", "chunk", "document"]),
    seed=st.integers(0, 99),
)
def test_related_questions_stay_together(
    per_chunk: int, per_document: int, close: list[tuple[int, int]], by: str, seed: int
) -> None:
    questions, chunks = make_questions(40, per_chunk, per_document)
    pairs = tuple((questions[one].id, questions[other].id) for one, other in close)
    side = sides(split(questions, chunks, close=pairs, by=by, seed=seed))
    assert all(side[one] == side[other] for one, other in pairs)
    if by != "question":
        places: dict[str, set[str]] = {}
        for question in questions:
            chunk = chunks[question.chunk_ids[0]]
            places.setdefault(chunk.id if by == "chunk" else chunk.document_id, set()).add(side[question.id])
        assert all(len(found) == 1 for found in places.values())


def test_multi_hop_joins_both_of_its_documents() -> None:
    questions, chunks = make_questions(10)
    first, second = chunks["chunk0000"], chunks["chunk0001"]
    bridge = make_question(first, "Which of the two is it?", second, number=99)
    for seed in range(20):
        side = sides(split([*questions, bridge], chunks, by="document", shares=(0.3, 0.3), seed=seed))
        assert side[questions[0].id] == side[questions[1].id] == side[bridge.id]


def test_large_groups_leave_no_split_empty() -> None:
    questions, chunks = make_questions(30, per_chunk=5)
    counts = Counter(sides(split(questions, chunks, by="chunk")).values())
    assert counts == {"train": 20, "validation": 5, "test": 5}
    alone, chunks = make_questions(30, per_chunk=30)
    assert Counter(sides(split(alone, chunks, by="chunk")).values()) == {"train": 30}
    assert Counter(sides(split(questions, chunks, shares=(0, 0))).values()) == {"train": 30}


@pytest.mark.parametrize(("value", "rounded"), [(0, 0), (0.5, 1), (2.5, 3), (2.49, 2), (3.5, 4)])
def test_halves_go_up(value: float, rounded: int) -> None:
    assert round_half_up(value) == rounded
