"""`raft ask` as a person or a script meets it: what is shown, where, and what it says when it cannot."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import BEGIN, END, make_chunk
from streams import END as DONE
from streams import Script, Streams, event, script, serve
from typer.testing import CliRunner, Result

from raft_cli.cli import app, register_commands
from raft_cli.store import write_json, write_lines
from raft_cli.train.tiny import write_tiny_model

register_commands()
WARRANTY = "The warranty lasts 24 months from the day of delivery, and 36 months for the larger pump."
NOISE = "The canteen \x1b[31mof\x9b hall two\u202e opens at noon."
TRAINING = "torch transformers peft safetensors trl accelerate".split()


@pytest.fixture(autouse=True)
def data(alone: None) -> Path:
    """A dataset folder without any rows."""
    folder = Path("data")
    write_lines(
        folder / "chunks.jsonl", [make_chunk(WARRANTY, 1), make_chunk(NOISE, 2), make_chunk("水泵保修两年。", 3)]
    )
    return folder


@pytest.fixture
def server() -> Iterator[Streams]:
    said = f"It says {BEGIN}The warranty lasts 24 months from the day of delivery{END}.\x1b[2J"
    with serve(script(*said, "\n<ANSWER>: 24 months")) as streams:
        yield streams


def raft(*arguments: object, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, ["ask", *map(str, arguments)], input=stdin, terminal_width=200)


def at(streams: Streams) -> tuple[str, str]:
    return "--model", f"endpoint:sim@{streams.url}"


def test_the_answer_then_what_is_behind_it(server: Streams) -> None:
    result = raft("data", *at(server), "How long does the warranty last in hall two?", "--system", "Be brief.")
    assert result.exit_code == 0 and result.stderr == "", result.output
    assert result.stdout == "\n".join(
        [
            f"It says {BEGIN}The warranty lasts 24 months from the day of delivery{END}.[2J",
            "<ANSWER>: 24 months",
            "",
            "Documents",
            "  1  Doc > Part 2 (doc.md)",
            "     The canteen of hall two opens at noon.",
            "  2  Doc > Part 1 (doc.md)",
            "     The warranty lasts 24 months from the day of delivery, and 36 months for…",
            "Quotations",
            "  1  verbatim in document 2 (doc.md, Part 1)",
            "     “The warranty lasts 24 months from the day of delivery”",
            "Short answer",
            "  24 months",
            "note: only 2 of 5 documents: no other passage shares a word with the question",
            "",
        ]
    )
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "hall two\u202e opens" in server.bodies[0]["messages"][1]["content"]  # shown without, sent as it stands


def test_a_script_gets_json(server: Streams) -> None:
    result = raft("data", *at(server), "warranty", "--json", "-k", 1, "--show-prompt")
    record: dict[str, Any] = json.loads(result.stdout)
    assert record["question"] == "warranty" and record["final"] == "24 months"
    assert record["prompt"] == f"[user]\n<DOCUMENT>{WARRANTY}</DOCUMENT>\nwarranty"
    assert [(each["number"], each["text"]) for each in record["documents"]] == [(1, WARRANTY)]
    quoted = "The warranty lasts 24 months from the day of delivery"
    assert record["quotes"] == [{"text": quoted, "verdict": "verbatim", "document": 1, "also": [], "source": quoted}]
    assert (record["finish"], record["error"], record["notes"]) == ("stop", "", [])


def test_questions_come_line_by_line(server: Streams) -> None:
    result = raft("data", *at(server), "--json", stdin="warranty\n\n 水泵 \n".encode() + b"\xff\n")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["question"] for record in records] == ["warranty", "水泵", "\ufffd"]
    assert records[1]["documents"][0]["text"] == "水泵保修两年。" and records[2]["documents"] == []
    nothing = raft("data", *at(server), stdin="\n \n")
    assert nothing.exit_code == 2 and "no question" in nothing.stderr


def test_the_prompt_is_shown_before_the_answer(server: Streams) -> None:
    shown = raft("data", *at(server), "--show-prompt", "warranty").stdout
    assert shown.startswith(f"Prompt\n[user]\n<DOCUMENT>{WARRANTY}</DOCUMENT>\nwarranty\n\nAnswer\nIt says")


def test_every_verdict_has_its_words() -> None:
    near, other = WARRANTY.replace("lasts 24 months", "lasts some 24 months"), WARRANTY.replace("24", "48")
    quotes = [near, other, "Pumps are blue and made in Rome.", "24 months"]
    with serve(script(" ".join(f"{BEGIN}{quote}{END}" for quote in quotes))) as streams:
        lines = raft("data", *at(streams), "warranty").stdout.splitlines()
    place = "document 1 (doc.md, Part 1)"
    assert lines[lines.index("Quotations") + 1 : -1] == [
        f"  1  nearly as in {place}",
        f"     “{near}”",
        f"     the document: “{WARRANTY}”",
        f"  2  ALTERED from {place}",
        f"     “{other}”",
        f"     the document: “{WARRANTY}”",
        "  3  NOT IN ANY DOCUMENT",
        "     “Pumps are blue and made in Rome.”",
        f"  4  too short to tell; stands in {place}",
        "     “24 months”",
        "Short answer",
        "  – (there is no answer line)",
    ]


def test_an_answer_that_breaks_off_is_shown_and_fails() -> None:
    with serve(Script([event(f"{BEGIN}The warranty lasts 24 months{END}")], cut=True)) as streams:
        result, record = raft("data", *at(streams), "warranty"), raft("data", *at(streams), "warranty", "--json")
    assert result.exit_code == 1 and "verbatim in document 1" in result.stdout
    assert "error: the answer broke off: the connection broke" in result.stderr
    assert record.exit_code == 1 and "the connection broke" in json.loads(record.stdout)["error"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["none", "--model", "endpoint:sim@http://127.0.0.1:9/v1", "x"], 1, "none: no such folder"),
        ([".", "--model", "endpoint:sim@http://127.0.0.1:9/v1", "x"], 1, "chunks.jsonl: no passages there"),
        (["data", "--model", "endpoint:sim@http://127.0.0.1:9/v1", "x"], 1, "no connection"),
        (["data", "--model", "endpoint:sim@http://127.0.0.1:9/v1", " "], 2, "the question is empty"),
        (["data", "--model", "endpoint:sim@nowhere", "x"], 2, "endpoint:MODEL@http://HOST:PORT/v1"),
        (["data", "--model", "endpoint:sim", "x"], 1, "set OPENAI_API_KEY"),
        (["data", "x"], 2, "--model"),
        (["data", "--model", "m", "--precision", "fp8", "x"], 2, "--precision"),
    ],
)
def test_what_cannot_work_is_said(arguments: list[str], code: int, why: str) -> None:
    result = raft(*arguments)
    assert result.exit_code == code and why in result.stderr, result.output
    assert result.stdout == ""


def run_raft(*arguments: str, blocked: list[str]) -> "subprocess.CompletedProcess[str]":
    block = f"import sys\nfor name in {blocked!r}:\n    sys.modules[name] = None\n"
    start = "from raft_cli.cli import main\nsys.argv[0] = 'raft'\nmain()\n"
    return subprocess.run(
        [sys.executable, "-c", block + start, "ask", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_an_endpoint_needs_no_torch(server: Streams) -> None:
    done = run_raft("data", *at(server), "warranty", blocked=TRAINING)
    assert done.returncode == 0 and "verbatim in document 1" in done.stdout, done.stderr
    done = run_raft("data", "--model", "data", "warranty", blocked=TRAINING)
    assert done.returncode == 1 and "pip install 'raft-cli[train]'" in done.stderr and done.stdout == ""


def test_ctrl_c_ends_an_answer(server: Streams) -> None:
    wait = threading.Event()
    with serve(Script([event("The warranty"), DONE], wait=wait)) as streams:
        command = [sys.executable, "-m", "raft_cli", "ask", "data", *at(streams), "warranty"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout and process.stderr
            arrived = os.read(process.stdout.fileno(), 100)  # it is shown before the answer has ended
            process.send_signal(signal.SIGINT)
            rest, told = process.communicate(timeout=20)
        wait.set()
    assert arrived == b"The warranty" and rest == b"" and process.returncode == 130
    assert told.decode().strip() == "stopped: by Ctrl-C, before the answer was complete"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_at_a_terminal_questions_follow_each_other() -> None:
    import pty

    with serve(script("One."), Script([b"{}"], status=500), script("Two.")) as streams:
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "raft_cli", "ask", "data", *at(streams)]
        environment = {**os.environ, "TERM": "dumb", "COLUMNS": "40"}
        with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
            os.close(follower)
            try:
                shown = [read_until(leader, "? ")]
                for _ in range(3):
                    os.write(leader, b"warranty\n")
                    shown.append(read_until(leader, "\n? "))
                os.write(leader, b"\x04")
                assert process.wait(20) == 0
            finally:
                process.kill()
        os.close(leader)
    assert "Ctrl-D ends" in shown[0] and "One." in shown[1] and "Short answer" in shown[1]
    assert "error: " in shown[2] and "HTTP 500" in shown[2] and "Two." in shown[3] and "error" not in shown[3]


def read_until(leader: int, awaited: str) -> str:
    """Return what a terminal shows up to `awaited`, which is the last that is written before something is typed."""
    shown = b""
    while awaited not in shown.decode(errors="replace").replace("\r", ""):
        assert select.select([leader], [], [], 20)[0], shown
        shown += os.read(leader, 4096)
    return shown.decode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_run_is_asked_as_it_was_trained(data: Path) -> None:
    pytest.importorskip("torch")
    run = Path("run")
    write_tiny_model(run, vocabulary=384, hidden=32, layers=1)
    told = {
        "kind": "run",
        "complete": True,
        "prompt": {"system": "Keep to the documents."},
        "rows": {"documents": 1.2},
        "data": {"path": "elsewhere", "files": {"train.jsonl": "rows of others"}},
    }
    write_json(run / "manifest.json", told)
    write_json(data / "manifest.json", {"files": {"train.jsonl": "rows", "chunks.jsonl": "passages"}, "settings": {}})
    result = raft(
        "data", "--model", run, "--device", "cpu", "--max-tokens", 8, "--show-prompt", "the warranty of hall two"
    )
    assert result.exit_code == 0, result.output
    assert "Keep to the documents." in result.stdout and result.stdout.count("<DOCUMENT>") == 1
    assert result.stderr.startswith("note: the model was trained on other data (elsewhere)")
    write_json(run / "manifest.json", told | {"complete": False})
    result = raft("data", "--model", run, "--device", "cpu", "x")
    assert result.exit_code == 1 and "is not finished" in result.stderr
