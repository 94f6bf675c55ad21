"""Rows: exact share of oracles, level positions, no document twice, targets that fit what the student sees."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from fakes import BEGIN, by_id, make_answer, make_chunks, make_question, quote_chunk
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_cli.data import Answer, Chunk, Example, Question, Reject, Role
from raft_cli.generate.distract import Distractors
from raft_cli.generate.formats import build_row, check_row
from raft_cli.generate.mix import Mixture, mix_rows
from raft_cli.generate.split import round_half_up
from raft_cli.prompts import load_prompts

PROMPTS = load_prompts()
SIZE = 40
CHUNKS = make_chunks(f"Device D{n:02} draws {n * 37 + 1000} milliamperes at rest." for n in range(SIZE))
PLAIN = Mixture(4, 4, 0.8, "no-quotes", False, 42, PROMPTS)


def make_work(count: int, pairs: int = 0) -> tuple[list[Question], dict[str, Answer]]:
    """Return questions, the first `pairs` of them over two chunks, with their answers."""
    questions, answers = [], {}
    for number in range(count):
        oracle = [CHUNKS[number % SIZE], CHUNKS[(number + 5) % SIZE]][: 2 if number < pairs else 1]
        question = make_question(oracle[0], f"What does D{number:02} draw?", *oracle[1:], number=number)
        quotes = [quote_chunk(chunk, chunk.text.split(" draws ")[1]) for chunk in oracle]
        questions.append(question)
        answers[question.id] = make_answer(question, quotes, "; ".join(quote.text.split()[0] for quote in quotes))
    return questions, answers


def mix(
    questions: list[Question],
    answers: Mapping[str, Answer],
    mixture: Mixture,
    *,
    source: str = "mixed",
    chunks: list[Chunk] = CHUNKS,
) -> tuple[list[Example], list[Reject]]:
    distractors = Distractors(chunks, source=source, seed=mixture.seed)
    return mix_rows(questions, answers=answers, chunks=by_id(chunks), distractors=distractors, mixture=mixture)


MIXTURES = st.builds(
    lambda low, more, share, target, both, seed: Mixture(low, low + more, share, target, both, seed, PROMPTS),
    st.integers(0, 6),
    st.integers(0, 4),
    st.floats(0, 1),
    st.sampled_from(["no-quotes", "answer", "refuse"]),
    st.booleans(),
    st.integers(0, 10_000),
)


@given(count=st.integers(0, 30), pairs=st.integers(0, 30), mixture=MIXTURES)
@settings(deadline=None, max_examples=150)
def test_promises_hold_for_every_mixture(count: int, pairs: int, mixture: Mixture) -> None:
    questions, answers = make_work(count, min(pairs, count))
    rows, rejects = mix(questions, answers, mixture, source="random")
    assert rejects == []
    check_shares(rows, count, mixture)
    check_positions(rows)
    for row in rows:
        check_example(row, mixture)
    assert [row.id for row in rows] == sorted({row.id for row in rows})


def check_shares(rows: list[Example], count: int, mixture: Mixture) -> None:
    present = sum(bool(row.oracle) for row in rows)
    if mixture.both_contexts:
        assert (len(rows), present) == (2 * count, count)
        assert Counter(row.question.id for row in rows) == Counter({row.question.id: 2 for row in rows})
    else:
        assert (len(rows), present) == (count, round_half_up(mixture.oracle_share * count))


def check_positions(rows: list[Example]) -> None:
    """Oracle positions of rows with equally many documents differ by at most one."""
    for length in {len(row.documents) for row in rows}:
        places = Counter(place for row in rows if len(row.documents) == length for place in row.oracle)
        level = [places[place] for place in range(length)]
        assert max(level) - min(level) <= 1, level


def check_example(row: Example, mixture: Mixture) -> None:
    need = len(row.question.chunk_ids)
    assert mixture.low + need <= len(row.documents) <= mixture.high + need
    held = [row.documents[place].id for place in row.oracle]
    assert not row.oracle or held == list(row.question.chunk_ids)
    assert [role is Role.ORACLE for role in row.roles] == [at in row.oracle for at in range(len(row.documents))]
    assert len({chunk.id for chunk in row.documents}) == len(row.documents)
    others = {chunk.id for at, chunk in enumerate(row.documents) if at not in row.oracle}
    assert not others & set(row.question.chunk_ids)
    assert check_row(build_row(row, "", "en"), row) == ""
    quoting = bool(row.oracle) or mixture.absent_target == "answer"
    assert bool(row.quotes) is (BEGIN in row.target) is quoting
    assert row.target.endswith(f"<ANSWER>: {row.final}")


def test_paper_share_and_positions() -> None:
    rows, _ = mix(*make_work(40), PLAIN)
    assert sum(bool(row.oracle) for row in rows) == 32
    assert sorted(Counter(place for row in rows for place in row.oracle).values()) == [6, 6, 6, 7, 7]
    assert {len(row.documents) for row in rows} == {5}


def test_multi_hop_rows_hold_both_oracles_in_their_order() -> None:
    rows, _ = mix(*make_work(20, 20), replace(PLAIN, oracle_share=1.0))
    assert {len(row.oracle) for row in rows} == {2} and {len(row.documents) for row in rows} == {6}
    assert len({row.oracle for row in rows}) > 3


def test_varied_distractors_use_the_whole_range() -> None:
    rows, _ = mix(*make_work(40), replace(PLAIN, low=1, high=4))
    assert {len(row.documents) for row in rows} == {2, 3, 4, 5}


def test_both_contexts_show_the_same_distractors() -> None:
    rows, _ = mix(*make_work(10), replace(PLAIN, both_contexts=True))
    for number in range(10):
        present, absent = sorted(
            (row for row in rows if row.question.id.endswith(f"{number:04}")), key=lambda r: not r.oracle
        )
        assert {c.id for c in present.documents} - set(present.question.chunk_ids) < {c.id for c in absent.documents}
        assert present.final == absent.final


def test_absent_targets_say_what_was_asked_for() -> None:
    questions, answers = make_work(1)
    answer = answers[questions[0].id]
    for target, said in {
        "answer": f"{answer.reasoning}\n<ANSWER>: 1000",
        "refuse": f"<ANSWER>: {PROMPTS['en'].fill_text('refuse')}",
        "no-quotes": f"{PROMPTS['en'].fill_text('absent')} First a thought. So it is settled.\n<ANSWER>: 1000",
    }.items():
        (row,), _ = mix(questions, answers, replace(PLAIN, oracle_share=0.0, absent_target=target))
        assert row.target == said and row.oracle == ()


@pytest.mark.parametrize(("language", "prompts"), [("zh", "zh"), ("ja", "en"), ("other", "en")])
def test_refusals_are_in_the_language_of_the_row(language: str, prompts: str) -> None:
    chunks = [replace(chunk, language=language) for chunk in CHUNKS]
    questions, answers = make_work(1)
    (row,), _ = mix(questions, answers, replace(PLAIN, oracle_share=0.0, absent_target="refuse"), chunks=chunks)
    assert row.final == PROMPTS[prompts].fill_text("refuse")


def test_questions_without_safe_distractors_are_set_aside_before_shares_are_drawn() -> None:
    questions, answers = make_work(20)
    for question in questions[:5]:  # their answer stands in every passage
        answers[question.id] = replace(answers[question.id], final="milliamperes")
    rows, rejects = mix(questions, answers, PLAIN)
    assert {reject.question_id for reject in rejects} == {question.id for question in questions[:5]}
    assert {reject.reason for reject in rejects} == {"too-few-distractors"}
    assert "0 of 5 passages" in rejects[0].detail and rejects[0].question == questions[0].text
    assert (len(rows), sum(bool(row.oracle) for row in rows)) == (15, 12)
    check_positions(rows)


def test_rows_depend_on_the_seed_alone() -> None:
    questions, answers = make_work(15)
    first = mix(questions, answers, PLAIN)[0]
    assert mix(questions[::-1], answers, PLAIN)[0] == first
    assert mix(questions, answers, replace(PLAIN, seed=43))[0] != first
    assert [row.id for row in mix(questions, answers, replace(PLAIN, low=2, high=2))[0]] == [row.id for row in first]
