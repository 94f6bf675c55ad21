"""The free half as a whole: every answered question ends in a row or a reject, the same at each run."""

from collections import Counter

import pytest
from fakes import by_id, make_answer, make_chunks, make_question, quote_chunk, unlike_question
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_cli.config.generate import GenerateConfig
from raft_cli.data import Answer, Question
from raft_cli.generate.assemble import Assembly, assemble, count_reasons, make_row
from raft_cli.prompts import load_prompts

PROMPTS = load_prompts()
NAMES = [f"{one}{other}" for one in "Alba Bora Cato Dena Egon Fara".split() for other in "lux nor pex tik vum".split()]
CHUNKS = make_chunks(f"The {name} engine draws {n * 37 + 1000} watts at rest." for n, name in enumerate(NAMES))


def make_work(count: int) -> tuple[list[Question], dict[str, Answer]]:
    questions, answers = [], {}
    for number in range(count):
        chunk = CHUNKS[number % len(CHUNKS)]
        text = unlike_question(number % len(CHUNKS)) + "?" * (number // len(CHUNKS))
        question = make_question(chunk, text, number=number)
        words = chunk.text.split(" draws ")[1].removesuffix(" at rest.")
        questions.append(question)
        answers[question.id] = make_answer(question, [quote_chunk(chunk, words)], words)
    return questions, answers


def run(count: int, steps: list[str] | None = None, **chosen: object) -> Assembly:
    questions, answers = make_work(count)
    told = steps if steps is not None else []
    config = GenerateConfig(**chosen)  # type: ignore[arg-type]
    return assemble(questions, answers, by_id(CHUNKS), config, PROMPTS, mark=told.append)


@given(
    count=st.integers(1, 45),
    share=st.floats(0, 1),
    source=st.sampled_from(["random", "lexical", "mixed"]),
    target=st.sampled_from(["no-quotes", "answer", "refuse"]),
    by=st.sampled_from(["question", "chunk", "document"]),
    both=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_every_question_is_settled(count: int, share: float, source: str, target: str, by: str, both: bool) -> None:
    made = run(
        count, oracle_share=share, distractor_source=source, absent_target=target, split_by=by, both_contexts=both
    )
    ids = [question.id for question in made.questions] + [reject.question_id for reject in made.rejects]
    assert sorted(ids) == [f"question{number:04}" for number in range(count)]
    rows = [make_row(example, by_id(CHUNKS)) for examples in made.splits.values() for example in examples]
    assert len(rows) == len(made.questions) * (2 if both else 1)
    assert len({row["id"] for row in rows}) == len(rows)


def test_repeats_go_and_shares_are_exact() -> None:
    steps: list[str] = []
    made = run(45, steps)
    assert count_reasons(made.rejects) == {"near-duplicate-question": 15}
    assert {name: len(examples) for name, examples in made.splits.items()} == {"train": 24, "validation": 3, "test": 3}
    assert [sum(bool(row.oracle) for row in rows) for rows in made.splits.values()] == [19, 2, 2]
    assert len(steps) == 2


@pytest.mark.parametrize("chosen", [{}, {"oracle_share": 0.5}, {"distractors": 2}, {"absent_target": "refuse"}])
def test_the_same_again_and_splits_that_stay(chosen: dict[str, object]) -> None:
    first, plain = run(30, **chosen), run(30)
    assert run(30, **chosen) == first
    sides = [{row.question.id for row in made.splits["test"]} for made in (first, plain)]
    assert sides[0] == sides[1]


def test_rows_with_fewer_hard_ones_than_asked_for_are_counted() -> None:
    assert run(10, distractor_source="random").short_hard == 0
    assert run(10, distractor_source="mixed").short_hard == 0
    short = run(10, distractor_source="lexical", distractors=29, oracle_share=1.0)
    hard = Counter(sum(role.value == "hard" for role in row.roles) for row in short.splits["train"])
    assert short.short_hard == 0 or min(hard) < 29


def test_reasons_are_counted_the_most_frequent_first() -> None:
    made = run(45)
    assert list(count_reasons([*made.rejects, *made.rejects[:0]])) == ["near-duplicate-question"]
    assert count_reasons([]) == {}
