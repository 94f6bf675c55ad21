import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raft_cli.chat.journal import Journal
from raft_cli.data import Reply
from raft_cli.errors import DatasetError

REPLY = Reply("Yes — 是。\x00", "stop", 12, 3, estimated=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "out" / "journal.sqlite")
    yield opened
    opened.close()


def test_a_reply_comes_back_as_it_was_and_says_so(journal: Journal) -> None:
    assert journal.get("key") is None
    journal.put("key", REPLY, b"{}")
    assert journal.get("key") == Reply("Yes — 是。\x00", "stop", 12, 3, replayed=True, estimated=True)
    journal.put("other", Reply("No", "length", 1, 1), b"")
    assert journal.totals() == (2, 13, 4)


def test_rounds_and_notes_are_counted_and_kept(tmp_path: Path) -> None:
    for expected in (0, 1, 2):
        journal = Journal(tmp_path / "journal.sqlite")
        assert journal.round("task") == expected and journal.note("settings") == ("" if not expected else "{}")
        journal.bump("task")
        journal.note("settings", "{}")
        journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.sqlite"]


WRITER = """
import sys
from pathlib import Path
from raft_cli.chat.journal import Journal
from raft_cli.data import Reply
journal = Journal(Path(sys.argv[1]))
for number in range(100_000):
    journal.put(str(number), Reply("x" * 2000, "stop", 1, 1), b"y" * 2000)
    print(number, flush=True)
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "0\n"
    return process


def test_a_killed_writer_loses_nothing_and_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with start_writer(path) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and int(line) < 500:
            pass
        process.send_signal(signal.SIGKILL)
        last = int((line + process.stdout.read()).split()[-1])
    journal = Journal(path)
    assert all(journal.get(str(number)) for number in range(last + 1))
    assert journal.totals()[0] in (last + 1, last + 2)
    journal.close()


def test_a_second_process_is_told_whose_turn_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with start_writer(path) as process:
        with pytest.raises(DatasetError, match="another raft process is working in"):
            Journal(path)
        process.kill()
    Journal(path).close()


def test_a_full_database_says_so_and_keeps_what_it_has(journal: Journal) -> None:
    journal._database.execute("PRAGMA max_page_count=30")
    with pytest.raises(DatasetError, match="full; replies already stored are kept"):
        for number in range(100):
            journal.put(str(number), Reply("x" * 4000, "stop", 1, 1), b"")
    kept = journal.totals()[0]
    assert kept > 3 and all(journal.get(str(number)) for number in range(kept))
    with pytest.raises(DatasetError, match="full"):
        journal.note("settings", "x" * 20_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() or not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "raft", place]).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_loses_no_reply(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite"
    journal = Journal(path)
    stored = 0
    with pytest.raises(DatasetError, match=r"no space left in .* all replies are kept"):
        for stored in range(10_000):
            journal.put(str(stored), Reply("x" * 3000, "stop", 1, 1), b"y" * 3000)
    for number in range(stored + 1, stored + 33):  # what was in flight
        journal.put(str(number), Reply("x" * 3000, "stop", 1, 1), b"y" * 3000)
    journal.close()
    (small_disk / "more").touch()
    subprocess.run(["mount", "-o", "remount,size=12m", small_disk], check=True)
    again = Journal(path)
    assert all(again.get(str(number)) for number in range(stored + 33))
    again.close()


def test_no_space_from_the_start(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes((4 << 20) - 300_000))
    with pytest.raises(DatasetError, match="no space left in"):
        Journal(small_disk / "out" / "journal.sqlite")
    assert not (small_disk / "out" / "journal.sqlite.reserve").exists()


@pytest.mark.parametrize("content", [b"not a database at all " * 100, b"\x00" * 5000])
def test_another_file_of_that_name_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not a journal of ours"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version=99")
    later.close()
    with pytest.raises(DatasetError, match="another version"):
        Journal(path)


def test_a_damaged_journal_is_no_stack_trace(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    for number in range(300):
        journal.put(str(number), REPLY, b"z" * 3000)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    with pytest.raises(DatasetError, match="not a journal of ours"):
        damaged = Journal(path)
        try:
            for number in range(300):
                damaged.get(str(number))
            damaged.totals()
        finally:
            damaged.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        Journal(tmp_path / "file" / "journal.sqlite")
