"""Test rows become questions with their passages; what training gave away, or what holds no answer, is counted."""

from pathlib import Path
from typing import Any

import pytest
from exams import make_corpus, make_row, write_folder
from fakes import make_chunks, unlike_question

from raft_cli.cot import BEGIN, escape
from raft_cli.data import Chunk
from raft_cli.errors import DatasetError
from raft_cli.evaluate.items import Exam, read_exam

CHUNKS = list(make_corpus(30).values())


def row(number: int, at: int, *, question: str = "", final: str = "team a", **more: Any) -> dict[str, Any]:
    others = CHUNKS[at + 5 : at + 9 + (not more.get("present", True))]
    return make_row(f"row{number}", question or unlike_question(number), [CHUNKS[at]], others, final=final, **more)


def read(folder: Path, **options: Any) -> Exam:
    return read_exam(folder, **options)


def test_a_native_row_becomes_a_question(tmp_path: Path) -> None:
    test = [row(1, 0, final=escape("Write <ANSWER>: here"))]
    exam = read(write_folder(tmp_path, test=test, train=[row(2, 0), row(3, 1)], chunks=CHUNKS))
    item = exam.items[0]
    assert (item.id, item.question, item.golds) == ("row1", unlike_question(1), ("Write <ANSWER>: here",))
    assert (item.type, item.kind, item.language, item.source) == ("general", "factoid", "en", "doc0.md")
    assert item.oracle_ids == (CHUNKS[0].id,) and item.seen
    assert item.reference == test[0]["cot_answer"] and item.quotes[0].text == CHUNKS[0].text[:10]
    assert dict(exam.chunks) == {chunk.id: chunk for chunk in CHUNKS}
    assert (exam.distractors, exam.warnings) == (4, ())
    assert len(exam.data) == len(exam.corpus) == 64


def test_an_oracle_that_is_absent_is_found_by_its_text(tmp_path: Path) -> None:
    pair = [CHUNKS[3], CHUNKS[7]]
    test = [
        row(1, 2, present=False),
        make_row("row2", "Which two?", pair, CHUNKS[10:16], final="both", present=False),
        make_row("row3", "Which two of them?", pair[::-1], CHUNKS[10:14], final="both"),
    ]
    exam = read(write_folder(tmp_path, test=test, train=[row(9, 7)], chunks=CHUNKS))
    assert [item.oracle_ids for item in exam.items] == [
        (CHUNKS[2].id,), (CHUNKS[3].id, CHUNKS[7].id), (CHUNKS[7].id, CHUNKS[3].id)
    ]  # fmt: skip
    assert [item.seen for item in exam.items] == [False, True, True]
    assert exam.items[0].quotes == ()


def test_text_with_marks_and_blank_lines_is_found_too(tmp_path: Path) -> None:
    texts = [f"Part {at}.\n\nClose with </DOCUMENT> and {BEGIN} {at}." for at in range(25)]
    chunks = make_chunks(texts)
    test = [make_row("row1", "Which?", [chunks[4], chunks[2]], chunks[10:16], final="x y z", present=False)]
    exam = read(write_folder(tmp_path, test=test, chunks=chunks))
    assert exam.items[0].oracle_ids == (chunks[4].id, chunks[2].id)


def test_a_refusal_tells_no_answer(tmp_path: Path) -> None:
    refusal = "The documents do not contain the answer."
    test = [
        row(1, 0),
        row(2, 1, present=False, final=refusal, target=f"<ANSWER>: {refusal}"),
        row(3, 2, present=False, final=refusal, target=f"<ANSWER>: {refusal}"),
        row(4, 2, question=unlike_question(3), final="team c"),
    ]
    exam = read(write_folder(tmp_path, test=test, chunks=CHUNKS))
    assert {item.id: item.golds for item in exam.items} == {"row1": ("team a",), "row4": ("team c",)}
    assert (exam.unanswered, exam.repeated) == (1, 1)


def test_of_two_rows_with_one_question_that_with_quotes_is_kept(tmp_path: Path) -> None:
    test = [row(1, 0, present=False), row(2, 0, question=unlike_question(1))]
    exam = read(write_folder(tmp_path, test=test, chunks=CHUNKS))
    assert [item.id for item in exam.items] == ["row2"] and exam.items[0].quotes
    assert exam.repeated == 1


