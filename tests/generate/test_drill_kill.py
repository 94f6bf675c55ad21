"""Whatever ends a run, the same command goes on with what is missing, and the dataset is the same to the byte."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from check_dataset import check
from teacher import Teacher
from test_drill_plain import (
    QUESTIONS,
    START,
    Running,
    check_account,
    complete,
    count_journaled,
    read_data,
    read_manifest,
    reasons,
    run,
    write_corpus,
)

DOCUMENTS = 24
TOTAL = DOCUMENTS * (1 + QUESTIONS)
CONCURRENCY = 8
AT_ONCE = ("--concurrency", CONCURRENCY)
# Drawn from each request and its number of tries, so that every run has the same ones.
FAULTS = {
    **{"malformed": 0.05, "badquote": 0.05, "nearquote": 0.05, "twotags": 0.03, "refusal": 0.02, "truncated": 0.03},
    **{"few": 0.05, "repeat": 0.05, "500": 0.02, "reset": 0.02, "empty": 0.02},
}

pytestmark = pytest.mark.slow


def kill_at(teacher: Teacher, replies: int, *flags: object, by: signal.Signals = signal.SIGKILL) -> int:
    """Run the command until the teacher has given so many replies, and end it; return how many were kept."""
    running = Running(teacher, *flags)
    running.wait_until(lambda: teacher.stats().replies >= replies, f"{replies} replies")
    running.signal(by)
    done = running.finish()
    assert done.code == -by, done.error
    assert not Path("out/manifest.json").exists()
    return count_journaled()


def test_nothing_is_asked_twice_after_a_kill(teacher: START) -> None:
    write_corpus(range(DOCUMENTS))
    started = teacher(latency=0.08, sigma=0.5)
    kept = kill_at(started, TOTAL // 2, *AT_ONCE)
    before = started.log()
    answered = {record.hash for record in before if record.replied and not record.gone}
    assert len(answered) - CONCURRENCY <= kept <= len(answered)
    complete(started, *AT_ONCE)
    after = started.log()[len(before) :]
    assert len(after) == TOTAL - kept and max(Counter(record.hash for record in after).values()) == 1
    again = {record.hash for record in before} & {record.hash for record in after}
    assert len(again) <= CONCURRENCY
    usage = read_manifest()["usage"]
    assert usage["run"]["replayed"] == kept and usage["folder"]["replies"] == TOTAL


def test_the_dataset_is_the_same_however_often_it_was_killed_and_however_many_ask_at_once(teacher: START) -> None:
    write_corpus(range(DOCUMENTS))
    started = teacher(latency=0.02, sigma=1.0, faults=FAULTS)
    complete(started, out="whole")
    expected = read_data("whole")
    assert len(expected) == 7 and reasons("whole")
    requests = started.stats().bodies
    for share in (0.25, 0.5, 0.75):
        started.reset()
        kill_at(started, max(1, int(share * requests) - (count_journaled() if Path("out").exists() else 0)), *AT_ONCE)
    started.reset()
    complete(started, *AT_ONCE)
    assert read_data() == expected
    for concurrency in (1, 64):
        started.reset()
        complete(started, "--concurrency", concurrency, out=f"by{concurrency}")
        assert read_data(f"by{concurrency}") == expected
    check_account()


def test_one_interrupt_finishes_what_is_in_flight(teacher: START) -> None:
    write_corpus(range(DOCUMENTS))
    started = teacher(latency=0.3)
    running = Running(started, *AT_ONCE)
    running.wait_until(lambda: started.stats().requests >= TOTAL // 3, "a third of the requests")
    running.signal(signal.SIGINT)
    done = running.finish()
    log = started.log()
    assert done.code == 130 and done.out == ""
    assert f"finishing {CONCURRENCY} requests in flight" in done.error and "run the same command to go on" in done.error
    assert "Traceback" not in done.error
    assert all(record.replied and not record.gone for record in log) and count_journaled() == len(log) < TOTAL
    started.set(latency=0.0)
    complete(started, *AT_ONCE)
    assert started.stats().requests == started.stats().bodies == TOTAL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_interrupts_stop_at_once(teacher: START, number: signal.Signals) -> None:
    write_corpus(range(8))
    started = teacher(latency=60.0)
    running = Running(started, *AT_ONCE)
    running.wait_until(lambda: started.stats().requests >= 8, "requests in flight")
    running.signal(number)
    running.wait_until(lambda: "finishing 8 requests" in running.error, "the first answer")
    running.signal(number)
    done = running.finish(timeout=20)
    assert done.code == 130 and "kept" in done.error
    assert "Traceback" not in done.error and len(done.error.splitlines()) < 6
    started.set(latency=0.0)
    complete(started)
    assert count_journaled() == 8 * (1 + QUESTIONS)


def test_a_termination_finishes_what_is_in_flight(teacher: START) -> None:
    write_corpus(range(8))
    started = teacher(latency=0.3)
    running = Running(started, "--concurrency", 4)
    running.wait_until(lambda: started.stats().requests >= 8, "requests in flight")
    running.signal(signal.SIGTERM)
    done = running.finish(timeout=20)
    assert done.code == 130 and count_journaled() == started.stats().requests < 8 * (1 + QUESTIONS)


def test_a_kill_while_writing_leaves_no_folder_that_looks_whole(teacher: START) -> None:
    write_corpus(range(8))
    started = teacher()
    complete(started)
    expected = read_data()
    started.reset()
    for wanted in ("train.jsonl.part", "README.md"):
        for name in ("chunks.jsonl", "README.md"):
            Path("out", name).unlink(missing_ok=True)
        running = Running(started)
        while running.process.poll() is None and not Path("out", wanted).exists():
            pass
        running.signal(signal.SIGKILL)
        if running.finish().code == -signal.SIGKILL:
            assert not Path("out/manifest.json").exists() or check(Path("out")) == []
    done = run(started)
    assert done.code == 0 and read_data() == expected and started.stats().requests == 0
    assert not list(Path("out").glob("*.part"))
