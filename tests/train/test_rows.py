"""What is too long loses distractors and nothing else; what cannot be trained on is set aside by name."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train.models import FAMILIES, write_model

from raft_cli.data import Message, Role
from raft_cli.errors import DatasetError
from raft_cli.model import load_student
from raft_cli.student import Student
from raft_cli.train.data.documents import drop_documents, read_documents
from raft_cli.train.data.fit import fit_rows, order_removals
from raft_cli.train.records import Row
from raft_cli.train.rows import encode_rows, show_row

ORACLE, HARD, RANDOM = Role.ORACLE, Role.HARD, Role.RANDOM
QUESTION = "How long are logs kept?"
ANSWER = "It says ##begin_quote##kept for 30 days##end_quote##.\n<ANSWER>: 30 days"
TRUTH = "Logs are kept for 30 days. 日志保存三十天。"
AMPLE = 1 << 20


@cache
def student(family: str = "chatml") -> Student:
    with tempfile.TemporaryDirectory() as folder:
        return load_student(write_model(Path(folder), family))


def make_row(roles: Sequence[Role], texts: Sequence[str], *, number: int = 0, answer: str = ANSWER) -> Row:
    documents = "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts)
    oracle = tuple(at for at, role in enumerate(roles) if role is ORACLE)
    return Row(
        id=f"row{number}",
        place=f"rows.jsonl, line {number + 1}",
        messages=(Message("system", "Be brief."), Message("user", documents + QUESTION)),
        answer=answer,
        roles=tuple(roles),
        oracle=oracle,
        group="group",
        present=bool(oracle),
        native=True,
    )


def plain(roles: Sequence[Role], **options: int) -> Row:
    """Return a row whose distractors take about 60 tokens each."""
    texts = [TRUTH if role is ORACLE else f"Document {at}. " + "The pump runs. " * 10 for at, role in enumerate(roles)]
    return make_row(roles, texts, **options)


def measure(row: Row, family: str = "chatml") -> int:
    prompt, completion = student(family).encode_pairs([row.messages], [row.answer])[0]
    return len(prompt) + len(completion)


def test_documents_are_read_and_dropped() -> None:
    prompt = "<DOCUMENT>a\nb</DOCUMENT>\n<DOCUMENT></DOCUMENT>\n<DOCUMENT>c</DOCUMENT>\nWhat is <DOCUMENT>?"
    assert read_documents(prompt) == ["a\nb", "", "c"]
    assert drop_documents(prompt, {0, 2}) == "<DOCUMENT></DOCUMENT>\nWhat is <DOCUMENT>?"
    assert drop_documents(prompt, set()) == prompt


def test_random_ones_go_first_then_hard_ones_last_first() -> None:
    assert order_removals([HARD, RANDOM, ORACLE, RANDOM, HARD]) == [3, 1, 4, 0]
    assert order_removals([HARD, RANDOM, RANDOM]) == [2, 1]
    assert order_removals([ORACLE, ORACLE]) == order_removals([HARD]) == order_removals([]) == []


def test_a_row_that_fits_is_left_as_it_is() -> None:
    row = plain([HARD, ORACLE, RANDOM])
    encoded = encode_rows([row], student(), measure(row)).rows[0]
    prompt, completion = student().encode_pairs([row.messages], [row.answer])[0]
    assert (list(encoded.prompt), list(encoded.completion)) == (prompt, completion)
    assert (encoded.dropped, encoded.documents, encoded.oracle, encoded.present) == (0, 3, (1,), True)


def test_a_long_row_loses_distractors_and_its_oracle_moves_up() -> None:
    row = plain([HARD, RANDOM, ORACLE, RANDOM])
    encoded = encode_rows([row], student(), measure(row) - 1).rows[0]
    assert (encoded.dropped, encoded.documents, encoded.oracle) == (1, 3, (2,))
    encoded = encode_rows([row], student(), measure(plain([ORACLE])) + 5).rows[0]
    assert (encoded.dropped, encoded.documents, encoded.oracle) == (3, 1, (0,))
    text = student().decode(encoded.prompt)
    assert read_documents(text) == [TRUTH] and QUESTION in text and "Be brief." in text
    assert student().decode(encoded.completion) == ANSWER


def test_without_the_oracle_one_document_stays() -> None:
    row = plain([HARD, RANDOM, RANDOM])
    encoded = encode_rows([row], student(), measure(plain([HARD])))
    assert (encoded.rows[0].documents, encoded.rows[0].oracle, encoded.rows[0].present) == (1, (), False)
    assert encode_rows([row], student(), measure(plain([HARD])) - 1).overflow[0].reason == "too-long"


def test_what_does_not_fit_is_set_aside_whole() -> None:
    rows = [
        plain([ORACLE, HARD], number=0),
        plain([ORACLE], number=1),
        replace(plain([HARD, HARD], number=2), roles=()),
    ]
    encoded = encode_rows(rows, student(), 40)
    assert encoded.rows == [] and {each.reason for each in encoded.overflow} == {"too-long"}
    first, second, third = encoded.overflow
    assert (first.id, first.place, first.tokens) == ("row0", "rows.jsonl, line 1", measure(plain([ORACLE])))
    assert "tokens without 1 distractors" in first.detail and "at most 40 fit" in first.detail
    assert "without" not in second.detail and third.tokens == measure(rows[2])


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (" \n", "empty-answer", "the answer is empty"),
        ("so <|im_end|> it ends", "control-token", "the answer holds <|im_end|>, which steers this model"),
    ],
)
def test_answers_that_cannot_be_learnt(answer: str, reason: str, detail: str) -> None:
    sound = plain([ORACLE], number=1)
    encoded = encode_rows([replace(plain([ORACLE]), answer=answer), sound], student(), AMPLE)
    assert [(each.id, each.reason, each.detail) for each in encoded.overflow] == [("row0", reason, detail)]
    assert [each.id for each in encoded.rows] == ["row1"]


def test_special_tokens_in_a_prompt_are_counted() -> None:
    rows = [make_row([ORACLE], [TRUTH + text], number=at) for at, text in enumerate(("", "<|im_start|>", "</s>"))]
    encoded = encode_rows(rows, student(), AMPLE)
    assert encoded.control == 1 and len(encoded.rows) == 3


def test_quotes_of_ours_stand_in_a_document_exactly() -> None:
    apart = make_row([ORACLE], ["Logs are kept  for 30 days."])
    with pytest.raises(DatasetError, match=r"line 1: row row0 quotes what stands in none .*: 'kept for 30 days'"):
        encode_rows([apart], student(), AMPLE)
    absent = replace(apart, present=False, roles=(HARD,), oracle=())
    assert len(encode_rows([absent], student(), AMPLE).rows) == 1


def test_quotes_of_others_may_differ_in_spacing_and_are_counted() -> None:
    rows = [
        replace(make_row([ORACLE], [text], number=at), native=False)
        for at, text in enumerate(("Logs are kept  for\n30 days.", "Nothing here."))
    ]
    encoded = encode_rows(rows, student(), AMPLE)
    assert encoded.unquoted == 1 and len(encoded.rows) == 2


def test_rows_keep_their_order_over_batches() -> None:
    rows = [plain([ORACLE, HARD, RANDOM][: 1 + number % 3], number=number) for number in range(600)]
    limit = measure(plain([ORACLE, HARD]))
    encoded = encode_rows(rows, student(), limit)
    assert [each.id for each in encoded.rows] == [row.id for row in rows]
    assert {each.documents for each in encoded.rows} == {1, 2} and all(each.length <= limit for each in encoded.rows)


def test_only_the_last_turn_loses_documents() -> None:
    earlier = (Message("user", "<DOCUMENT>old</DOCUMENT>\nOld?"), Message("assistant", "Old."))
    row = plain([ORACLE, RANDOM])
    long = replace(row, messages=(row.messages[0], *earlier, row.messages[1]))
    text = student().decode(encode_rows([long], student(), measure(long) - 1).rows[0].prompt)
    assert read_documents(text) == ["old", TRUTH]


def test_a_row_is_shown_for_the_eye() -> None:
    encoded = encode_rows([plain([HARD, ORACLE])], student(), AMPLE).rows[0]
    shown = show_row(student(), encoded).splitlines()
    assert shown[0] == f"row row0: {encoded.length} tokens, 2 documents (oracle: 2; 0 removed to fit)"
    assert shown[1] == f"----- prompt: {len(encoded.prompt)} tokens without loss -----"
    assert (
        shown[2] == "<|im_start|>system" and f"----- answer: {len(encoded.completion)} tokens with loss -----" in shown
    )
    assert shown[-2:] == ["<ANSWER>: 30 days<|im_end|>", "----- end -----"]


WORDS = [
    "pump",
    "runs ",
    " 14",
    "\n",
    "\n\n",
    "水泵",
    "日志。",
    "é",
    "😀",
    "</DOC",
    ">",
    "<",
    "  ",
    "\t",
    "logs are kept",
]


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        roles = draw(st.lists(st.sampled_from([ORACLE, HARD, RANDOM]), min_size=1, max_size=6))
        texts = ["".join(draw(st.lists(st.sampled_from(WORDS), max_size=25))) for _ in roles]
        marked = [
            f"{at} {TRUTH} {text}" if role is ORACLE else f"{at} {text}"
            for at, (role, text) in enumerate(zip(roles, texts, strict=True))
        ]
        made.append(make_row(roles, marked, number=number))
    return made


def fit_slowly(row: Row, limit: int, family: str) -> tuple[Row, tuple[int, ...]]:
    """Remove one document after the other until the row fits."""
    gone: tuple[int, ...] = ()
    tried = row
    for position in order_removals(row.roles):
        if measure(tried, family) <= limit:
            break
        gone = (*gone, position)
        cut = drop_documents(row.messages[-1].content, set(gone))
        tried = replace(row, messages=(*row.messages[:-1], Message("user", cut)))
    return tried, gone


@settings(max_examples=60)
@given(rows(), st.integers(60, 400), st.sampled_from(FAMILIES))
def test_fitting_is_dropping_one_after_the_other(made: list[Row], limit: int, family: str) -> None:
    for row, fitted in zip(made, fit_rows(made, student(family), limit), strict=True):
        expected, gone = fit_slowly(row, limit, family)
        assert (fitted.gone, fitted.messages) == (gone, expected.messages)
        assert fitted.length == measure(expected, family)


@settings(max_examples=60)
@given(rows(), st.integers(60, 400), st.sampled_from(FAMILIES))
def test_oracle_question_and_answer_are_never_lost(made: list[Row], limit: int, family: str) -> None:
    encoded = encode_rows(made, student(family), limit)
    assert {row.id for row in made} == {each.id for each in encoded.rows} | {each.id for each in encoded.overflow}
    assert len(encoded.rows) + len(encoded.overflow) == len(made)
    for each in encoded.rows:
        row = next(row for row in made if row.id == each.id)
        before, text = read_documents(row.messages[-1].content), student(family).decode(each.prompt)
        kept = read_documents(text)
        assert each.length <= limit and len(kept) == each.documents == len(before) - each.dropped >= 1
        assert [kept[at] for at in each.oracle] == [before[at] for at in row.oracle]
        assert QUESTION in text and student(family).decode(each.completion).strip() == ANSWER
        whole = student(family).encode_pairs([row.messages], [row.answer])[0][1]
        assert list(each.completion) == whole
