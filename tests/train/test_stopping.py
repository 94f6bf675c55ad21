"""A request to stop is heard wherever it comes from, and all processes get one answer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raft_cli.train.stopping import PARENT, STOP_FILE, Stopper


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_answered(
    number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with Stopper(tmp_path) as stopper:
        assert not stopper.is_asked()
        os.kill(os.getpid(), number)
        assert stopper.is_asked()
        assert "stopping after this step, with a checkpoint; Ctrl-C again stops at once" in capfd.readouterr().err
    assert signal.getsignal(number) == before


def test_only_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    with Stopper(tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_file_in_the_run_folder_asks_too(tmp_path: Path) -> None:
    with Stopper(tmp_path) as stopper:
        (tmp_path / STOP_FILE).touch()
        assert stopper.is_asked()


def test_a_parent_that_died_asks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        monkeypatch.setenv(PARENT, str(parent.pid))
        stopper = Stopper(tmp_path)
        assert not stopper.is_asked()
        parent.kill()
        parent.wait()
    end = time.monotonic() + 5
    while not stopper.is_asked():
        assert time.monotonic() < end


def test_what_the_others_say_counts(tmp_path: Path) -> None:
    said: list[bool] = []

    def agree(asked: bool) -> bool:
        said.append(asked)
        return True

    assert Stopper(tmp_path, agree).is_asked() and said == [False]
