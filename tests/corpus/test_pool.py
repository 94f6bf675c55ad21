import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from raft_cli.corpus.pool import Failure, run_isolated

T = TypeVar("T")
R = TypeVar("R")


class Odd(Exception):
    """Pickles, but cannot be made again from what it pickled."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def square(number: int) -> int:
    return number * number


def add(left: int, right: int) -> int:
    return left + right


def work(task: str) -> str:
    """Do what the task says, well or badly."""
    name, _, amount = task.partition(" ")
    match name:
        case "sleep":
            time.sleep(float(amount))
        case "exit":
            os._exit(int(amount))
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "allocate":
            return str(len(bytearray(int(amount) * 2**20)))
        case "raise":
            raise KeyError(amount)
        case "odd":
            raise Odd(1, 2)
        case "large":
            return "x" * int(amount)
        case "mark":
            os.close(os.open(amount, os.O_CREAT | os.O_APPEND | os.O_WRONLY))
    return f"{task} in {os.getpid()}"


def run(
    function: Callable[[T], R], items: Sequence[T], *, workers: int = 2, timeout: float = 20, memory_mb: int = 512
) -> list[tuple[T, R | Failure]]:
    return list(run_isolated(function, items, workers=workers, timeout=timeout, memory_mb=memory_mb))


def outcome(result: object) -> str:
    return result.reason if isinstance(result, Failure) else "done"


def test_results_come_in_the_order_of_the_items() -> None:
    assert run(square, range(100)) == [(number, number * number) for number in range(100)]
    assert run(work, ["sleep 0.3", "a", "sleep 0.1", "b"])[0][0] == "sleep 0.3"


def test_partials_and_large_results() -> None:
    assert run(partial(add, 40), [2]) == [(2, 42)]
    assert len(str(run(work, ["large 3000000"])[0][1])) == 3_000_000


def test_nothing_to_do() -> None:
    assert run(square, []) == []


def test_processes_are_kept_and_no_more_than_items() -> None:
    pids = {str(result).rpartition(" ")[2] for _, result in run(work, ["a"] * 40)}
    assert len(pids) <= 2
    assert len({result for _, result in run(work, ["a"], workers=8)}) == 1


def test_every_failure_has_its_reason_and_spares_the_others() -> None:
    tasks = ["a", "exit 3", "b", "segfault", "allocate 4000", "c", "sleep 60", "allocate 1", "d"]
    results = run(work, tasks, timeout=1)
    assert [outcome(result) for _, result in results] == [
        "done", "crashed", "done", "crashed", "memory", "done", "timeout", "done", "done"
    ]  # fmt: skip
    details = [result.detail for _, result in results if isinstance(result, Failure)]
    assert details == [
        "its process ended with exit code 3",
        "its process ended with SIGSEGV",
        "needs more than 512 MB",
        "not done after 1 seconds",
    ]


def test_a_slow_caller_lets_nobody_time_out() -> None:
    results = run_isolated(work, ["a", "large 500000", "b", "c"], workers=2, timeout=0.5, memory_mb=512)
    seen = []
    for _, result in results:
        seen.append(outcome(result))
        time.sleep(0.7 if len(seen) == 1 else 0)
    assert seen == ["done"] * 4


def test_exceptions_are_raised_here_with_their_type() -> None:
    with pytest.raises(KeyError, match="why") as raised:
        run(work, ["a", "raise why"])
    assert any("in work" in note for note in raised.value.__notes__)


def test_exceptions_that_do_not_travel_become_errors() -> None:
    with pytest.raises(RuntimeError, match="Odd: 1 and 2"):
        run(work, ["odd"])


def test_work_goes_only_a_little_ahead(tmp_path: Path) -> None:
    tasks = [f"mark {tmp_path}/{number}" for number in range(60)]
    results = run_isolated(work, tasks, workers=1, timeout=20, memory_mb=512)
    next(results)
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) < 10
    assert len(list(results)) == 59


def test_processes_end_with_the_generator() -> None:
    results = run_isolated(work, ["a", "sleep 60", "sleep 60"], workers=2, timeout=90, memory_mb=512)
    next(results)
    assert multiprocessing.active_children()
    started = time.monotonic()
    results.close()
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 5


def test_endless_items_of_a_sequence_are_not_needed() -> None:
    results = run_isolated(square, range(10**9), workers=1, timeout=20, memory_mb=512)
    assert [result for _, result in itertools.islice(results, 3)] == [0, 1, 4]
    results.close()


def test_a_function_that_cannot_travel() -> None:
    with pytest.raises(Exception, match=r"pickle|local object"):
        run(lambda number: number, [1])
    assert not multiprocessing.active_children()


_PARENT = """
import sys
sys.path.insert(0, {folder!r})
import test_pool, raft_cli.corpus.pool as pool
if __name__ == "__main__":
    results = pool.run_isolated(test_pool.work, ["a", *["sleep 0.5"] * 8], workers=2, timeout=60, memory_mb=512)
    for item, result in results:
        print(result, flush=True)
"""


def start_parent(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a run in a process of its own; return it and its workers."""
    script = tmp_path / "parent.py"
    script.write_text(_PARENT.format(folder=str(Path(__file__).parent)))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert parent.stdout is not None
    return parent, [int(parent.stdout.readline().rpartition(" ")[2]) for _ in range(2)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_processes_do_not_outlive_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    parent, workers = start_parent(tmp_path)
    (os.killpg if number == signal.SIGINT else os.kill)(parent.pid, number)
    _, errors = parent.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
    assert errors.count("Traceback") == (1 if number == signal.SIGINT else 0)
