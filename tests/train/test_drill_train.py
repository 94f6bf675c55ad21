"""The real command in a process of its own: whatever ends it, the same command goes on as if nothing had been."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from raft_cli.errors import DatasetError
from raft_cli.store import read_json
from raft_cli.train.checkpoints import find_checkpoints
from raft_cli.train.folder import lock_run, unlock_run
from raft_cli.train.tiny import write_tiny_model

pytestmark = pytest.mark.slow

STEPS = 12
FLAGS = ["--device", "cpu", "--max-steps", STEPS, "--batch", 4, "--evals", 2, "--method", "full"]
FLAGS += ["--learning-rate", 3e-3, "--patience", 0]
_WORDS = "pump valve motor north south steam cable meter plate wheel".split()
_SERVER = get_context("forkserver")  # has loaded the libraries once; each command is a fork of it
_SERVER.set_forkserver_preload(["torch", "transformers", "trl", "peft", "datasets", "bitsandbytes"])


def make_row(number: int, documents: int = 3) -> dict[str, Any]:
    """Return a row of ours, each fifth without its oracle."""
    draw = random.Random(f"row {number}")
    texts = [
        f"The {draw.choice(_WORDS)} {number}.{at} of {draw.choice(_WORDS)} runs {draw.randint(2, 99)} hours."
        for at in range(documents)
    ]
    oracle = number % documents
    present = number % 5 != 0
    shown = texts if present else [*texts[:oracle], "Nothing is known of it.", *texts[oracle + 1 :]]
    quote = f"##begin_quote##{texts[oracle]}##end_quote##" if present else "it is known"
    question = f"How long does {number}.{oracle} run?"
    return {
        "id": f"row-{number}",
        "question": question,
        "context": {"sentences": [shown]},
        "oracle_context": texts[oracle],
        "cot_answer": f"##Reason: {quote}, so\n<ANSWER>: {texts[oracle].split()[-2]} hours",
        "instruction": "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in shown) + f"\n{question}",
        "documents": [{"role": "oracle" if present and at == oracle else "random"} for at in range(documents)],
        "oracle": [oracle] if present else [],
    }


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_data(folder: Path, rows: int = 24, **more: Any) -> Path:
    """Write a dataset folder with a validation split of five rows."""
    write_rows(folder / "train.jsonl", (make_row(number, **more) for number in range(rows)))
    write_rows(folder / "validation.jsonl", (make_row(number, **more) for number in range(1000, 1005)))
    return folder


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    error: str


def _run(arguments: list[str], folder: str, environment: dict[str, str], files: list[str]) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.argv = ["raft", *arguments]
    from raft_cli.cli import main

    main()


class Running:
    """A command under way: `raft` with some arguments, leader of its own process group."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self._files = [Path(f"said.{time.monotonic_ns()}.{number}").resolve() for number in (1, 2)]
        words = [str(argument) for argument in arguments]
        whole = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.process = _SERVER.Process(target=_run, args=(words, str(Path.cwd()), whole, [*map(str, self._files)]))
        self.process.start()

    @property
    def out(self) -> str:
        return self._files[0].read_text(encoding="utf-8") if self._files[0].exists() else ""

    @property
    def error(self) -> str:
        return self._files[1].read_text(encoding="utf-8") if self._files[1].exists() else ""

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid or 0, number)

    def kill(self) -> None:
        """Kill the whole process group, unless it has ended."""
        process = self.process.pid or 0
        with contextlib.suppress(ProcessLookupError):
            while os.getpgid(process) != process:  # it is just being born
                time.sleep(0.001)
            os.killpg(process, signal.SIGKILL)

    def finish(self, timeout: float = 180) -> Done:
        self.process.join(timeout)
        ended = self.process.exitcode is not None
        self.process.kill()
        self.process.join()
        assert ended, f"still running:\n{self.error}"
        return Done(self.process.exitcode or 0, self.out, self.error)

    def wait_until(self, reached: Callable[[], object], what: str, every: float = 0.005) -> None:
        """Look again and again until something is so; fail when the command has ended or it takes too long."""
        end = time.monotonic() + 120
        while not reached():
            if self.process.exitcode is not None or time.monotonic() > end:
                self.process.kill()
                self.process.join()
                pytest.fail(f"ended or waited in vain for {what}:\n{self.error}")
            time.sleep(every)


