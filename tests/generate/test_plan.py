"""What is asked of which chunk depends on its own document alone; own questions find their chunk."""

import csv
import json
from pathlib import Path

import pytest
from fakes import make_chunk, make_chunks
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.config.generate import KINDS
from raft_cli.data import Chunk
from raft_cli.errors import CorpusError
from raft_cli.generate.plan import choose_pilot, plan_own_questions, plan_tasks, read_own_questions

PLAIN = KINDS[:3]


def make_document(texts: list[str], name: str = "doc") -> list[Chunk]:
    chunks, start = [], 0
    for number, text in enumerate(texts):
        chunks.append(make_chunk(text, number, document=name, start=start))
        start += len(text) + 1
    return chunks


@given(st.integers(1, 12), st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), st.integers(1, 9))
def test_every_chunk_gets_its_number_of_questions(size: int, kinds: list[str], questions: int) -> None:
    chunks = make_document([f"Text number {n} about valves." for n in range(size)])
    tasks = plan_tasks(chunks, questions=questions, kinds=kinds)
    for chunk in chunks:
        own = [task for task in tasks if task.chunks[0] == chunk]
        assert sum(task.size for task in own) == questions
        for task in own:
            assert ("multi-hop" in task.kinds) is (len(task.chunks) == 2)
            assert set(task.kinds) <= set(kinds) | {"reasoning"}
    assert len({task.name for task in tasks}) == len(tasks)


def test_kinds_come_in_turn_and_chunks_begin_at_different_ones() -> None:
    tasks = plan_tasks(make_chunks(f"Text {n}." for n in range(40)), questions=2, kinds=PLAIN)
    turns = {task.kinds for task in tasks}
    assert turns == {(PLAIN[0], PLAIN[1]), (PLAIN[1], PLAIN[2]), (PLAIN[2], PLAIN[0])}


def test_the_partner_shares_most_words_and_does_not_overlap() -> None:
    texts = ["Valve K4 opens at five bar.", "Lunch is at noon.", "Valve K4 is greased weekly.", "The end of it."]
    chunks = make_document(texts)
    pairs = {
        task.chunks[0].position: task.chunks[1].position
        for task in plan_tasks(chunks, questions=1, kinds=["multi-hop"])
    }
    assert pairs[0] == 2 and pairs[2] == 0
    overlapping = [make_chunk("valve pump", 0), make_chunk("pump valve", 1, start=4)]
    (first, second) = plan_tasks(overlapping, questions=1, kinds=["multi-hop"])
    assert [task.kinds for task in (first, second)] == [("reasoning",)] * 2
    assert [len(task.chunks) for task in (first, second)] == [1, 1]


def test_another_document_changes_no_task() -> None:
    one, other = make_document(["Valve one.", "Valve two."]), make_document(["Valve three.", "Valve four."], "other")
    alone = plan_tasks(one, questions=3, kinds=KINDS)
    assert [task for task in plan_tasks([*other, *one], questions=3, kinds=KINDS) if task.chunks[0] in one] == alone


def test_a_pilot_is_part_of_the_whole_and_of_a_larger_one() -> None:
    chunks = make_chunks(f"Text {n}." for n in range(30))
    small, large = (choose_pilot(chunks, limit=limit, seed=1) for limit in (5, 12))
    assert len(small) == 5 and set(small) < set(large) < set(chunks)
    assert large == [chunk for chunk in chunks if chunk in large]
    assert choose_pilot(chunks, limit=5, seed=2) != small
    assert choose_pilot(chunks, limit=None, seed=1) == choose_pilot(chunks, limit=99, seed=1) == chunks


def own(folder: Path, text: str, name: str = "own.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_own_questions_are_read(tmp_path: Path) -> None:
    table = '\ufeffquestion,answer,source\n"Which, please?",8443,a.md\n"Two\nlines\u2028here?",,\n'
    assert read_own_questions(own(tmp_path, table)) == [
        ("Which, please?", "8443", "a.md"),
        ("Two\nlines\u2028here?", "", ""),
    ]
    lines = "\n".join(
        json.dumps(row) for row in ({"question": "Wie?", "answer": 5}, {"question": " Wo? ", "source": None})
    )
    assert read_own_questions(own(tmp_path, lines, "own.jsonl")) == [("Wie?", "5", ""), ("Wo?", "", "")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("own.csv", "frage\nWie?\n", "row 1 has no `question`"),
        ("own.csv", "question,answer\nWie?,5\n,6\n", "row 2 has no `question`"),
        ("own.csv", "question\n", "no questions in it"),
        ("own.jsonl", '{"question": "Wie?"}\n{"question":\n', "line 2 is not JSON"),
        ("own.jsonl", '["Wie?"]\n', "line 1 is not an object"),
        ("own.jsonl", "\n", "no questions in it"),
    ],
)
def test_faults_of_own_questions_are_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read_own_questions(own(tmp_path, text, name))
    assert said in str(caught.value) and name in str(caught.value)
    with pytest.raises(CorpusError, match=r"--questions-file none\.csv"):
        read_own_questions("none.csv")


def test_a_field_too_long_for_the_library_is_explained(tmp_path: Path) -> None:
    before = csv.field_size_limit(100)  # of the whole process; others raise it
    try:
        with pytest.raises(CorpusError, match=r"own.csv: field larger than field limit"):
            read_own_questions(own(tmp_path, f"question\n{'x' * 200}\n"))
    finally:
        csv.field_size_limit(before)


def test_own_questions_find_their_chunk() -> None:
    chunks = make_chunks(
        [
            "The gateway listens on port 8443.",
            "The gateway has two ports.",
            "网关的日志保存十四天。",
            "Lunch is at noon.",
        ]
    )
    rows = [
        ("Which port does the gateway listen on?", "", ""),
        ("How many does the gateway have?", "two ports", ""),
        ("日志保存多久？", "", ""),
        ("When is lunch?", "", "doc3.md"),
        ("What of the gateway?", "", "doc0.md#7"),
        ("Zebra?", "", ""),
        ("Which port does the gateway listen on?", "", ""),
        ("What is <DOCUMENT> of the gateway?", "", ""),
    ]
    tasks, rejects = plan_own_questions(rows, chunks)
    assert [task.chunks[0].position for task in tasks] == [0, 1, 2, 3]
    assert [(task.given.text, task.given.given, task.given.kind) for task in tasks if task.given][1] == (
        "How many does the gateway have?", "two ports", "own",
    )  # fmt: skip
    assert [reject.reason for reject in rejects] == [
        "no-chunk-for-question", "no-chunk-for-question", "repeated-question", "holds-marks",
    ]  # fmt: skip
    assert len(tasks) + len(rejects) == len(rows)


def test_a_named_source_is_searched_to_the_bottom() -> None:
    many = make_chunks(
        [*["gateway gateway gateway"] * 80, "The gateway is mentioned once among many other words here."]
    )
    (task,), rejects = plan_own_questions([("What of the gateway?", "", "doc80.md")], many)
    assert task.chunks[0].source == "doc80.md" and rejects == []