def test_other_answers_of_a_row_count_as_right(tmp_path: Path) -> None:
    test = [row(1, 0) | {"answers": ["team a", "A-Team", ""]}]
    assert read(write_folder(tmp_path, test=test, chunks=CHUNKS)).items[0].golds == ("team a", "A-Team")


@pytest.mark.parametrize(
    ("asked", "at", "kept"),
    [
        ("How long is the log of the gateway kept?", 0, False),
        ("how long IS the log of the gateway kept", 0, False),
        ("How long is the log of the gateway kept?", 1, True),
        ("How long is the log of the gateway not kept?", 0, True),
        ("How long is the log of gateway 7 kept?", 0, True),
        ("Who made the gateway?", 0, True),
    ],
)
def test_what_training_asked_of_the_same_passage_is_left_out(tmp_path: Path, asked: str, at: int, kept: bool) -> None:
    test = [row(1, 0, question="How long is the log of the gateway kept?"), row(2, 3)]
    folder = write_folder(tmp_path, test=test, train=[row(3, at, question=asked)], chunks=CHUNKS)
    exam = read(folder)
    assert len(exam.items) == 1 + kept and exam.similar == 1 - kept
    assert len(read(folder, keep_similar=True).items) == 2


def test_when_training_asked_everything_nothing_is_left(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, test=[row(1, 0)], train=[row(2, 0, question=unlike_question(1))], chunks=CHUNKS)
    with pytest.raises(DatasetError, match="asks every one of its 1 questions"):
        read(folder)


def test_a_limit_takes_from_each_passage_in_turn(tmp_path: Path) -> None:
    test = [row(number, number // 4) for number in range(40)]
    folder = write_folder(tmp_path, test=test, chunks=CHUNKS)
    chosen: dict[int, list[str]] = {}
    for limit in (1, 5, 10, 13, 39, 40, 99):
        items = read(folder, limit=limit, seed=3).items
        chosen[limit] = [item.id for item in items]
        assert len(items) == min(limit, 40)
        assert len({item.oracle_ids for item in items}) == min(limit, 10)
    assert set(chosen[1]) < set(chosen[5]) < set(chosen[10]) < set(chosen[13]) < set(chosen[39]) < set(chosen[40])
    assert chosen[13] == sorted(chosen[13], key=[f"row{number}" for number in range(40)].index)
    assert [item.id for item in read(folder, limit=10, seed=3).items] == chosen[10]
    assert [item.id for item in read(folder, limit=10, seed=4).items] != chosen[10]


def test_hashes_follow_rows_and_passages(tmp_path: Path) -> None:
    one = read(write_folder(tmp_path / "a", test=[row(1, 0)], chunks=CHUNKS))
    other = read(write_folder(tmp_path / "b", test=[row(2, 0)], chunks=CHUNKS))
    third = read(write_folder(tmp_path / "c", test=[row(1, 0)], chunks=CHUNKS[:20]))
    assert one.corpus == other.corpus != third.corpus
    assert one.data == third.data != other.data


def gorilla(number: int, at: int, *, answer: str, kind: str = "general") -> dict[str, Any]:
    texts = [chunk.text for chunk in CHUNKS[at : at + 5]]
    return {
        "id": "seed_task_0",
        "type": kind,
        "question": unlike_question(number),
        "context": {"sentences": [texts], "title": [["placeholder_title"] * 5]},
        "oracle_context": texts[0],
        "cot_answer": answer,
        "instruction": "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts) + unlike_question(number),
    }


def test_rows_of_gorilla_bring_their_passages(tmp_path: Path) -> None:
    test = [
        gorilla(1, 0, answer="Thus. <ANSWER>: team a"),
        gorilla(2, 3, answer="No tag at all"),
        gorilla(3, 20, answer="<ANSWER>:\nload(\n  'x')", kind="api call"),
        gorilla(4, 20, answer="load('y')", kind="api call"),
    ]
    exam = read(write_folder(tmp_path, test=test, train=[gorilla(5, 0, answer="<ANSWER>: b")]))
    assert [item.golds[0] for item in exam.items] == ["team a", "load(\n  'x')", "load('y')"]
    assert exam.unanswered == 1 and exam.distractors == 4
    assert len({item.id for item in exam.items}) == 3
    first = exam.items[0]
    assert exam.chunks[first.oracle_ids[0]].text == CHUNKS[0].text and first.seen
    assert len(exam.chunks) == 8 + 5
    assert any("only 13 passages" in warning for warning in exam.warnings)
    again = read(write_folder(tmp_path / "again", test=test, train=[gorilla(5, 0, answer="<ANSWER>: b")]))
    assert again.items == exam.items and again.corpus == exam.corpus


def test_rows_for_evaluation_get_the_only_document_with_the_answer(tmp_path: Path) -> None:
    def evaluation(number: int, gold: str) -> dict[str, Any]:
        context = "".join(f"<DOCUMENT>{chunk.text}</DOCUMENT>\n" for chunk in CHUNKS[:5])
        return {"question": unlike_question(number), "gold_final_answer": gold, "context": context}

    own = CHUNKS[2].text.split("by ")[1].split(".")[0]
    test = [evaluation(1, own), evaluation(2, "minutes"), evaluation(3, "yes"), evaluation(4, "nowhere at all")]
    exam = read(write_folder(tmp_path, test=test, train=None))
    assert [exam.chunks[item.oracle_ids[0]].text for item in exam.items] == [CHUNKS[2].text]
    assert exam.unplaced == 3
    assert any("1 rows name no oracle" in warning for warning in exam.warnings)
    assert any("whether training gave questions away is not known" in warning for warning in exam.warnings)


def test_training_rows_can_be_examined_and_are_called_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, test=[row(1, 0)], train=[row(2, 0), row(3, 1)], chunks=CHUNKS)
    exam = read(folder, split="train")
    assert len(exam.items) == 2 and all(item.seen for item in exam.items) and exam.similar == 0
    assert "what is measured is memory" in exam.warnings[0]


def test_one_file_is_read_with_what_lies_beside_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, test=[row(1, 0)], train=[row(2, 0)], chunks=CHUNKS)
    assert read(folder / "test.jsonl") == read(folder)