def train(data: Path | str, base: Path | str, *flags: object, out: str = "run", **environment: str) -> Done:
    """Run `raft train` to its end."""
    return start(data, base, *flags, out=out, **environment).finish()


def start(data: Path | str, base: Path | str, *flags: object, out: str = "run", **environment: str) -> Running:
    return Running("train", data, "--model", base, "-o", out, *FLAGS, *flags, **environment)


def read_metrics(out: str = "run") -> list[dict[str, Any]]:
    path = Path(out, "metrics.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def count_steps(out: str = "run") -> int:
    return max((line["step"] for line in read_metrics(out)), default=0)


def strip_metrics(out: str = "run") -> list[dict[str, Any]]:
    """Return the figures without those that no two runs share: time, speed, memory, restarts."""
    passing = {"seconds", "tokens_per_second", "memory", "restarted"}
    return [
        {name: round(value, 4) for name, value in line.items() if name not in passing} for line in read_metrics(out)
    ]


def strip_manifest(out: str = "run") -> dict[str, Any]:
    held: dict[str, Any] = read_json(Path(out, "manifest.json"))
    for part, names in {
        "": ["finished"],
        "result": ["seconds", "tokens_per_second", "peak_memory", "restarts"],
        "plan": ["available", "seconds"],
    }.items():
        for name in names:
            (held[part] if part else held).pop(name, None)
    return json.loads(json.dumps(held), parse_float=lambda text: round(float(text), 4))  # type: ignore[no-any-return]


def read_files(folder: Path | str = "run") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    write_tiny_model(folder, vocabulary=384, hidden=32, layers=1)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "rows")


