"""Distractors never hold the answer, never repeat, and are as hard as asked for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from fakes import make_answer, make_chunk, make_chunks, make_question, quote_chunk
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.data import Answer, Chunk, Question, Role
from raft_cli.generate.distract import Distractors
from raft_cli.language import fold

TOPICS = "pump fan relay valve sensor gateway battery antenna display printer".split()
TEXTS = [f"The {topic} number {number} is checked in bay {number + 40}." for number in range(3) for topic in TOPICS]


def ask_about(chunk: Chunk, final: str, words: str = "") -> tuple[Question, Answer]:
    question = make_question(chunk, f"What holds of this: {chunk.text.split(' is ')[0]}?")
    return question, make_answer(question, [quote_chunk(chunk, words or chunk.text)], final)


def choose(
    chunks: Sequence[Chunk],
    final: str,
    *,
    oracle: int = 0,
    count: int = 4,
    extra: int = 1,
    source: str = "mixed",
    seed: int = 7,
) -> list[tuple[Chunk, Role]]:
    question, answer = ask_about(chunks[oracle], final)
    return Distractors(chunks, source=source, seed=seed).choose(question, answer, [chunks[oracle]], count, extra)


@given(
    oracle=st.integers(0, len(TEXTS) - 1),
    count=st.integers(0, 40),
    extra=st.integers(0, 2),
    source=st.sampled_from(["random", "lexical", "mixed"]),
    seed=st.integers(0, 1000),
)
def test_as_many_as_there_are_and_none_twice(oracle: int, count: int, extra: int, source: str, seed: int) -> None:
    chunks = make_chunks(TEXTS)
    found = choose(
        chunks, f"bay {oracle // 10 + 40}", oracle=oracle, count=count, extra=extra, source=source, seed=seed
    )
    safe = [chunk for chunk in chunks if f"bay {oracle // 10 + 40}" not in chunk.text]
    assert len(found) == min(count + extra, len(safe))
    assert len({chunk.id for chunk, _ in found}) == len(found)
    assert all(chunk in safe for chunk, _ in found)


@pytest.mark.parametrize(
    ("source", "roles"),
    [("random", "rrrrr"), ("lexical", "hhhhh"), ("mixed", "hhrrh")],
)
def test_roles_follow_the_source(source: str, roles: str) -> None:
    assert "".join(role.value[0] for _, role in choose(make_chunks(TEXTS), "bay 40", source=source)) == roles


def test_hard_ones_are_those_most_like_the_question() -> None:
    chunks = make_chunks(TEXTS)
    hard = [chunk.text for chunk, role in choose(chunks, "checked weekly", count=2, extra=0, source="lexical")]
    assert all("The pump number" in text for text in hard)


def test_random_ones_stand_in_for_hard_ones_that_search_does_not_find() -> None:
    chunks = make_chunks(["Zebra crossing.", *(f"Other words entirely {n}." for n in range(8))])
    question = make_question(chunks[0], "Zebra?")
    answer = make_answer(question, [quote_chunk(chunks[0], "Zebra")], "zebra crossing")
    chunks = [replace(chunk, heading=()) for chunk in chunks]
    found = Distractors(chunks, source="lexical", seed=1).choose(question, answer, [chunks[0]], 3, 0)
    assert [role for _, role in found] == [Role.RANDOM] * 3


@pytest.mark.parametrize(
    ("final", "leak"),
    [
        ("14 days", "Others are kept for 14  DAYS, too."),
        ("１４ days", "Others are kept for 14 days, too."),
        ("十四天", "其他日志保存十四天。"),
        ("port 8443.", "It listens on port 8443 as well"),
        ("<\u200dDOCUMENT> tag", "Write the <DOCUMENT> tag first."),
    ],
)
def test_no_passage_with_the_answer(final: str, leak: str) -> None:
    chunks = make_chunks(["Logs are kept somewhere.", *[f"{leak} Case {n}" for n in range(5)], "Nothing of the kind."])
    for source in ("random", "lexical", "mixed"):
        assert [chunk.text for chunk, _ in choose(chunks, final, source=source)] == ["Nothing of the kind."]


@pytest.mark.parametrize("final", ["Yes", "是", "5", "不支持", "no."])
def test_where_the_answer_tells_nothing_likeness_bars(final: str) -> None:
    like = "The relay opens when the pressure falls below five bar and stays open."
    chunks = make_chunks(
        ["The relay opens when the pressure falls below five bar.", like, f"{final} is written elsewhere, far from it."]
    )
    distractors = Distractors(chunks, source="mixed", seed=3)
    question, answer = ask_about(chunks[0], final)
    assert [chunk.id for chunk, _ in distractors.choose(question, answer, [chunks[0]], 2, 0)] == ["chunk0002"]
    assert distractors.guarded.similar >= 1 and not distractors.guarded.answer


def test_a_passage_like_the_oracle_is_a_good_one_where_the_answer_is_specific() -> None:
    chunks = make_chunks(
        ["The relay K4 opens below 5.25 bar of pressure.", "The relay K4 opens below 6.75 bar of pressure."]
    )
    assert [role for _, role in choose(chunks, "5.25 bar", count=1, extra=0)] == [Role.HARD]


def test_nothing_that_overlaps_or_equals_the_oracle_or_another() -> None:
    words = "A long passage about valves and how they are serviced."
    oracle = make_chunk(words, 0)
    overlapping = make_chunk(words[10:], 1, start=10)
    equal = make_chunk(words.upper().replace(" ", "  "), 2, document="copy")
    twin = make_chunk("Something else about valves.", 3, document="other")
    twins = [twin, replace(twin, id="chunk0004", document_id="another", text="SOMETHING else about valves.")]
    chunks = [oracle, overlapping, equal, *twins]
    for seed in range(10):
        found = choose(chunks, "serviced yearly", count=4, seed=seed)
        assert len(found) == 1 and fold(found[0][0].text) == "something else about valves."


def test_neighbours_without_overlap_are_allowed() -> None:
    first, second = make_chunk("Part one of it.", 0), make_chunk("Part two of it.", 1, start=15)
    assert [chunk for chunk, _ in choose([first, second], "fifteen")] == [second]


def test_choice_depends_on_seed_and_question_alone() -> None:
    chunks = make_chunks(TEXTS)
    many = Distractors(chunks, source="mixed", seed=7)
    for oracle in (3, 8, 20):
        question, answer = ask_about(chunks[oracle], "bay 77")
        question = replace(question, id=f"q{oracle}")
        alone = Distractors(chunks, source="mixed", seed=7).choose(question, answer, [chunks[oracle]], 4, 1)
        assert many.choose(question, answer, [chunks[oracle]], 4, 1) == alone
    assert choose(chunks, "bay 77", source="random", seed=1) != choose(chunks, "bay 77", source="random", seed=2)
