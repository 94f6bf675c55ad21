"""The run folder: nobody else's, one process at a time, one run for ever."""

import subprocess
import sys
from pathlib import Path

import pytest

from raft_cli.errors import ConfigError, DatasetError
from raft_cli.train.folder import check_run, claim_run, compare_run, lock_run, unlock_run

SETTINGS = {"data": {"train.jsonl": "ab" * 32}, "base": {"name": "org/one", "revision": ""}, "seed": 42, "alpha": None}
HOLD = """
import sys
from pathlib import Path
from raft_cli.train.folder import lock_run
lock_run(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
WINDOWS = """
import os, sys
from pathlib import Path
from types import ModuleType

class Msvcrt(ModuleType):
    LK_NBLCK = 2
    taken = False

    def locking(self, descriptor, mode, count):
        assert mode == self.LK_NBLCK
        if self.taken:
            raise PermissionError(13, "Permission denied")
        self.taken = True
        print(count, "byte at", os.lseek(descriptor, 0, os.SEEK_CUR))

sys.modules["fcntl"] = None
import raft_cli.train.folder, raft_cli.train.merging.place  # neither is needed yet
sys.modules["msvcrt"] = Msvcrt("msvcrt")
out = Path(sys.argv[1])
raft_cli.train.folder.lock_run(out)
try:
    raft_cli.train.folder.lock_run(out)
except raft_cli.errors.DatasetError as error:
    print(str(error).removeprefix(f"{out}: ").partition(";")[0])
"""


def test_a_new_folder_is_made_when_it_is_locked_and_not_before(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    check_run(out)
    assert not out.exists()
    unlock_run(lock_run(out))
    check_run(out)  # an empty run, whose start failed: nobody's
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(DatasetError, match="file is a file; choose another -o"):
        check_run(tmp_path / "file")
    with pytest.raises(DatasetError, match="not empty and no run of raft train; choose another -o"):
        check_run(tmp_path / "thesis")
    with pytest.raises(DatasetError, match="cannot write"):
        lock_run(tmp_path / "file" / "deeper")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == b"held\n"
        for attempt in (check_run, lock_run):
            with pytest.raises(DatasetError, match="another process is training there; wait for it, or choose another"):
                attempt(tmp_path)
        other.kill()
    check_run(tmp_path)
    unlock_run(lock_run(tmp_path))


def test_without_the_locks_of_unix_those_of_windows_are_used(tmp_path: Path) -> None:
    """Another system, played in a process of its own: no fcntl, and a module that locks one byte."""
    done = subprocess.run([sys.executable, "-c", WINDOWS, str(tmp_path / "run")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:2] == ["1 byte at 0", "another process is training there"]


def test_a_run_stays_what_it_is(tmp_path: Path) -> None:
    assert claim_run(tmp_path, SETTINGS) is False
    before = (tmp_path / "settings.json").read_bytes()
    assert claim_run(tmp_path, dict(SETTINGS)) is True
    for change, said in (
        ({"seed": 7}, "--seed was 42, now 7"),
        ({"alpha": 64}, "--alpha was not set, now 64"),
        ({"base": {"name": "org/two", "revision": ""}}, "base was name org/one, .*now name org/two"),
        ({"data": {"train.jsonl": "cd" * 32}}, "data was train.jsonl abababababab, now train.jsonl cdcdcdcdcdcd"),
    ):
        for attempt in (claim_run, compare_run):
            with pytest.raises(ConfigError, match=f"holds a run with other settings: {said}.*Choose another -o"):
                attempt(tmp_path, {**SETTINGS, **change})
    assert (tmp_path / "settings.json").read_bytes() == before
