"""Answers on disk: none is lost, none is asked twice, whatever ends the work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from examined import QUIET, answer_all, ask_them, make_prompts, open_them, write_model

from raft_cli.data import Reply

PROMPTS = make_prompts(30)
KILLED = """
import os, signal, sys
from pathlib import Path
from examined import QUIET, make_prompts, open_them

def keep(place, reply):
    print(place, flush=True)
    seen.append(place)
    if len(seen) == 12:
        os.kill(os.getpid(), signal.SIGKILL)

seen = []
(student,), journal = open_them([sys.argv[1]], Path(sys.argv[2]), batch_tokens=1500)
student.answer(make_prompts(30), max_tokens=16, stop=(), keep=keep, progress=QUIET)
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "base")


@pytest.mark.slow
def test_a_killed_evaluation_repeats_only_what_was_in_flight(base: Path, tmp_path: Path) -> None:
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-c", KILLED, str(base), str(tmp_path / "journal.sqlite")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    seen = [int(line) for line in done.stdout.split()]
    assert len(seen) == 12
    (student,), journal = open_them([base], tmp_path / "journal.sqlite")
    assert journal.totals()[0] == 12
    replies = answer_all(student, PROMPTS)
    assert student.replayed == 12 and journal.totals()[0] == 30
    assert [place for place, reply in enumerate(replies) if reply.replayed] == sorted(seen)
    (whole,) = ask_them([base], tmp_path / "whole.sqlite", PROMPTS)
    assert [reply.text for reply in replies] == [reply.text for reply in whole]
    assert [reply.completion_tokens for reply in replies] == [reply.completion_tokens for reply in whole]
    journal.close()


def test_a_second_run_asks_nothing_and_other_settings_ask_anew(base: Path, tmp_path: Path) -> None:
    (first,) = ask_them([base], tmp_path / "journal.sqlite", PROMPTS)
    (student,), journal = open_them([base], tmp_path / "journal.sqlite")
    second = answer_all(student, PROMPTS)
    assert all(reply.replayed for reply in second) and student.replayed == 30
    assert [reply.text for reply in second] == [reply.text for reply in first]
    answer_all(student, PROMPTS[:2], stop=["zzz"])
    answer_all(student, PROMPTS[:2], max_tokens=3)
    answer_all(student, [(message,) for _, message in PROMPTS[:2]])  # without the system turn
    assert student.replayed == 30 and journal.totals()[0] == 36
    journal.close()


def test_ctrl_c_keeps_what_was_answered(base: Path, tmp_path: Path) -> None:
    (student,), journal = open_them([base], tmp_path / "journal.sqlite", batch_tokens=1500)
    seen: list[int] = []

    def keep(place: int, reply: Reply) -> None:
        seen.append(place)
        if len(seen) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        student.answer(PROMPTS, max_tokens=16, stop=(), keep=keep, progress=QUIET)
    assert journal.totals()[0] == 7
    replies = answer_all(student, PROMPTS)
    assert [place for place, reply in enumerate(replies) if reply.replayed] == sorted(seen)
    journal.close()