@pytest.fixture(scope="session")
def undisturbed(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = train(data, base, HF_HUB_OFFLINE="1")
    finally:
        os.chdir(before)
    assert done.code == 0, done.error
    return folder / "run"


def check_like(undisturbed: Path, out: str = "run") -> None:
    """Make sure that a run came to what the undisturbed one came to."""
    assert strip_metrics(out) == strip_metrics(str(undisturbed))
    assert strip_manifest(out) == strip_manifest(str(undisturbed))
    assert {path.name for path in Path(out).iterdir()} == {path.name for path in undisturbed.iterdir()}


def test_an_undisturbed_run_learns_and_says_what_came_of_it(undisturbed: Path, base: Path, data: Path) -> None:
    assert not [path.name for path in undisturbed.iterdir() if path.suffix == ".part"]
    lines = read_metrics(str(undisturbed))
    assert [line["step"] for line in lines if "loss" in line] == [*range(1, STEPS + 1)]
    evaluated = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert evaluated[-1] < evaluated[0] - 0.2
    manifest = read_json(undisturbed / "manifest.json")
    assert manifest["complete"] and manifest["result"]["steps"] == STEPS


def kill_when(data: Path, base: Path, reached: Callable[[], object], what: str) -> None:
    """Train until something is so, and kill. A busy machine may let the run end before: then again from its start."""
    for _ in range(5):
        running = start(data, base)
        running.wait_until(reached, what, every=0.0005)
        running.kill()
        if running.finish().code == -signal.SIGKILL and not Path("run/manifest.json").exists():
            return
        shutil.rmtree("run")
    pytest.fail(f"every kill at {what} came too late")


def test_killed_again_and_again(undisturbed: Path, base: Path, data: Path) -> None:
    draw = random.Random(7)
    steps = 0
    while steps < STEPS - 2:
        steps += draw.randint(1, 4)
        kill_when(data, base, lambda wanted=steps: count_steps() >= wanted, f"step {steps}")
    assert train(data, base).code == 0
    check_like(undisturbed)


AWKWARD = {
    "the plan is not written": lambda: Path("run/rows/train.tokens.npy").exists(),
    "the rows are not written": lambda: Path("run/settings.json").exists(),
    "a checkpoint is half written": lambda: [*Path("run/checkpoints").glob("checkpoint-*/*.safetensors")],
    "the weights are not taken": lambda: Path("run/result.json").exists(),
    "the manifest is not written": lambda: Path("run/model.safetensors").exists(),
}


@pytest.mark.parametrize("moment", AWKWARD)
def test_killed_at_an_awkward_moment(moment: str, undisturbed: Path, base: Path, data: Path) -> None:
    kill_when(data, base, AWKWARD[moment], moment)
    assert train(data, base).code == 0
    check_like(undisturbed)


def test_a_finished_run_is_left_as_it_is(undisturbed: Path, base: Path, data: Path) -> None:
    before = read_files(undisturbed)
    done = train(data, base, out=str(undisturbed))
    assert done.code == 0 and "was finished before; nothing was trained" in done.out and done.error == ""
    assert read_files(undisturbed) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_saves_and_stops(number: signal.Signals, undisturbed: Path, base: Path, data: Path) -> None:
    running = start(data, base)
    running.wait_until(lambda: count_steps() >= 5, "step 5")
    running.signal(number)
    done = running.finish()
    assert done.code == 130 and done.out == "" and "Traceback" not in done.error
    assert "a checkpoint is written, run the same command to go on" in done.error
    step = find_checkpoints(Path("run/checkpoints"))[-1][0]
    assert f"stopped: at step {step} of {STEPS}" in done.error and step == count_steps()
    report = Path("run/report.html").read_text(encoding="utf-8")
    assert "curves so far: run/report.html" in done.error and "not finished" in report
    assert train(data, base).code == 0
    assert [line["loss"] for line in strip_metrics() if "loss" in line] == [
        line["loss"] for line in strip_metrics(str(undisturbed)) if "loss" in line
    ]


def test_two_interrupts_stop_at_once(base: Path) -> None:
    running = start(write_data(Path("long"), documents=100), base, "--batch", 24)  # a step takes seconds
    running.wait_until(lambda: count_steps() >= 1, "step 1")
    running.signal(signal.SIGINT)
    running.wait_until(lambda: "stopping after this step" in running.error, "the answer to the first")
    running.signal(signal.SIGINT)
    done = running.finish(timeout=30)
    assert done.code == 130 and "stopped: at once; whole checkpoints are kept" in done.error
    assert "Traceback" not in done.error and Path("run/report.html").exists()
    assert find_checkpoints(Path("run/checkpoints")) == []


def is_free(out: str = "run") -> bool:
    try:
        unlock_run(lock_run(Path(out)))
    except DatasetError:
        return False
    return True


def test_two_processes_stop_together_and_go_on(base: Path, data: Path) -> None:
    running = start(data, base, "--processes", 2)
    running.wait_until(lambda: count_steps() >= 2, "step 2")
    running.signal(signal.SIGINT)
    done = running.finish()
    assert done.code == 130 and "a checkpoint is written, run the same command to go on" in done.error
    assert "Traceback" not in done.error and done.out == "" and is_free()

    running = start(data, base, "--processes", 2)
    running.wait_until(lambda: count_steps() >= 6, "step 6")
    running.kill()  # the others are in sessions of their own
    running.finish()
    end = time.monotonic() + 60
    while not is_free():
        assert time.monotonic() < end, "the processes do not notice that their parent is gone"
        time.sleep(0.05)
    step = find_checkpoints(Path("run/checkpoints"))[-1][0]
    assert 6 <= step < STEPS

    done = train(data, base, "--processes", 2, "--json")
    assert done.code == 0 and json.loads(done.out)["result"]["steps"] == STEPS
    assert [line["step"] for line in read_metrics() if "loss" in line] == [*range(1, STEPS + 1)]
