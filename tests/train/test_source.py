"""Rows of ours and of others are read, or it is said which line cannot be."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import BEGIN, END, make_chunk, make_question, quote_chunk

from raft_cli.data import Example, Message, Role
from raft_cli.errors import DatasetError
from raft_cli.generate.formats import CONVERTERS, build_row
from raft_cli.train.data.source import Dataset, read_dataset
from raft_cli.train.records import Row

ANSWER = f"It says {BEGIN}kept for 14 days{END}.\n<ANSWER>: 14 days"


def make_row(number: int = 0, *, oracle: int = 0, absent: bool = False) -> dict[str, Any]:
    """Return a native row: three documents, the oracle second unless absent."""
    truth = make_chunk(f"Logs {oracle} are kept for 14 days.", oracle)
    others = [make_chunk(f"Other text {number} {at}.", 100 + at, document="other") for at in range(3)]
    documents = tuple(others) if absent else (others[0], truth, others[1])
    example = Example(
        f"row{number}",
        make_question(truth, f"How long, {number}?"),
        documents,
        (Role.HARD, Role.HARD if absent else Role.ORACLE, Role.RANDOM),
        () if absent else (1,),
        ANSWER,
        (quote_chunk(truth, "kept for 14 days"),),
        "14 days",
    )
    return build_row(example, truth.text, "en")


def to_gorilla(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in list(row)[:7]}


def write(path: Path, rows: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(data: Path, *, system: str = "", share: float = 0.0, seed: int = 1) -> Dataset:
    return read_dataset(data, system=system, validation_share=share, seed=seed)


def read_one(tmp_path: Path, row: object, **options: Any) -> Row:
    return read(write(tmp_path / "rows.jsonl", [row]), **options).train[0]


def test_a_native_row(tmp_path: Path) -> None:
    row = make_row()
    read_row = read_one(tmp_path, row)
    assert read_row == Row(
        id="row0",
        place=f"{tmp_path / 'rows.jsonl'}, line 1",
        messages=(Message("user", row["instruction"]),),
        answer=ANSWER,
        roles=(Role.HARD, Role.ORACLE, Role.RANDOM),
        oracle=(1,),
        group=read_row.group,
        present=True,
        native=True,
    )
    assert not read_one(tmp_path, make_row(absent=True)).present


def test_rows_of_one_oracle_are_one_group_present_or_not(tmp_path: Path) -> None:
    rows = [make_row(0), make_row(1, absent=True), make_row(2, oracle=2)]
    for form in (rows, [to_gorilla(row) for row in rows]):
        groups = [row.group for row in read(write(tmp_path / "rows.jsonl", form)).train]
        assert groups[0] == groups[1] != groups[2]


def test_a_row_of_gorilla(tmp_path: Path) -> None:
    row = read_one(tmp_path, to_gorilla(make_row()))
    assert (row.roles, row.oracle, row.present) == ((Role.RANDOM, Role.ORACLE, Role.RANDOM), (1,), True)
    assert (row.id, row.native, row.answer) == ("row0", False, ANSWER)
    row = read_one(tmp_path, to_gorilla(make_row(absent=True)))
    assert (row.roles, row.oracle, row.present) == ((Role.RANDOM,) * 3, (), False)


def test_documents_of_gorilla_that_cannot_be_told_apart_stay(tmp_path: Path) -> None:
    row = to_gorilla(make_row())
    raw = row["context"]["sentences"][0][0] + " See </DOCUMENT>, too."
    row["instruction"] = row["instruction"].replace(row["context"]["sentences"][0][0], raw)
    row["context"]["sentences"][0][0] = raw
    found = read_one(tmp_path, row)
    assert found.roles == () and found.oracle == () and found.present


@pytest.mark.parametrize("form", ["messages", "prompt-completion", "completion"])
def test_rows_that_we_exported(tmp_path: Path, form: str) -> None:
    native = make_row()
    row = read_one(tmp_path, CONVERTERS[form](native, ""))
    assert row.messages == (Message("user", native["instruction"]),) and row.answer == ANSWER
    assert (row.roles, row.oracle) == ((Role.RANDOM, Role.ORACLE, Role.RANDOM), (1,))
    assert row.id == "rows.jsonl:1" and row.present and not row.native
    absent = read_one(tmp_path, CONVERTERS[form](make_row(absent=True), ""))
    assert (absent.roles, absent.oracle, absent.present) == ((), (), False)


def test_quotes_are_found_whatever_the_spacing(tmp_path: Path) -> None:
    native = make_row()
    row = CONVERTERS["messages"](native, "")
    row["messages"][0]["content"] = native["instruction"].replace("kept for 14", "kept  for\n14")
    assert read_one(tmp_path, row).oracle == (1,)


def test_documents_that_hold_a_tag_themselves_stay(tmp_path: Path) -> None:
    row = CONVERTERS["messages"](make_row(), "")
    row["messages"][0]["content"] = row["messages"][0]["content"].replace("Other", "</DOCUMENT> Other", 1)
    found = read_one(tmp_path, row)
    assert (found.roles, found.oracle, found.present) == ((), (), True)


def test_the_stop_mark_of_gorilla_is_taken_away_and_counted(tmp_path: Path) -> None:
    rows = [CONVERTERS["completion"](make_row(number), "") for number in range(3)]
    assert rows[0]["completion"].endswith("<STOP>")
    dataset = read(write(tmp_path / "rows.jsonl", rows))
    assert {row.answer for row in dataset.train} == {ANSWER} and dataset.format == "prompt-completion"
    assert any(note.startswith("3 answers ended in <STOP>") for note in dataset.notes)


def test_prompts_and_completions_may_be_turns(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "Like this."}]
    earlier = [{"role": "system", "content": "Be brief."}, *turns, {"role": "user", "content": "Why?"}]
    row = read_one(tmp_path, {"prompt": earlier, "completion": [{"role": "assistant", "content": "So."}]})
    assert [turn.role for turn in row.messages] == ["system", "user", "assistant", "user"] and row.answer == "So."
    assert row == read_one(tmp_path, {"messages": [*earlier, {"role": "assistant", "content": "So."}]})
    assert row == read_one(tmp_path, {"prompt": earlier, "completion": "So."})
    assert row.roles == () and not row.present


def test_a_system_turn_is_put_first(tmp_path: Path) -> None:
    native = make_row()
    for row in (native, to_gorilla(native), *(CONVERTERS[form](native, "") for form in ("messages", "completion"))):
        assert read_one(tmp_path, row, system="Be brief.").messages[0] == Message("system", "Be brief.")
    own = CONVERTERS["messages"](native, "Be brief.")
    assert len(read_one(tmp_path, own, system="Be brief.").messages) == 2
    assert read_one(tmp_path, own).messages[0].content == "Be brief."
    with pytest.raises(DatasetError, match="line 1: has a system turn of its own"):
        read_one(tmp_path, own, system="Be long.")


def test_a_folder_has_splits_and_the_test_split_is_never_read(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [make_row(number, oracle=number) for number in range(30)])
    write(tmp_path / "validation.jsonl", [to_gorilla(make_row(50, oracle=50))])
    (tmp_path / "test.jsonl").write_text("broken")
    dataset = read(tmp_path, share=0.5)
    assert (len(dataset.train), len(dataset.validation), dataset.held_out) == (30, 1, 0)
    assert dataset.format == "native" and list(dataset.files) == ["train.jsonl", "validation.jsonl"]
    assert dataset.files["train.jsonl"] == hashlib.sha256(train.read_bytes()).hexdigest()
    assert dataset.notes == ()
    with pytest.raises(DatasetError, match="a test split is kept for `raft eval`"):
        read(tmp_path / "test.jsonl")
    alone = read(train, share=0.1)
    assert alone.held_out == 3 and any("is not read; give the folder" in note for note in alone.notes)


@pytest.mark.parametrize("rows", [[], [make_row()]])
def test_an_empty_validation_split_is_none(tmp_path: Path, rows: list[object]) -> None:
    write(tmp_path / "train.jsonl", [make_row(number, oracle=number) for number in range(30)])
    write(tmp_path / "validation.jsonl", rows)
    assert read(tmp_path, share=0.1).held_out == (0 if rows else 3)


def test_rows_are_held_out_by_whole_oracles(tmp_path: Path) -> None:
    rows = [make_row(number, oracle=number // 3) for number in range(120)]
    data = write(tmp_path / "rows.jsonl", rows)
    first, again, other = read(data, share=0.1), read(data, share=0.1), read(data, share=0.1, seed=2)
    assert first == again and first.validation != other.validation
    assert len(first.validation) == first.held_out == 12 and len(first.train) == 108
    assert not {row.group for row in first.train} & {row.group for row in first.validation}
    shuffled = read(write(tmp_path / "rows.jsonl", rows[::-1]), share=0.1)
    assert {row.id for row in shuffled.validation} == {row.id for row in first.validation}


def test_no_more_than_half_is_held_out_and_nothing_of_few(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    assert read(write(data, [make_row(number, oracle=number) for number in range(30)]), share=1.0).held_out == 15
    assert read(write(data, [make_row(number, oracle=number // 10) for number in range(30)]), share=0.02).held_out == 10
    for rows in ([make_row(number, oracle=number) for number in range(19)], [make_row(number) for number in range(40)]):
        few = read(write(data, rows), share=0.1)
        assert few.held_out == 0 and few.validation == [] and few.notes[-1].startswith("nothing to validate on")
    assert read(write(data, rows)).notes == ()


def test_what_a_person_should_be_told(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [make_row(0), make_row(0), make_row(1, oracle=1)])
    write(tmp_path / "validation.jsonl", [make_row(2)])
    (tmp_path / "manifest.json").write_text(json.dumps({"complete": False, "settings": {"split_by": "document"}}))
    notes = read(tmp_path).notes
    assert "is not complete" in notes[0] and notes[1].startswith("1 rows are exact copies")
    assert notes[2].startswith("2 rows of train.jsonl have an oracle that validation.jsonl has too") and len(notes) == 3
    (tmp_path / "manifest.json").write_text(json.dumps({"complete": True, "settings": {"split_by": "question"}}))
    assert len(read(tmp_path).notes) == 1


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(make_row()).encode() + b"\r\n\n" + b'{"instruction": 1}\n')
    with pytest.raises(DatasetError, match=r"rows.jsonl, line 4: no format that can be trained on \(instruction\)"):
        read(path)


def test_what_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        read(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"no train.jsonl in it; `raft generate`"):
        read(tmp_path)
    (tmp_path / "rows.csv").write_text("a,b")
    with pytest.raises(DatasetError, match=r"not a .jsonl file"):
        read(tmp_path / "rows.csv")
    with pytest.raises(DatasetError, match="no rows in it"):
        read(write(tmp_path / "rows.jsonl", []))


TURN = {"role": "user", "content": "How?"}
SAID = {"role": "assistant", "content": "So."}
NATIVE = make_row()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([1], "not a JSON object"),
        ({"conversations": []}, r"a sharegpt row .*--format messages"),
        ({"instruction": "a", "input": "", "output": "b"}, r"an alpaca row .*--format messages"),
        (CONVERTERS["eval"](NATIVE, ""), "a row for evaluation"),
        ({"text": "a"}, r"no format that can be trained on \(text\); expected rows of raft"),
        ({**NATIVE, "cot_answer": None}, "`cot_answer` is missing"),
        ({**NATIVE, "instruction": 3}, "`instruction` is not a text"),
        ({**NATIVE, "documents": {}}, "`documents` is not a list"),
        (
            {**NATIVE, "documents": [{"role": "friend"}] * 3},
            "a document of an unknown role; known: oracle, hard, random",
        ),
        ({**NATIVE, "documents": ["a"] * 3}, "`role` is missing"),
        ({**NATIVE, "oracle": [0]}, "`oracle` does not say which documents"),
        ({**NATIVE, "instruction": "How?"}, "the documents in `instruction` are not those of the row"),
        ({"messages": []}, "turns are missing"),
        ({"messages": ["How?"]}, "`role` is missing"),
        ({"messages": [{"role": "user", "content": ["a"]}, SAID]}, "`content` is not a text"),
        ({"messages": [TURN]}, "the last of `messages` is no assistant turn"),
        ({"messages": [SAID]}, "no user turn stands before the answer"),
        ({"messages": [TURN, {"role": "system", "content": "a"}, SAID]}, "turn 2 is of the role system"),
        ({"messages": [{"role": "tool", "content": "a"}, SAID]}, "turn 1 is of the role tool"),
        ({"messages": [TURN, {**SAID, "tool_calls": [{"id": 1}]}]}, "a turn has `tool_calls`, which would be lost"),
        ({"messages": [TURN, SAID], "tools": [{"name": "look"}]}, "`tools` would be lost"),
        ({"messages": [TURN, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]}, "a turn has `tool_c"),
        ({"messages": [TURN, {**SAID, "reasoning_content": "Hm."}]}, "a turn has `reasoning_content`"),
        ({"messages": [TURN, {**SAID, "weight": 0}]}, "a turn has `weight`"),
        ({"prompt": [TURN], "completion": [{**SAID, "thinking": "Hm."}]}, "a turn has `thinking`"),
        ({"prompt": "How?", "completion": [TURN]}, "`completion` is not one assistant turn"),
        ({"prompt": [SAID], "completion": "So."}, "no user turn stands before the answer"),
        ({"prompt": 1, "completion": "So."}, "turns are missing"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(DatasetError, match=f"rows.jsonl, line 1: {said}"):
        read_one(tmp_path, row)


def test_all_rows_of_a_file_have_one_format(tmp_path: Path) -> None:
    mixed = [NATIVE, {"messages": [TURN, SAID]}]
    with pytest.raises(DatasetError, match=r"line 2: a messages row in a file of native rows"):
        read(write(tmp_path / "rows.jsonl", mixed))


def test_a_line_that_is_no_json(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [NATIVE])
    path.write_text(path.read_text() + '{"instruction": "cut of')
    with pytest.raises(DatasetError, match=r"line 2: not JSON"):
        read(path)


def test_the_documents_of_a_question_about_documents_are_no_documents(tmp_path: Path) -> None:
    asked = "What does <DOCUMENT>x</DOCUMENT> mean?"
    row = {**NATIVE, "question": asked, "instruction": NATIVE["instruction"].replace(NATIVE["question"], asked)}
    found = read_one(tmp_path, row)
    assert replace(found, messages=()) == replace(read_one(tmp_path, NATIVE), messages=())


def test_earlier_answers_are_said_to_be_context(tmp_path: Path) -> None:
    rows = [{"messages": [TURN, SAID, TURN, SAID]}, {"messages": [TURN, {**SAID, "name": "helper", "tool_calls": []}]}]
    found = read(write(tmp_path / "rows.jsonl", rows))
    assert [len(row.messages) for row in found.train] == [3, 1]
    assert any(note.startswith("1 rows have earlier answers") for note in found.notes)
