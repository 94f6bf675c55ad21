import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_cli.chat.connect import check_name, connect, is_remote
from raft_cli.chat.endpoint import Endpoint
from raft_cli.chat.extractive import Extractive
from raft_cli.chat.journal import Journal
from raft_cli.chat.local import LocalModel
from raft_cli.data import Message, Sampling
from raft_cli.errors import ChatError, ConfigError

HERE = "http://127.0.0.1:8000/v1/"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def open_model(name: str, journal: Journal, base_url: str = HERE) -> Endpoint | Extractive | LocalModel:
    return connect(name, flag="--teacher", base_url=base_url, env_file=".env", timeout=5, journal=journal)


def test_no_name_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"(?s)--judge gpt-4.1-mini.*--judge extractive"):
        check_name("", flag="--judge")


def test_names_lead_to_models(journal: Journal) -> None:
    assert isinstance(open_model("extractive", journal), Extractive)
    endpoint = open_model("gpt-4.1-mini", journal)
    assert isinstance(endpoint, Endpoint) and endpoint.identity == "http://127.0.0.1:8000/v1 gpt-4.1-mini"
    assert [is_remote(name) for name in ("gpt-4.1-mini", "extractive", "local:x")] == [True, False, False]


def test_a_key_that_is_missing_and_a_folder_that_is_missing(journal: Journal) -> None:
    with pytest.raises(ChatError, match=r"no key for https://api.openai.com/v1"):
        open_model("gpt-4.1-mini", journal, base_url="")
    pytest.importorskip("torch")
    with pytest.raises(ChatError, match="no model there"):
        open_model("local:nowhere", journal)


def test_what_was_settled_is_known_to_the_next_run(journal: Journal) -> None:
    journal.note(f"endpoint {HERE.rstrip('/')} sim", '{"limit": "max_tokens", "rung": 2, "without": ["temperature"]}')
    settled = open_model("sim", journal)
    assert isinstance(settled, Endpoint)
    assert settled.notes == ["replies without JSON mode", "temperature not supported, left out"]
    other = open_model("another", journal)
    assert isinstance(other, Endpoint) and other.notes == []


def test_the_embedded_teacher_answers_like_any_other(journal: Journal) -> None:
    passage = "The pump of the Lyra boiler runs for 14 seconds after each start. It needs 230 volts and two litres."
    asked = (
        Message("system", "Write exactly 2 questions."),
        Message("user", f"<TITLE>Lyra</TITLE>\n<DOCUMENT>{passage}</DOCUMENT>"),
    )
    model = open_model("extractive", journal)
    first = asyncio.run(model.ask(asked, Sampling(schema="questions"))).reply
    again = asyncio.run(model.ask(asked, Sampling(schema="questions"))).reply
    assert first.finish == "stop" and '"questions"' in first.text and first == again
