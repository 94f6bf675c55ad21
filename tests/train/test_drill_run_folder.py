"""Whose run folder it is, what is in the way of training, and what a damaged checkpoint costs."""

import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_drill_train import (
    STEPS,
    base,
    check_like,
    count_steps,
    data,
    kill_when,
    make_row,
    read_files,
    read_metrics,
    start,
    strip_metrics,
    train,
    undisturbed,
    write_data,
    write_rows,
)

from raft_cli.train.checkpoints import find_checkpoints, remove_broken

__all__ = ["base", "data", "undisturbed"]  # fixtures
pytestmark = pytest.mark.slow


def test_two_runs_do_not_share_a_folder(base: Path, data: Path) -> None:
    first = start(data, base)
    first.wait_until(lambda: count_steps() >= 1, "step 1")
    first.signal(signal.SIGSTOP)
    second = train(data, base)
    first.signal(signal.SIGCONT)
    assert second.code == 1 and "another process is training there; wait for it, or choose another -o" in second.error
    assert first.finish().code == 0 and count_steps() == STEPS


def test_other_settings_data_or_base_are_named_and_nothing_changes(undisturbed: Path, base: Path, data: Path) -> None:
    before = read_files(undisturbed)
    other = write_rows(Path("other/train.jsonl"), (make_row(number) for number in range(30))).parent
    moved = shutil.copytree(base, "moved")
    for done, said in (
        (train(data, base, "--seed", 7, out=str(undisturbed)), "--seed was 42, now 7"),
        (train(other, base, out=str(undisturbed)), "data was train.jsonl "),
        (train(data, moved, out=str(undisturbed)), f"base was name {str(base)[:12]}"),
    ):
        assert done.code == 2 and said in done.error and "Choose another -o" in done.error, done.error
    assert read_files(undisturbed) == before


def test_what_may_change_between_two_starts_does(base: Path, data: Path) -> None:
    kill_when(data, base, lambda: count_steps() >= 4, "step 4")
    done = train(data, base, "--keep", 1, "--report-to", "tensorboard")
    assert done.code == 0
    assert len(find_checkpoints(Path("run/checkpoints"))) <= 2
    assert [*Path("run").rglob("events.out.tfevents.*")]


def test_a_cut_checkpoint_is_not_gone_on_from(undisturbed: Path, base: Path, data: Path) -> None:
    kill_when(data, base, lambda: len(find_checkpoints(Path("run/checkpoints"))) >= 3, "three checkpoints")
    remove_broken(Path("run/checkpoints"))
    newest = find_checkpoints(Path("run/checkpoints"))[-1][1]
    os.truncate(newest / "optimizer.pt", 1000)
    running = start(data, base)
    assert running.finish().code == 0
    check_like(undisturbed)


def test_without_a_whole_checkpoint_it_starts_anew(undisturbed: Path, base: Path, data: Path) -> None:
    kill_when(data, base, lambda: count_steps() >= 6, "step 6")
    for seal in Path("run/checkpoints").glob("*/complete.json"):
        seal.unlink()
    assert train(data, base).code == 0
    check_like(undisturbed)
    assert [line["step"] for line in read_metrics()].count(0) == 1


def test_a_loss_that_is_no_number_ends_it_with_the_checkpoints_kept(base: Path, data: Path) -> None:
    done = train(data, base, "--learning-rate", 1e30, "--max-grad-norm", 1e30)
    assert done.code == 1 and "training has diverged" in done.error and "--learning-rate" in done.error
    assert "Traceback" not in done.error and "rows near it: row-" in done.error
    assert Path("run/report.html").exists() and not Path("run/manifest.json").exists()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A small disk at `disk/`, where this process may mount one."""
    Path("disk").mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=700k", "raft", "disk"]
    if os.geteuid() or not mount or subprocess.run(command).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield Path("disk")
    subprocess.run(["umount", "--lazy", "disk"], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path, undisturbed: Path, base: Path, data: Path) -> None:
    done = train(data, base, out="disk/run")
    assert done.code == 1 and "no space left in disk/run for a checkpoint" in done.error
    assert "Traceback" not in done.error and "run the same command again" in done.error
    assert find_checkpoints(Path("disk/run/checkpoints"))
    subprocess.run(["mount", "-o", "remount,size=64m", "disk"], check=True)
    assert train(data, base, out="disk/run").code == 0
    assert strip_metrics("disk/run") == strip_metrics(str(undisturbed))


def test_out_of_memory_is_explained(base: Path) -> None:
    running = start(write_data(Path("long"), documents=150), base, "--batch", 24)
    running.wait_until(lambda: "step 0 of" in running.error, "the first evaluation")
    running.signal(signal.SIGSTOP)
    process = running.process.pid or 0
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    size = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmSize"))) * 1024
    resource.prlimit(process, resource.RLIMIT_AS, (size, size))
    running.signal(signal.SIGCONT)
    done = running.finish()
    assert done.code == 1 and "not enough memory with micro-batches of" in done.error, done.error
    assert "What helps, best first: --checkpointing on, --micro-tokens" in done.error
    assert "--method lora" in done.error and "Traceback" not in done.error


def find_port() -> int:
    """Return a free port below those that the system gives away by itself, so that nobody takes it meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def test_two_machines_train_together(base: Path, data: Path) -> None:
    port = find_port()
    flags = ("--nodes", 2, "--rendezvous", f"127.0.0.1:{port}", "--processes", 1, "--max-steps", 3)
    second = start(data, base, *flags, "--node-rank", 1)
    first = train(data, base, *flags)
    other = second.finish()
    assert first.code == 0 and other.code == 0, first.error + other.error
    assert "step 3 of 3: validation loss" in first.error and "validation loss" not in other.error
    assert first.out == other.out and count_steps() == 3
    later = train(data, base, *flags, "--node-rank", 1)
    assert later.code == 0 and "was finished before" in later.out
