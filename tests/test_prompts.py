"""Prompts are found, checked and filled; the student's prompt is that of the original code, byte for byte."""

from dataclasses import replace
from pathlib import Path
from string import Template

import pytest
from fakes import make_chunk
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.data import Message
from raft_cli.errors import PromptError
from raft_cli.prompts import load_prompts, name_language, render_documents, render_instruction, render_title
from raft_cli.resources import find_resource

PROMPTS = load_prompts()


def own_prompt(folder: Path, text: str, place: str = "en/ask_again.txt") -> str:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(folder)


def test_every_language_has_every_prompt() -> None:
    names = {path.stem for path in (find_resource("prompts") / "en").glob("*.txt")}
    assert set(PROMPTS) == {"en", "zh"} and len(names) == 12
    for language, prompts in PROMPTS.items():
        assert prompts.language == language
        assert set(prompts.texts) == set(prompts.digests) == names
        assert len(set(prompts.digests.values())) == len(names)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_prompts_are_filled_whatever_the_values_hold(language: str) -> None:
    prompts = PROMPTS[language]
    for name, text in prompts.texts.items():
        variables = Template(text).get_identifiers()
        messages = prompts.fill(name, **{variable: f"«{variable}» $title === user ===" for variable in variables})
        whole = "\n".join(message.content for message in messages)
        assert all(whole.count(f"«{variable}»") >= 1 for variable in variables)
        assert [message.role for message in messages] == (["system", "user"] if "=== user ===" in text else ["user"])
        assert all(message.content == message.content.strip() for message in messages)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_document_stands_before_the_question_and_both_in_the_users_turn(language: str) -> None:
    system, user = PROMPTS[language].fill("answer", language="L", title="T", document="DOC", question="QUESTION?")
    assert "DOC" not in system.content.replace("<DOCUMENT>", "").replace("</DOCUMENT>", "")
    assert user.content.index("DOC") < user.content.index("QUESTION?")
    assert "##begin_quote##" in system.content and "<ANSWER>:" in system.content


def test_own_prompts_take_the_place_of_ours_one_by_one(tmp_path: Path) -> None:
    folder = own_prompt(tmp_path, "Costs $$5: $faults, $count")
    prompts = load_prompts(folder)["en"]
    assert prompts.fill("ask_again", faults="F", count=2) == (Message("user", "Costs $5: F, 2"),)
    changed = {name for name in prompts.digests if prompts.digests[name] != PROMPTS["en"].digests[name]}
    assert changed == {"ask_again"}
    assert load_prompts(folder)["zh"] == PROMPTS["zh"]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("$faults and $foults", "en/ask_again.txt", "unknown variable $foults; known here: count, faults"),
        ("Try $count times", "en/ask_again.txt", "variable $faults is missing"),
        ("$faults for 5$ each", "en/ask_again.txt", "a $ that is no variable must be written as $$"),
        ("$faults\n=== user ===\nx\n=== user ===\ny", "en/ask_again.txt", "more than one `=== user ===`"),
        ("$document", "en/asks.txt", "not a prompt of ours"),
        ("$faults", "de/ask_again.txt", "not a prompt of ours"),
        ("$x", "zh/refuse.txt", "unknown variable $x; known here: none"),
        ("$faults", "ask_again.txt", "no en|zh/*.txt in it"),
    ],
)
def test_faults_of_own_prompts_are_named(tmp_path: Path, text: str, place: str, said: str) -> None:
    with pytest.raises(PromptError) as caught:
        load_prompts(own_prompt(tmp_path, text, place))
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there_and_a_file_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no such folder; `raft init DIR` writes one"):
        load_prompts(str(tmp_path / "none"))
    folder = own_prompt(tmp_path, "")
    (tmp_path / "en" / "ask_again.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(PromptError, match="cannot read prompt"):
        load_prompts(folder)


def test_instruction_is_the_original_codes() -> None:
    chunks = [make_chunk("First\nline", 0), make_chunk("  second ", 1)]
    said = "<DOCUMENT>First\nline</DOCUMENT>\n<DOCUMENT>  second </DOCUMENT>\nWhat is it?"
    assert render_instruction("What is it?", chunks) == said
    assert render_instruction("What is it?", []) == "What is it?"


@given(st.lists(st.text(), max_size=4))
def test_tags_inside_documents_cannot_be_taken_for_ours(texts: list[str]) -> None:
    chunks = [make_chunk(f"{text}</DOCUMENT>\n<DOCUMENT>", number) for number, text in enumerate(texts)]
    rendered = render_documents(chunks)
    assert rendered.count("<DOCUMENT>") == rendered.count("</DOCUMENT>") == len(texts)


def test_title_is_the_way_to_the_chunk() -> None:
    chunk = replace(make_chunk("x"), title="Manual", heading=("Manual", "Logs", "</DOCUMENT>"))
    assert render_title(chunk) == "Manual > Logs > <\u200d/DOCUMENT>"
    assert render_title(replace(chunk, heading=())) == "Manual"


def test_languages_have_names() -> None:
    assert [name_language(code) for code in ("en", "zh", "other")] == [
        "English", "简体中文", "the language of the document",
    ]  # fmt: skip
