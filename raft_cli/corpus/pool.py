"""Runs a function over items in processes that may hang, overrun their memory or die. Knows nothing of files."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_START_LIMIT = 120.0
_CRASH_PATIENCE = 2.0
_RESULTS_AHEAD = 4  # per worker: items handed out beyond the next to yield
# Libraries otherwise start a thread a processor in every worker and reserve address space for each.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
_OUT_OF_MEMORY = pickle.dumps(("memory", None))  # made while there is memory


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item has no result.

    Attributes:
        reason: timeout, memory or crashed.
    """

    reason: str
    detail: str


def run_isolated(
    function: Callable[[T], R], items: Sequence[T], *, workers: int, timeout: float, memory_mb: int
) -> Generator[tuple[T, R | Failure], None, None]:
    """Yield each item with `function(item)` in the order of `items`, with few results waiting.

    What `function` raises is raised here, but for MemoryError. The processes end with the generator.

    Args:
        function: A callable of a module, or a partial of one.
        items: What to call it with, one at a time.
        workers: Most processes at a time.
        timeout: Seconds after which an item is given up and its process replaced.
        memory_mb: Megabytes a process may take beyond what it holds when it starts, where the system can limit it.

    Raises:
        RuntimeError: A process cannot even start.
    """
    size = max(1, min(workers, len(items)))
    pool = _Pool(function, items, size=size, timeout=timeout, memory_mb=memory_mb)
    try:
        yield from pool.run()
    finally:
        pool.end()


class _Worker(Generic[T, R]):
    """A process, our end of its pipe, and the index of the item it is busy with."""

    def __init__(self, function: Callable[[T], R], memory_mb: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, memory_mb), daemon=True)
        with _hold_interrupts():
            self.process.start()
        theirs.close()
        self.ready = False
        self.index: int | None = None
        self.deadline = time.monotonic() + _START_LIMIT

    def give(self, index: int, item: T, timeout: float) -> None:
        self.connection.send(item)
        self.index = index
        self.deadline = time.monotonic() + timeout

    def end(self, patience: float = 0.0) -> str:
        """End the process, which has `patience` seconds to end by itself, and tell how it ended."""
        self.connection.close()
        self.process.join(patience)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _Pool(Generic[T, R]):
    """The workers and the results that wait for their turn."""

    def __init__(
        self, function: Callable[[T], R], items: Sequence[T], *, size: int, timeout: float, memory_mb: int
    ) -> None:
        self.function = function
        self.items = items
        self.size = size
        self.timeout = timeout
        self.memory_mb = memory_mb
        self.workers: list[_Worker[T, R]] = []
        self.results: dict[int, R | Failure] = {}
        self.handed_out = 0

    def run(self) -> Iterator[tuple[T, R | Failure]]:
        for index, item in enumerate(self.items):
            self._advance(index, block=False)
            while index not in self.results:
                self._advance(index, block=True)
            yield item, self.results.pop(index)

    def end(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        while self.workers:
            self.workers.pop().end()

    def _advance(self, index: int, *, block: bool) -> None:
        limit = min(index + self.size * _RESULTS_AHEAD, len(self.items))
        self._hand_out(limit)
        self._collect(block)
        self._hand_out(limit)

    def _hand_out(self, limit: int) -> None:
        """Give items below `limit` to free workers, and start as many more as there is work for."""
        for worker in [worker for worker in self.workers if worker.ready and worker.index is None]:
            if self.handed_out == limit:
                return
            try:
                worker.give(self.handed_out, self.items[self.handed_out], self.timeout)
                self.handed_out += 1
            except ConnectionError:  # it died while idle: no item is at fault
                self._drop(worker)
        starting = sum(not worker.ready for worker in self.workers)
        for _ in range(min(self.size - len(self.workers), limit - self.handed_out - starting)):
            self.workers.append(_Worker(self.function, self.memory_mb))

    def _collect(self, block: bool) -> None:
        """Take what has arrived; when told to block, wait for something to arrive or to be overdue."""
        busy = [worker for worker in self.workers if worker.index is not None or not worker.ready]
        if not busy:
            return
        soonest = min(worker.deadline for worker in busy) - time.monotonic()
        arrived = wait([worker.connection for worker in busy], max(soonest, 0) if block else 0)
        now = time.monotonic()
        for worker in busy:
            if worker.connection in arrived:
                self._receive(worker)
            elif worker.deadline <= now:
                self._fail(worker, "timeout", f"not done after {self.timeout:g} seconds")

    def _receive(self, worker: _Worker[T, R]) -> None:
        try:
            kind, value = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, ConnectionError):
            self._fail(worker, "crashed", "its process ended with {ending}")
            return
        if kind == "ready":
            worker.ready = True
        elif kind == "memory":
            self._fail(worker, "memory", f"needs more than {self.memory_mb} MB")
        elif kind == "error":
            raise value
        elif worker.index is not None:
            self.results[worker.index] = value
            worker.index = None

    def _fail(self, worker: _Worker[T, R], reason: str, detail: str) -> None:
        ending = self._drop(worker, patience=_CRASH_PATIENCE if reason == "crashed" else 0)
        if worker.index is None:
            raise RuntimeError(f"a worker process could not start: {ending}")
        self.results[worker.index] = Failure(reason, detail.format(ending=ending))

    def _drop(self, worker: _Worker[T, R], patience: float = 0.0) -> str:
        self.workers.remove(worker)
        return worker.end(patience)


@contextlib.contextmanager
def _hold_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from a process that starts here, which inherits the mask, until it can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, function: Callable[[T], R], memory_mb: int) -> None:
    """Answer items until the pipe closes: the life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(_ONE_THREAD)
    _limit_memory(memory_mb)
    with contextlib.suppress(EOFError, ConnectionError):
        connection.send_bytes(pickle.dumps(("ready", None)))
        answer = b""
        while answer != _OUT_OF_MEMORY:
            answer = _answer(function, connection.recv())
            connection.send_bytes(answer)


def _answer(function: Callable[[T], R], item: T) -> bytes:
    try:
        return pickle.dumps(("result", function(item)))
    except MemoryError:
        return _OUT_OF_MEMORY
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return _pack_error(error)


def _pack_error(error: Exception) -> bytes:
    try:
        packed = pickle.dumps(("error", error))
        pickle.loads(packed)
    except Exception:  # an exception class may pickle badly in any way it likes
        return pickle.dumps(("error", RuntimeError("".join(traceback.format_exception(error)))))
    return packed


def _limit_memory(memory_mb: int) -> None:
    """Cap the address space at what is mapped already and `memory_mb` more, where the system can tell and limit it."""
    sizes = Path("/proc/self/statm")
    if sys.platform == "win32" or not sizes.exists():
        return
    import resource

    mapped = int(sizes.read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
