"""The embedded teacher asks for facts of sentences and answers with the sentence, in English and Chinese alone."""

import asyncio
import json

import pytest
from fakes import make_chunk, make_question
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.chat.extractive import Extractive
from raft_cli.data import Answer, Chunk, Message, Sampling
from raft_cli.generate.check import check_answer, find_question_fault
from raft_cli.prompts import load_prompts, name_language, render_documents, render_title

PROMPTS = load_prompts()
ENGLISH = make_chunk(
    "# Logs\n\nThe GW-4 gateway keeps its event logs for 14 days and then overwrites them. Nothing here.\n\n"
    "- A list with 30 entries of the same kind is no sentence.\n\n"
    "Each controller accepts at most 250 sensors on one single bus segment. Is it 5 or 6? "
    "The service port of the controller is closed after 20 minutes without any input."
)
CHINESE = make_chunk(
    "网关默认将全部事件日志在本地保存 14 天，之后自动覆盖。没有别的说明。\n"
    "每台控制器的一条总线最多可以连接 250 个传感器，超出部分不会被识别。",
    language="zh",
)
JAPANESE = make_chunk("ゲートウェイはイベントログを 14 日間保存し、その後上書きします。", language="ja")


def tell(messages: tuple[Message, ...], schema: str = "") -> str:
    received = asyncio.run(Extractive().ask(messages, Sampling(schema=schema)))
    assert received.reply.finish == "stop" and received.reply.estimated
    assert received.raw == received.reply.text.encode()
    return received.reply.text


def ask(*chunks: Chunk, count: int = 9) -> list[dict[str, str]]:
    name, more = ("ask", {"kinds": "factoid"}) if len(chunks) == 1 else ("ask_pair", {})
    prompts = PROMPTS.get(chunks[0].language, PROMPTS["en"])
    filled = prompts.fill(
        name, count=count, language="", title=render_title(chunks[0]), document=render_documents(chunks).strip(), **more
    )
    questions: list[dict[str, str]] = json.loads(tell(filled, "questions"))["questions"]
    return questions


def answer(text: str, *chunks: Chunk) -> str:
    prompts = PROMPTS.get(chunks[0].language, PROMPTS["en"])
    return tell(
        prompts.fill(
            "answer",
            language=name_language(chunks[0].language),
            title=render_title(chunks[0]),
            document=render_documents(chunks).strip(),
            question=text,
        )
    )


@pytest.mark.parametrize(
    ("chunk", "facts"), [(ENGLISH, {"14 days", "250 sensors", "20 minutes"}), (CHINESE, {"14 天", "250 个"})]
)
def test_each_fact_is_asked_for_and_answered_with_its_sentence(chunk: Chunk, facts: set[str]) -> None:
    questions = ask(chunk)
    assert len(questions) == len(facts)
    found = set()
    for item in questions:
        assert item["kind"] in ("factoid", "reasoning", "procedural")
        assert find_question_fault(item["question"], language=chunk.language, others=[]) == ""
        question = make_question(chunk, item["question"])
        checked = check_answer(
            answer(item["question"], chunk), question=question, chunks=[chunk], language=chunk.language
        )
        assert isinstance(checked, Answer), checked
        assert checked.final in checked.quotes[0].text and checked.final not in item["question"]
        found.add(checked.final)
    assert found == facts


@pytest.mark.parametrize("chunk", [ENGLISH, CHINESE])
def test_two_passages_give_questions_that_need_both(chunk: Chunk) -> None:
    text = "The siren of hall two sounds for 45 seconds at every alarm." if chunk.language == "en" else (
        "二号厅的警笛在每次报警时都会连续鸣响 45 秒，之后自动停止。"
    )  # fmt: skip
    other = make_chunk(text, 1, language=chunk.language)
    (item,) = ask(chunk, other)
    assert item["kind"] == "multi-hop"
    question = make_question(chunk, item["question"], other)
    checked = check_answer(
        answer(item["question"], chunk, other), question=question, chunks=[chunk, other], language=chunk.language
    )
    assert isinstance(checked, Answer), checked
    assert {quote.chunk_id for quote in checked.quotes} == {chunk.id, other.id}


def test_own_questions_are_answered_with_the_most_similar_sentence() -> None:
    assert "##begin_quote##The GW-4 gateway keeps" in answer(
        "For how long are event logs of the gateway kept?", ENGLISH
    )
    assert "##begin_quote##网关默认将全部事件日志" in answer("事件日志保存多久？", CHINESE)


@pytest.mark.parametrize(
    "text",
    [
        "No figures here, only words that say nothing in particular about anything.",
        "| Port | 8443 |\n| Time | 14 days |",
        "```\nsleep 14 # days of the week\n```",
        "Das Gateway speichert seine Protokolle 14 Tage lang und überschreibt sie.",
        "5.",
        "",
    ],
)
def test_nothing_to_ask_is_an_empty_list(text: str) -> None:
    assert ask(make_chunk(text)) == []


def test_other_languages_get_none_and_a_verdict_is_always_yes() -> None:
    assert ask(JAPANESE) == []
    assert json.loads(tell((Message("user", "<DOCUMENT>x</DOCUMENT>"),), "verdict"))["supported"] is True


@given(st.text(max_size=200), st.text(max_size=40))
def test_any_text_and_any_question_get_a_reply(text: str, question: str) -> None:
    chunk = make_chunk(text)
    first = ask(chunk)
    assert first == ask(chunk)
    assert answer(question, chunk) == answer(question, chunk)


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("The clock of the whole plant is set at 12:30 each day by the GW-4 itself.", "GW-4"),
        ("After 14 days the log of these 14 days is moved away by the GW-4 itself.", "GW-4"),
        ("The plant has used version 3.2.1-beta of the driver for 18 months in all halls.", "18 months"),
        ("The rate of the serial line is 9600 bit/s on every port of the controller.", "9600 bit/s"),
        ("所有传感器在出厂时均按照 2.5 mm 的间距安装在同一块电路板上。", "2.5 mm"),
    ],
)
def test_a_fact_is_no_part_of_a_name_a_time_or_a_version(sentence: str, fact: str) -> None:
    chunk = make_chunk(sentence, language="zh" if "所" in sentence else "en")
    (item,) = ask(chunk)
    assert answer(item["question"], chunk).endswith(f"<ANSWER>: {fact}")
