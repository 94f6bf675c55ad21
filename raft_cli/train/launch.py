"""Start training: in this process, or through torchrun with one process a device, on one machine or several."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from raft_cli.errors import ConfigError, Incomplete, Interrupted, TrainingError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_text
from raft_cli.train.records import Recipe
from raft_cli.train.stopping import PARENT, STOP_FILE, say_stopping
from raft_cli.train.worker import FAILURE, INTERRUPTED, work


def launch(run: Path, recipe: Recipe, progress: Progress, *, node_rank: int, rendezvous: str, lock: int | None) -> None:
    """Train, and return when training is over.

    Args:
        lock: Open file that locks the run folder, if this machine locks it; the processes hold it as long as they live.

    Raises:
        Interrupted: It was stopped; the same command goes on.
        RaftError: What the first process said, or that one died.
    """
    for name in (STOP_FILE, FAILURE):
        (run / name).unlink(missing_ok=True)
    if recipe.processes * recipe.nodes == 1:
        work(run, progress)
        return
    command = build_command(run, recipe, node_rank=node_rank, rendezvous=rendezvous)
    environment = {**os.environ, PARENT: str(os.getpid())}
    if recipe.device == "cpu":
        environment["ACCELERATE_USE_CPU"] = "1"
    started = subprocess.Popen(  # what they print goes to stderr: stdout is for results
        command, env=environment, pass_fds=[lock] if lock is not None else [], start_new_session=True, stdout=2
    )
    with started as process, _pass_on_signals(run, process):
        code = process.wait()
    _report(run, code)


def build_command(run: Path, recipe: Recipe, *, node_rank: int, rendezvous: str) -> list[str]:
    """Return the command line that starts one process for each device of this machine.

    Raises:
        ConfigError: `rendezvous` is no HOST:PORT.
    """
    where = ["--standalone"]
    if recipe.nodes > 1:
        host, _, port = rendezvous.rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigError(f"--rendezvous {rendezvous}: expected HOST:PORT, such as 10.0.0.5:29500")
        where = [
            *("--nnodes", str(recipe.nodes)),
            *("--node-rank", str(node_rank)),
            *("--master-addr", host),
            *("--master-port", port),
        ]
    return [
        *(sys.executable, "-m", "raft_cli.train.ranks"),
        *where,
        *("--nproc-per-node", str(recipe.processes)),
        *("--module", "raft_cli.train.worker", str(run), recipe.base_path),
    ]


@contextlib.contextmanager
def _pass_on_signals(run: Path, process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Ask all processes to save and stop at the first signal; end them at once at the second Ctrl-C.

    They die with the one that is killed here, which started them.
    """
    asked = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            os.killpg(process.pid, signal.SIGKILL)
            raise KeyboardInterrupt
        if not asked:
            say_stopping()
        asked = True
        write_text(run / STOP_FILE, "asked to stop\n")

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        (run / STOP_FILE).unlink(missing_ok=True)


def _report(run: Path, code: int) -> None:
    if (run / FAILURE).exists():
        failure = read_json(run / FAILURE)
        kinds = {INTERRUPTED: Interrupted, 3: Incomplete}
        raise kinds.get(failure["code"], TrainingError)(failure["message"])
    if code:
        raise TrainingError(
            f"a training process ended with code {code}; what it said stands above. Whole checkpoints are kept: the "
            "same command goes on"
        )
