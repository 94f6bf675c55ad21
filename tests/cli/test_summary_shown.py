"""Notes are broken between words on a terminal, and left whole where they are piped."""

import os
import pty
import subprocess
import sys

import pytest

from raft_cli.chat.answers import shorten_name
from raft_cli.cli.summary import show_note, wrap

TEXT = "the run in /srv/very/long/path/to/some/run-of-yesterday keeps --max-tokens, which is a word of its own"


def test_piped_notes_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show_note(TEXT)
    assert capsys.readouterr().out.endswith(TEXT + "\n") and wrap(TEXT) == TEXT


def test_notes_on_a_terminal_are_broken_between_words() -> None:
    main, other = pty.openpty()
    code = f"from raft_cli.cli.summary import show_note; show_note({TEXT!r})"
    environment = {**os.environ, "COLUMNS": "50"}
    subprocess.run([sys.executable, "-c", code], stdout=other, env=environment, check=True)
    os.close(other)
    said = os.read(main, 4096).decode().replace("\r", "")
    os.close(main)
    lines = said.rstrip("\n").split("\n")
    assert len(lines) > 2 and all(line.startswith("      ") for line in lines[1:])
    assert {"--max-tokens,", "/srv/very/long/path/to/some/run-of-yesterday"} <= set(said.split())


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("endpoint:tuned@http://127.0.0.1:8000/v1", "tuned"),
        ("endpoint:org/model-7b@https://here/v1", "model-7b"),
        ("judge gpt-4.1-mini at https://api.openai.com/v1", "judge gpt-4.1-mini"),
        ("/srv/runs/of/yesterday/", "yesterday"),
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct"),
        ("a-name-of-a-model-that-is-far-too-long", "a-name-of-a-…ar-too-long"),
    ],
)
def test_a_bar_has_a_short_name(name: str, short: str) -> None:
    assert shorten_name(name) == short and len(short) <= 24
