"""A written folder loads with `datasets`: three splits, the right types, whatever the answers look like."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import by_id, make_answer, make_chunks, make_question, quote_chunk, unlike_question

from raft_cli.config.generate import GenerateConfig
from raft_cli.data import Question
from raft_cli.generate.assemble import Assembly, assemble
from raft_cli.generate.card import render_card
from raft_cli.generate.write import DATA_FILES, finish_folder, write_data
from raft_cli.prompts import load_prompts
from raft_cli.store import read_json, read_lines, write_lines

CHUNKS = [
    replace(chunk, page=None if number % 2 else number + 1)
    for number, chunk in enumerate(make_chunks(f"Pump N{n} was built on 2024-01-{n + 1:02}." for n in range(28)))
]
PROMPTS = load_prompts()


def make_assembly(count: int = 28, **chosen: object) -> tuple[Assembly, list[Question]]:
    questions, answers = [], {}
    for number, chunk in enumerate(CHUNKS[:count]):
        question = make_question(chunk, unlike_question(number), number=number)
        words = f"2024-01-{number + 1:02}"
        questions.append(question)
        answers[question.id] = make_answer(question, [quote_chunk(chunk, words)], words)
    config = GenerateConfig(**chosen)  # type: ignore[arg-type]
    return assemble(questions, answers, by_id(CHUNKS), config, PROMPTS, mark=lambda _: None), questions


def write_folder(out: Path, *, formats: tuple[str, ...] = (), count: int = 28, **chosen: object) -> Mapping[str, str]:
    made, questions = make_assembly(count, **chosen)
    staged = out / ".documents.jsonl"
    write_lines(staged, [{"id": chunk.document_id, "text": chunk.text} for chunk in CHUNKS])
    digests = write_data(
        out,
        splits=made.splits,
        chunks=by_id(CHUNKS),
        questions=questions,
        rejects=made.rejects,
        formats=formats,
        staged_documents=staged,
    )
    rows = {name: len(examples) for name, examples in made.splits.items()}
    card = render_card(
        rows=rows, languages=["en", "zh"], facts=[("Mo|del", "a|b: c")], warnings=["be careful: it bites"]
    )
    finish_folder(out, card=card, report="<html>", manifest={"counts": rows})
    return digests


def load(out: Path, cache: Path) -> "Mapping[str, object]":
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(out), cache_dir=str(cache))


def test_three_splits_with_their_types(tmp_path: Path) -> None:
    import datasets

    write_folder(tmp_path / "data", formats=("messages", "eval"))
    loaded = load(tmp_path / "data", tmp_path / "cache")
    assert isinstance(loaded, datasets.DatasetDict)
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 22, "validation": 3, "test": 3}
    for name, rows in loaded.items():
        lines = list(read_lines(tmp_path / "data" / f"{name}.jsonl"))
        assert list(rows.features) == list(lines[0])
        assert rows.features["answer"] == datasets.Value("string")
        assert rows.features["oracle"].feature == datasets.Value("int64")
        # Where each answer of a split is a date, the library reads a time and shows it at midnight; it stays a string.
        mended = [str(row["answer"]).removesuffix(" 00:00:00") for row in rows]
        assert mended == [line["answer"] for line in lines]
        for column in ("instruction", "cot_answer", "question", "documents", "context", "oracle", "id"):
            assert list(rows[column]) == [line[column] for line in lines]


def test_answers_are_read_as_written_where_one_is_no_date(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", absent_target="refuse", oracle_share=0.5)
    for name, rows in load(tmp_path / "data", tmp_path / "cache").items():
        lines = read_lines(tmp_path / "data" / f"{name}.jsonl")
        assert list(rows["answer"]) == [line["answer"] for line in lines]  # type: ignore[index]


@pytest.mark.parametrize(
    ("chosen", "rows"),
    [
        ({"validation_share": 0.0}, {"train": 25, "test": 3}),
        ({"validation_share": 0.0, "test_share": 0.0}, {"train": 28}),
        ({"oracle_share": 0.0, "absent_target": "refuse"}, {"train": 22, "validation": 3, "test": 3}),
    ],
)
def test_empty_splits_and_empty_columns_load_too(
    tmp_path: Path, chosen: dict[str, object], rows: dict[str, int]
) -> None:
    out = tmp_path / "data"
    write_folder(out)
    digests = write_folder(out, **chosen)
    assert {path.stem for path in out.glob("*.jsonl")} & {"train", "validation", "test"} == set(rows)
    assert set(digests) == {name for name in DATA_FILES if (out / name).exists()}
    loaded = load(out, tmp_path / "cache")
    assert {name: len(split) for name, split in loaded.items()} == rows  # type: ignore[arg-type]


def test_formats_of_an_earlier_run_are_taken_away(tmp_path: Path) -> None:
    out = tmp_path / "data"
    write_folder(out, formats=("messages", "alpaca"))
    assert len(list(read_lines(out / "messages" / "train.jsonl"))) == 22
    write_folder(out, formats=("alpaca",), test_share=0.0)
    assert not (out / "messages").exists()
    assert sorted(path.name for path in (out / "alpaca").iterdir()) == ["train.jsonl", "validation.jsonl"]


def test_the_manifest_is_last_and_gone_while_files_change(tmp_path: Path) -> None:
    out = tmp_path / "data"
    write_folder(out)
    assert read_json(out / "manifest.json") == {"counts": {"train": 22, "validation": 3, "test": 3}}
    assert max(out.iterdir(), key=lambda path: path.stat().st_mtime_ns).name == "manifest.json"
    (out / "chunks.jsonl").unlink()
    (out / "chunks.jsonl").mkdir()
    with pytest.raises(Exception, match=r"cannot write .*chunks.jsonl"):
        write_folder(out)
    assert not (out / "manifest.json").exists()


def test_questions_and_rejects_are_in_a_fixed_order(tmp_path: Path) -> None:
    first = write_folder(tmp_path / "one")
    assert write_folder(tmp_path / "two") == first
    ids = [question["id"] for question in read_lines(tmp_path / "one" / "questions.jsonl")]
    assert ids == sorted(ids) and len(ids) == 28


def test_the_card_is_readable() -> None:
    card = render_card(rows={"train": 1, "test": 0}, languages=["other"], facts=[("A|B", "1|2")], warnings=[])
    head, body = card.split("---\n")[1:3]
    assert "language:\n- und\n" in head and "test" not in head
    assert "| A|B | 1/2 |" in body or "| A/B | 1/2 |" in body
    assert "Keep in mind" not in body
    zh = render_card(rows={"train": 1}, languages=["zh", "other", "en"], facts=[], warnings=["one", "two"])
    assert "language:\n- zh\n- en\n" in zh and "Keep in mind:\n\n- one\n- two\n" in zh
