"""Run folders with a tiny model and made-up rows, and ways to train in them: here, half way, in two processes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raft_cli.progress import Progress
from raft_cli.store import read_json
from raft_cli.train.data.pack import batch_rows, pack_rows
from raft_cli.train.data.shelf import write_shelf
from raft_cli.train.metrics import read_metrics
from raft_cli.train.records import Encoded, Recipe
from raft_cli.train.worker import work, write_recipe

END, PAD = 2, 0
_FIRST, _LAST = 100, 1100
_PATIENCE = 120.0  # seconds


def make_rows(count: int, seed: int) -> list[Encoded]:
    """Return rows whose answer follows from the last token of the prompt, so that a loss can fall."""
    chance = random.Random(f"rows:{seed}")
    rows = []
    for number in range(count):
        key = chance.randrange(_FIRST, _FIRST + 50)
        prompt = [*(chance.randrange(_FIRST, _LAST) for _ in range(chance.randint(4, 60))), key]
        rows.append(Encoded(f"row-{number}", prompt, [key + 100, key + 200, END], number % 5 != 0, 0, 5, (0,)))
    return rows


def make_recipe(base: Path, **changes: Any) -> Recipe:
    """Return a recipe for the tiny model on a CPU."""
    recipe = Recipe(
        base=str(base),
        base_path=str(base),
        method="lora",
        rank=8,
        alpha=16,
        dropout=0.0,
        targets=("all-linear",),
        dora=False,
        rslora=False,
        precision="fp32",
        attention="sdpa",
        packing=False,
        checkpointing=False,
        micro_tokens=128,
        accumulation=2,
        epochs=1.0,
        steps=12,
        learning_rate=2e-2,
        schedule="cosine",
        warmup=0.03,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optimizer="adamw_torch_fused",
        eval_every=4,
        patience=0,
        keep=3,
        processes=1,
        nodes=1,
        strategy="ddp",
        device="cpu",
        seed=42,
        report_to=(),
        pad_id=PAD,
        pad_token="<|endoftext|>",
        end_id=END,
        trust_remote_code=False,
    )
    return replace(recipe, **changes)


def make_run(run: Path, recipe: Recipe, *, rows: Sequence[Encoded] = (), validation: int = 20) -> Path:
    """Write recipe and rows to a run folder."""
    train = list(rows) or make_rows(120, 1)
    group = pack_rows if recipe.packing else batch_rows
    write_shelf(run / "rows", "train", train, group([row.length for row in train], recipe.micro_tokens))
    held = make_rows(validation, 2)
    groups = []
    for present in (True, False):
        chosen = [number for number, row in enumerate(held) if row.present == present]
        some = group([held[number].length for number in chosen], recipe.micro_tokens)
        groups += [[chosen[number] for number in each] for each in some]
    write_shelf(run / "rows", "validation", held, groups)
    write_recipe(run, recipe)
    return run


def train_here(run: Path) -> None:
    """Train in this process."""
    work(run, Progress(quiet=True))


def start_training(run: Path, *, processes: int = 1) -> "subprocess.Popen[bytes]":
    """Start training as a process of its own, through torchrun when there are several."""
    ranks = ["-m", "raft_cli.train.ranks", "--standalone", "--nproc-per-node", str(processes), "--module"]
    command = [sys.executable, *(ranks if processes > 1 else ["-m"]), "raft_cli.train.worker", str(run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    with (run / "errors.txt").open("ab") as errors:
        return subprocess.Popen(command, env=environment, stderr=errors, start_new_session=True)


def wait_for_step(run: Path, process: "subprocess.Popen[bytes]", step: int) -> None:
    """Wait until a run has done so many steps and saved something."""
    started = time.monotonic()
    while time.monotonic() - started < _PATIENCE:
        assert process.poll() is None, (run / "errors.txt").read_text()
        saved = any((run / "checkpoints").glob("*/complete.json"))
        if saved and any(line["step"] >= step for line in read_metrics(run)):
            return
        time.sleep(0.01)
    raise AssertionError(f"no step {step} in {_PATIENCE} s: {(run / 'errors.txt').read_text()}")


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its children as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def losses(run: Path, name: str = "loss") -> dict[int, float]:
    """Return the figures of a name by step."""
    return {line["step"]: line[name] for line in read_metrics(run) if name in line}


def result(run: Path) -> dict[str, Any]:
    """Return what a finished run says of itself."""
    read: dict[str, Any] = read_json(run / "result.json")
    return read
