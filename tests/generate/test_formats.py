"""Rows are byte for byte what the original code writes, and what each trainer reads."""

import json
from dataclasses import replace

import pytest
from fakes import BEGIN, END, make_chunk, make_question, quote_chunk

from raft_cli.config.generate import FORMATS
from raft_cli.data import Example, Role
from raft_cli.generate.formats import CONVERTERS, build_row, check_row

ORACLE = replace(make_chunk("Logs are kept for 14 days.\nSee </DOCUMENT>.", 0), page=3, heading=("Logs", "Time"))
OTHERS = [make_chunk(f"Other text {number}.", number, document="other") for number in (1, 2)]
QUESTION = make_question(ORACLE, "How long?\nIn days?")
QUOTE = quote_chunk(ORACLE, "kept for 14 days")
TARGET = f"It says {BEGIN}kept for 14 days{END}.\n<ANSWER>: 14 days"
EXAMPLE = Example(
    "row1",
    QUESTION,
    (OTHERS[0], ORACLE, OTHERS[1]),
    (Role.HARD, Role.ORACLE, Role.RANDOM),
    (1,),
    TARGET,
    (QUOTE,),
    "14 days",
)
INSTRUCTION = (
    "<DOCUMENT>Other text 1.</DOCUMENT>\n"
    "<DOCUMENT>Logs are kept for 14 days.\nSee <\u200d/DOCUMENT>.</DOCUMENT>\n"
    "<DOCUMENT>Other text 2.</DOCUMENT>\n"
    "How long?\nIn days?"
)
DOCUMENTS = INSTRUCTION.removesuffix("\nHow long?\nIn days?")
ROW = build_row(EXAMPLE, ORACLE.text, "en")


def test_the_native_row() -> None:
    assert list(ROW.items()) == [
        ("id", "row1"),
        ("type", "general"),
        ("question", "How long?\nIn days?"),
        (
            "context",
            {
                "sentences": [
                    ["Other text 1.", "Logs are kept for 14 days.\nSee <\u200d/DOCUMENT>.", "Other text 2."],
                ],
                "title": [["Other", "Doc", "Other"]],
            },
        ),
        ("oracle_context", "Logs are kept for 14 days.\nSee <\u200d/DOCUMENT>."),
        ("cot_answer", TARGET),
        ("instruction", INSTRUCTION),
        ("answer", "14 days"),
        ("quotes", [{"text": "kept for 14 days", "chunk_id": "chunk0000", "start": 9, "end": 25}]),
        (
            "documents",
            [
                {"chunk_id": "chunk0001", "source": "other.md", "page": None, "heading": "Part 1", "role": "hard"},
                {"chunk_id": "chunk0000", "source": "doc.md", "page": 3, "heading": "Logs > Time", "role": "oracle"},
                {"chunk_id": "chunk0002", "source": "other.md", "page": None, "heading": "Part 2", "role": "random"},
            ],
        ),
        ("oracle", [1]),
        ("kind", "factoid"),
        ("language", "en"),
    ]
    assert json.loads(json.dumps(ROW)) == ROW


TURNS = [{"role": "user", "content": INSTRUCTION}, {"role": "assistant", "content": TARGET}]
SPOKEN = [{"from": "human", "value": INSTRUCTION}, {"from": "gpt", "value": TARGET}]


@pytest.mark.parametrize(
    ("name", "plain", "led"),
    [
        ("chat", {"messages": TURNS}, {"messages": [{"role": "system", "content": "Be brief."}, *TURNS]}),
        ("messages", {"messages": TURNS}, {"messages": [{"role": "system", "content": "Be brief."}, *TURNS]}),
        (
            "completion",
            {"prompt": INSTRUCTION, "completion": TARGET + "<STOP>"},
            {"prompt": f"Be brief.\n\n{INSTRUCTION}", "completion": TARGET + "<STOP>"},
        ),
        (
            "prompt-completion",
            {"prompt": INSTRUCTION, "completion": TARGET},
            {"prompt": f"Be brief.\n\n{INSTRUCTION}", "completion": TARGET},
        ),
        (
            "sharegpt",
            {"conversations": SPOKEN},
            {"conversations": [{"from": "system", "value": "Be brief."}, *SPOKEN]},
        ),
        (
            "alpaca",
            {"instruction": "How long?\nIn days?", "input": DOCUMENTS, "output": TARGET},
            {"instruction": "How long?\nIn days?", "input": DOCUMENTS, "output": TARGET, "system": "Be brief."},
        ),
        (
            "eval",
            {"question": "How long?\nIn days?", "gold_final_answer": "14 days", "context": DOCUMENTS},
            {"question": "How long?\nIn days?", "gold_final_answer": "14 days", "context": DOCUMENTS},
        ),
    ],
)
def test_formats_of_trainers(name: str, plain: dict[str, object], led: dict[str, object]) -> None:
    assert CONVERTERS[name](ROW, "") == plain
    assert CONVERTERS[name](ROW, "Be brief.") == led
    assert list(CONVERTERS[name](ROW, "")) == list(plain)


def test_every_format_that_is_offered_is_written() -> None:
    assert set(CONVERTERS) == set(FORMATS)


@pytest.mark.parametrize("answer", ["<ANSWER>:14 days", "<ANSWER>:  14 days"])
def test_final_answers_of_others_rows_are_read(answer: str) -> None:
    assert CONVERTERS["eval"]({**ROW, "cot_answer": f"Why.\n{answer}"}, "")["gold_final_answer"] == "14 days"


def test_a_row_without_its_oracle() -> None:
    absent = replace(EXAMPLE, documents=tuple(OTHERS), roles=(Role.HARD, Role.RANDOM), oracle=(), quotes=())
    row = build_row(absent, ORACLE.text, "en")
    assert row["oracle"] == [] and row["quotes"] == [] and row["oracle_context"] == ROW["oracle_context"]
    assert check_row(row, absent) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"instruction": INSTRUCTION + " "}, "the instruction is not documents and question"),
        ({"question": "How?"}, "the instruction is not documents and question"),
        ({"cot_answer": TARGET + "\n<ANSWER>: 15"}, "not exactly one answer tag"),
        ({"cot_answer": "14 days"}, "not exactly one answer tag"),
        ({"cot_answer": TARGET.replace("kept", "held")}, "a quote does not stand in its document"),
    ],
)
def test_a_broken_row_is_not_written(change: dict[str, str], fault: str) -> None:
    assert check_row({**ROW, **change}, EXAMPLE) == fault


def test_a_broken_example_is_not_written() -> None:
    assert check_row(ROW, EXAMPLE) == ""
    assert check_row(ROW, replace(EXAMPLE, oracle=(0,))) == "the oracle positions are wrong"
    twice = replace(EXAMPLE, documents=(ORACLE, ORACLE, OTHERS[0]), roles=(Role.HARD, Role.ORACLE, Role.RANDOM))
    assert check_row(build_row(twice, "", "en"), twice) == "a document stands twice"
    shifted = replace(EXAMPLE, quotes=(replace(QUOTE, start=8),))
    assert check_row(ROW, shifted) == "a quote does not stand in its document"
