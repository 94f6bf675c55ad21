"""The real command against a teacher on this machine: what the drills stand on, and runs that nothing disturbs."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from check_dataset import check
from teacher import Teacher

START = Callable[..., Teacher]
DATA = [f"{name}.jsonl" for name in "train validation test documents chunks questions rejected".split()]
QUESTIONS = 3
_DEEDS = "carries lowers drives marks feeds guards records replaces measures warms signals divides joins lifts".split()


def write_document(name: object) -> str:
    """Return a text of one chunk that depends on its name alone and shares few words with any other."""
    draw = random.Random(f"document {name}")

    def name_thing() -> str:
        return "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(3, 4)))

    lines = [f"Station {name} belongs to {name_thing()} {name_thing()}, who {draw.choice(_DEEDS)} the {name_thing()}."]
    for _ in range(8):
        one, other, third, fourth = (name_thing() for _ in range(4))
        lines.append(
            f"The {one} {draw.choice(_DEEDS)} the {other} for {draw.randint(2, 999)} hours "
            f"when the {third} {fourth} is at {draw.randint(2, 999)} degrees."
        )
    return " ".join(lines)


def write_corpus(names: Iterable[object]) -> None:
    """Write a document for each name into `corpus/`."""
    Path("corpus").mkdir(exist_ok=True)
    for name in names:
        Path(f"corpus/{name}.txt").write_text(f"{write_document(name)}\n", encoding="utf-8")


@dataclass(frozen=True)
class Done:
    """How a command ended; `error` is its stderr."""

    code: int
    out: str
    error: str
    seconds: float


class Running:
    """A command under way in a process of its own."""

    def __init__(self, teacher: Teacher | str, *flags: object, out: str = "out", **environment: str) -> None:
        url = teacher if isinstance(teacher, str) else teacher.url
        command = [sys.executable, "-m", "raft_cli", "generate", "corpus", "-o", out, "--teacher", "sim"]
        command += ["--base-url", url, "--workers", "1", "--questions", str(QUESTIONS), *map(str, flags)]
        self._started = time.monotonic()
        self._files = Path(f"{out.replace('/', '-')}.stdout"), Path(f"{out.replace('/', '-')}.stderr")
        with self._files[0].open("w") as said, self._files[1].open("w") as complained:
            self.process = subprocess.Popen(command, stdout=said, stderr=complained, env={**os.environ, **environment})

    @property
    def error(self) -> str:
        """What stands on stderr by now."""
        return self._files[1].read_text(encoding="utf-8")

    def finish(self, timeout: float = 90) -> Done:
        """Wait for the end."""
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()
        return Done(code, self._files[0].read_text(encoding="utf-8"), self.error, time.monotonic() - self._started)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        """Look again and again until something is so; fail when the command has ended or it takes too long."""
        end = time.monotonic() + 60
        while not reached():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                pytest.fail(f"ended or waited in vain for {what}:\n{self.error}")
            time.sleep(0.01)


def run(teacher: Teacher | str, *flags: object, out: str = "out", **environment: str) -> Done:
    """Run the command to its end."""
    return Running(teacher, *flags, out=out, **environment).finish()


def complete(teacher: Teacher, *flags: object, out: str = "out") -> Done:
    """Run the command, and make sure that it ends well and that its folder keeps to the format."""
    done = run(teacher, *flags, out=out)
    assert done.code == 0, done.error
    assert check(Path(out)) == []
    return done


def read_lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def read_manifest(out: str = "out") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(out, "manifest.json").read_text(encoding="utf-8"))
    return found


def reasons(out: str = "out") -> Counter[str]:
    """Count what was set aside by its reason."""
    return Counter(reject["reason"] for reject in read_lines(f"{out}/rejected.jsonl"))


def check_account(out: str = "out") -> None:
    """Make sure that each planned question is kept, rejected or pending."""
    counts = read_manifest(out)["counts"]
    rejected = sum(reject["stage"] not in ("read", "chunk") for reject in read_lines(f"{out}/rejected.jsonl"))
    assert counts["planned"] == counts["questions"] + rejected + counts["pending"]


def read_data(out: str = "out") -> dict[str, bytes]:
    """Return the files that are promised to be the same, byte for byte."""
    return {name: Path(out, name).read_bytes() for name in DATA if Path(out, name).exists()}


def count_journaled(out: str = "out") -> int:
    journal = sqlite3.connect(Path(out, "journal.sqlite"))
    try:
        return int(journal.execute("SELECT COUNT(*) FROM replies").fetchone()[0])
    finally:
        journal.close()


def count_by_document(teacher: Teacher) -> Counter[str]:
    """Count requests by the document they are about."""
    asked = [request["body"]["messages"][1]["content"] for request in teacher.requests()]
    return Counter(text.partition("Station ")[2].partition(" ")[0] for text in asked)


def test_an_undisturbed_run_asks_each_thing_once(teacher: START) -> None:
    write_corpus(range(8))
    started = teacher()
    done = complete(started)
    stats = started.stats()
    assert stats.requests == stats.bodies == 8 * (1 + QUESTIONS)
    assert "24 rows in out" in done.out and done.error == ""
    assert all(count == 1 + QUESTIONS for count in count_by_document(started).values())
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        [*DATA, "journal.sqlite", "manifest.json", "README.md", "report.html"]
    )
    check_account()


FREE: list[tuple[object, ...]] = [
    (),
    ("--distractors", 3, "--seed", 7, "--format", "messages,alpaca"),
    ("--oracle-share", 0.5, "--split-by", "document"),
    ("--absent-target", "refuse", "--distractor-source", "random", "--test-share", 0.25),
    ("--both-contexts", "--split-by", "chunk"),
    ("--vary-distractors", "1:4", "--absent-target", "answer", "--validation-share", 0.2),
]


@pytest.mark.slow
def test_a_second_run_and_a_change_of_what_comes_after_the_teacher_ask_nothing(teacher: START) -> None:
    write_corpus(range(12))
    started = teacher()
    complete(started)
    first = read_data()
    started.reset()
    made = []
    for flags in FREE:
        complete(started, *flags)
        made.append(read_data()["train.jsonl"])
        if not flags:
            assert read_data() == first
    assert started.stats().requests == 0
    assert len(set(made)) == len(FREE)
    complete(started)
    assert read_data() == first and started.stats().requests == 0
    assert read_manifest()["usage"]["run"] == {
        "requests": 0, "replayed": 48, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0
    }  # fmt: skip


@pytest.mark.slow
def test_a_document_that_comes_changes_or_goes_asks_for_itself_alone(teacher: START) -> None:
    write_corpus(range(8))
    started = teacher()
    complete(started)
    started.reset()
    write_corpus(["new"])
    complete(started)
    assert count_by_document(started) == {"new": 1 + QUESTIONS}
    started.reset()
    Path("corpus/3.txt").write_text(write_document("edited"))
    complete(started)
    assert count_by_document(started) == {"edited": 1 + QUESTIONS}
    started.reset()
    Path("corpus/5.txt").unlink()
    complete(started)
    assert started.stats().requests == 0
    assert {chunk["source"] for chunk in read_lines("out/chunks.jsonl")} == {
        f"{name}.txt" for name in (0, 1, 2, 3, 4, 6, 7, "new")
    }


@pytest.mark.slow
def test_a_pilot_is_reused_by_the_full_run(teacher: START) -> None:
    write_corpus(range(10))
    started = teacher()
    complete(started, "--limit", 4)
    assert started.stats().requests == 4 * (1 + QUESTIONS)
    complete(started)
    assert started.stats().requests == started.stats().bodies == 10 * (1 + QUESTIONS)
    complete(started, out="whole")
    assert read_data() == read_data("whole")