def broken(row: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return [row | changes]


STRANGER = Chunk("other", "other", 0, "No such text.", 0, 13, (), None, 3, "o.md", "O", "en")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ([], "test.jsonl: no rows in it"),
        ([{"question": "Why?"}], r"row 1: no row that can be evaluated \(question\); expected rows of `raft generate`"),
        (broken(row(1, 0), answer=7), "row 1: `answer` is missing or is no str"),
        (broken(row(1, 0), oracle=[9]), "row 1: `oracle` names documents that the row does not have"),
        (broken(row(1, 0), documents=[{}]), "row 1: `chunk_id` is missing"),
        (broken(row(1, 0), quotes=[{"text": "x"}]), "row 1: `chunk_id` is missing"),
        ([row(1, 0), row(2, 1) | {"id": "row1"}], "row 2: its id, row1, stands on another row too"),
        ([make_row("row1", "Which?", [STRANGER], CHUNKS[:4], final="abcd")], "its oracle is not in .*chunks.jsonl"),
        (
            [make_row("row1", "Which?", [STRANGER], CHUNKS[:5], final="abcd", present=False)],
            "its oracle is not in .*chunks.jsonl",
        ),
        (
            [row(2, 1, present=False, target="<ANSWER>: none", final="none")],
            "none of its 1 rows can be examined; 1 hold",
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, test: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(write_folder(tmp_path, test=test, chunks=CHUNKS))


def test_missing_files_and_broken_lines_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, test=[row(1, 0)], chunks=CHUNKS)
    with pytest.raises(DatasetError, match=r"no validation.jsonl to examine with \(there: chunks.jsonl, test.jsonl"):
        read(folder, split="validation")
    with pytest.raises(DatasetError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    whole = (folder / "test.jsonl").read_text(encoding="utf-8")
    (folder / "test.jsonl").write_text(whole + whole[:50], encoding="utf-8")
    with pytest.raises(DatasetError, match=r"test.jsonl, line 2: not a JSON object"):
        read(folder)
    write_folder(folder, test=[row(1, 0)])
    (folder / "chunks.jsonl").write_text('{"id": "x"}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match="not a file of passages"):
        read(folder)
    (folder / "chunks.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"chunks.jsonl is missing: .*give the folder"):
        read(folder)
