"""How fast `raft train` trains and encodes, beside plain `SFTTrainer` at its best and TRL's own preparation.

python benchmarks/train.py [--size tiny|small|7b] [--device cpu|cuda] [--pairs 7] [--steps 4] [--only train,encode]

Both train the same randomly initialised Llama on the same rows for the same number of steps, in one process and in
turn, and each pair begins with the other side: imports, clocks and the machine's mood are shared. A run starts with a
fresh model and is timed from the end of its first step to the end of its last, without checkpoints and evaluation.
Tokens are real ones, without padding. Ours is what `raft train` runs: shelf, collator, and after every step a line of
metrics.jsonl and a look for a request to stop. On a GPU plain SFTTrainer packs (bfd) and attends as we do, through our
own kernel if need be; --plain sdpa gives it what comes without flash-attn: padded rows of like length.

MFU: arithmetic of 4 times the matrices' weights a token with adapters, 6 times in full training, and attention.
"""

import argparse
import functools
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for both sides: two are slower on a small model

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback, TrainerCallback
from transformers.trainer_utils import SaveStrategy
from trl import SFTConfig, SFTTrainer

from raft_cli.config.train import TrainConfig
from raft_cli.model import ModelFolder, load_student
from raft_cli.progress import Progress
from raft_cli.train import sft
from raft_cli.train.attention import NAME, register_varlen
from raft_cli.train.data.shelf import IGNORED, write_shelf
from raft_cli.train.data.source import read_dataset
from raft_cli.train.load import build_adapters, find_type, load_tokenizer
from raft_cli.train.outcome import ROWS
from raft_cli.train.planning.families import read_shape
from raft_cli.train.planning.hardware import Hardware, find_hardware
from raft_cli.train.planning.recipe import choose_recipe
from raft_cli.train.planning.shape import Shape
from raft_cli.train.prepare import group_training
from raft_cli.train.records import Encoded, Recipe
from raft_cli.train.rows import encode_rows
from raft_cli.train.stopping import Stopper
from raft_cli.train.tiny import write_tiny_model
from raft_cli.train.worker import quiet_libraries

SPEED, ENCODING, MFU = 0.97, 3.0, 0.45  # what is asked for
SUPERVISED = 0.09  # share of a RAFT row that is its answer
SIDES = ("raft", "plain")


@dataclass(frozen=True, slots=True)
class Size:
    """A model and the rows it trains on: `rows` of `tokens` each in a micro-batch, two micro-batches in a step."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    vocabulary: int
    tokens: int
    rows: int
    steps: int


SIZES = {
    "tiny": Size(64, 192, 2, 4, 2048, tokens=180, rows=2, steps=40),
    "small": Size(256, 768, 8, 8, 8192, tokens=640, rows=2, steps=4),
    "7b": Size(4096, 11008, 32, 32, 32000, tokens=2620, rows=9, steps=6),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of a run: seconds, processor seconds, and the tokens so far."""

    wall: float
    cpu: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side, from the end of its first step on.

    Attributes:
        seen: Tokens of the whole run.
        memory: Most bytes held on the GPU.
    """

    tokens: int
    wall: float
    cpu: float
    seen: int
    memory: int


class Stamp(TrainerCallback):  # type: ignore[misc]
    """Notes the moments after the first step and after the last."""

    def __init__(self, trainer: SFTTrainer) -> None:
        self._trainer = trainer
        self.marks: list[Mark] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ANN401
        """Note the moment, once the device has done what it was given."""
        if state.global_step in (1, state.max_steps):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.marks.append(Mark(time.perf_counter(), time.process_time(), int(self._trainer._total_train_tokens)))


@dataclass(frozen=True, slots=True)
class Job:
    """What both sides do."""

    folder: Path
    recipe: Recipe
    rows: Sequence[Encoded]
    shape: Shape
    each: int  # rows in a micro-batch


def make_rows(count: int, tokens: int, vocabulary: int) -> list[Encoded]:
    """Return rows of random tokens, whose lengths spread as those of five documents and an answer do."""
    rng = random.Random("rows")
    rows = []
    for number in range(count):
        length = round(tokens * min(1.3, max(0.8, rng.gauss(1, 0.06))))
        ids = [rng.randrange(8, vocabulary) for _ in range(length)]
        cut = length - round(SUPERVISED * length)
        rows.append(Encoded(f"row-{number}", ids[:cut], ids[cut:], True, 0, 5, (0,)))
    return rows


def make_job(folder: Path, size: Size, steps: int, hardware: Hardware, flags: argparse.Namespace) -> Job:
    """Write a model folder (its weights unused), make rows for one pass of so many steps, settle the recipe."""
    path = folder / "model"
    write_tiny_model(path, hidden=32, layers=1)
    config = {
        **json.loads((path / "config.json").read_text()),
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.ffn,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "head_dim": size.hidden // size.heads,
        "tie_word_embeddings": False,
    }
    (path / "config.json").write_text(json.dumps(config))
    rows = make_rows(2 * size.rows * steps, size.tokens, size.vocabulary)
    lengths = [row.length for row in rows]
    student, shape = load_student(path), read_shape(config)
    settings = TrainConfig(
        model=str(path),
        method=flags.method,
        attention=flags.attention,
        packing=flags.packing,
        checkpointing=flags.checkpointing,
        device=hardware.kind,
        epochs=1.0,
        batch=2 * size.rows,
        micro_tokens=flags.micro or (None if hardware.kind == "cuda" else size.rows * max(lengths)),
    )
    recipe = choose_recipe(
        settings,
        hardware=replace(hardware, count=1),
        shape=shape,
        model=ModelFolder(str(path), path, config),
        lengths=lengths,
        validation=0,
        pad=(student.pad_id, student.pad_token),
        end_id=student.end_id,
    )
    return Job(folder, recipe, rows, shape, size.rows)


def draw_model(recipe: Recipe) -> Any:  # noqa: ANN401 - untyped library
    """Return the model with random weights, made where it is trained."""
    if recipe.attention == NAME:
        register_varlen()
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(recipe.base_path)
    with torch.device(recipe.device):
        model = AutoModelForCausalLM.from_config(config, dtype=find_type(recipe), attn_implementation=recipe.attention)
    model.config.use_cache = False
    return model


def describe_plain(job: Job) -> dict[str, Any]:
    """Return what SFTTrainer's settings are, so that it is as fast as it can be at this job."""
    recipe = job.recipe
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 1 if recipe.packing else job.each,
        "gradient_accumulation_steps": recipe.accumulation,
        "max_steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "optim": recipe.optimizer,
        "bf16": recipe.precision == "bf16",
        "fp16": recipe.precision == "fp16",
        "use_cpu": recipe.device == "cpu",
        "activation_checkpointing": recipe.checkpointing,
        "logging_steps": 10,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    if recipe.packing:
        return {**settings, "packing": True, "packing_strategy": "bfd", "max_length": recipe.micro_tokens}
    padded = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    return {**settings, **padded, "train_sampling_strategy": "group_by_length"}


def build_plain(job: Job) -> SFTTrainer:
    """Return TRL's trainer over the same token ids, in columns of its own."""
    from datasets import Dataset

    ids = [[*row.prompt, *row.completion] for row in job.rows]
    labels = [[*[IGNORED] * len(row.prompt), *row.completion] for row in job.rows]
    model = draw_model(job.recipe)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(job.folder / "plain"), **describe_plain(job)),
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": labels}),
        processing_class=load_tokenizer(job.recipe),
        peft_config=build_adapters(job.recipe, model),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def train_plain(job: Job) -> list[Mark]:
    """Train with TRL's trainer."""
    trainer = build_plain(job)
    stamp = Stamp(trainer)
    trainer.add_callback(stamp)
    trainer.train()
    return stamp.marks


def train_ours(job: Job) -> list[Mark]:
    """Train as `raft train` does, from a run folder."""
    with tempfile.TemporaryDirectory(dir=job.folder) as name:
        run = Path(name)
        write_shelf(run / ROWS, "train", job.rows, group_training(job.rows, job.recipe))
        with Stopper(run) as stopper:
            trainer, _, _ = sft.build_trainer(run, job.recipe, Progress(), stopper)
            trainer.args.save_strategy = SaveStrategy.NO
            stamp = Stamp(trainer)
            trainer.add_callback(stamp)
            trainer.train()
    return stamp.marks


def measure(side: str, job: Job, plain: Job) -> Run:
    """Let one side train once."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    first, last = train_ours(job) if side == "raft" else train_plain(plain)
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return Run(last.tokens - first.tokens, last.wall - first.wall, last.cpu - first.cpu, last.tokens, memory)


def take_turns(works: dict[str, Callable[[], Run]], pairs: int) -> dict[str, list[Run]]:
    """Let two works run in turn; each pair begins with the other one."""
    runs: dict[str, list[Run]] = {name: [] for name in works}
    for pair in range(pairs):
        for name in list(works)[:: -1 if pair % 2 else 1]:
            runs[name].append(works[name]())
    return runs


def count_arithmetic(job: Job, head: float) -> float:
    """Return the operations of a token in forward and backward, given the share of tokens that go through the head."""
    shape, adapters = job.shape, job.recipe.method != "full"
    lengths = [row.length for row in job.rows]
    attention = 6 * shape.layers * shape.queries * sum(length**2 for length in lengths) / sum(lengths)  # causal
    return (4 if adapters else 6) * (shape.matrices + head * (shape.head or shape.embedding)) + attention


def show_ratios(what: str, ratios: Sequence[float]) -> str:
    """Write the median of some ratios and their range."""
    return f"{what} {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def compare_training(job: Job, plain: Job, pairs: int, hardware: Hardware) -> list[tuple[str, float, float]]:
    """Print what both sides took; return what is asked for, as (name, found, least)."""
    sft.load_base = draw_model  # type: ignore[attr-defined]  # both sides: no weights on disk
    recipe, lengths = job.recipe, [row.length for row in job.rows]
    total = job.shape.counted
    print(
        f"training: {total / 1e6:,.1f} M weights, {recipe.method}, {recipe.precision}, {recipe.attention}, "
        f"{'packed' if recipe.packing else 'padded'}, checkpointing {'on' if recipe.checkpointing else 'off'}, "
        f"{hardware.name}\n  {len(lengths)} rows of {min(lengths):,} to {max(lengths):,} tokens, {recipe.steps} steps "
        f"of {recipe.accumulation} micro-batches of at most {recipe.micro_tokens:,} tokens; {pairs} pairs"
    )
    shown = {**describe_plain(plain), "attention": plain.recipe.attention}
    print("  plain SFTTrainer: " + ", ".join(f"{name}={value}" for name, value in shown.items()))
    for side in SIDES:
        measure(side, replace_steps(job, 2), replace_steps(plain, 2))
    runs = take_turns({side: functools.partial(measure, side, job, plain) for side in SIDES}, pairs)
    if not recipe.packing and not plain.recipe.packing:
        odd = [run for each in runs.values() for run in each if run.seen != sum(lengths)]
        if odd:
            raise SystemExit(f"a side did not see every row once: {odd[0]}")
    print(f"\n{'':18}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'CPU ms/1k':>12}{'tokens':>10}{'GiB':>8}")
    for side, each in runs.items():
        speeds = [run.tokens / run.wall for run in each]
        busy = statistics.median(1e6 * run.cpu / run.tokens for run in each)
        memory = f"{max(run.memory for run in each) / 2**30:.1f}" if each[0].memory else "–"
        print(
            f"{'raft train' if side == 'raft' else 'plain SFTTrainer':18}{statistics.median(speeds):10,.0f}"
            f"{min(speeds):10,.0f}{max(speeds):10,.0f}{busy:12,.1f}{each[0].tokens:10,}{memory:>8}"
        )
    couples = list(zip(*runs.values(), strict=True))
    walls = [ours.tokens / ours.wall / (theirs.tokens / theirs.wall) for ours, theirs in couples]
    busy_ratios = [ours.tokens / ours.cpu / (theirs.tokens / theirs.cpu) for ours, theirs in couples]
    print(f"  ours / plain: {show_ratios('tokens a second', walls)}; {show_ratios('tokens a CPU second', busy_ratios)}")
    asked = [("tokens per second of plain SFTTrainer", statistics.median(walls), SPEED)]
    if hardware.kind == "cuda" and hardware.flops:
        speed = statistics.median(run.tokens / run.wall for run in runs["raft"])
        mfu, strict = (speed * count_arithmetic(job, head) / hardware.flops for head in (1.0, SUPERVISED))
        print(
            f"  MFU {mfu:.1%} of {hardware.flops / 1e12:,.0f} TFLOP/s, the head counted for every token; {strict:.1%} "
            "counting it where there is loss"
        )
        asked.append(("MFU", mfu, MFU))
    return asked


def replace_steps(job: Job, steps: int) -> Job:
    """Return a shorter job."""
    return replace(job, recipe=replace(job.recipe, steps=min(steps, job.recipe.steps)))


def compare_encoding(folder: Path, count: int, pairs: int) -> list[tuple[str, float, float]]:
    """Print what both sides take to encode; return what is asked for."""
    import rows as made

    path, student = made.make_data(folder, count)
    rows = read_dataset(path, system="", validation_share=0, seed=1).train
    trl = made.Trl(folder, rows)
    tokens = sum(row.length for row in encode_rows(rows, student, made.AMPLE).rows)

    def clock(work: Callable[[], object]) -> Run:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return Run(tokens, time.perf_counter() - wall, time.process_time() - cpu, tokens, 0)

    works = {
        "raft encode_rows": lambda: clock(lambda: encode_rows(rows, student, made.AMPLE)),
        "TRL preparation": lambda: clock(lambda: trl.prepare(None)),
    }
    print(f"\nencoding: {count:,} rows, {tokens / count:,.0f} tokens on average; {pairs} pairs")
    runs = take_turns(works, pairs)
    print(f"\n{'':18}{'rows/s':>10}{'lowest':>10}{'highest':>10}{'CPU s':>12}{'wall s':>10}")
    for name, each in runs.items():
        speeds = [count / run.wall for run in each]
        cpu, wall = (statistics.median(getattr(run, of) for run in each) for of in ("cpu", "wall"))
        print(
            f"{name:18}{statistics.median(speeds):10,.0f}{min(speeds):10,.0f}{max(speeds):10,.0f}{cpu:12.2f}{wall:10.2f}"
        )
    couples = list(zip(*runs.values(), strict=True))
    walls, busy = ([getattr(b, of) / getattr(a, of) for a, b in couples] for of in ("wall", "cpu"))
    print(f"  TRL / ours: {show_ratios('seconds', walls)}; {show_ratios('CPU seconds', busy)}")
    return [("times faster than TRL at encoding, by the clock", statistics.median(walls), ENCODING)]


def read_flags() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, help="of each run, the first not timed (default: by size)")
    parser.add_argument("--tokens", type=int, help="of a row, on average (default: by size)")
    parser.add_argument("--micro", type=int, help="most tokens of a micro-batch")
    parser.add_argument("--method", choices=("lora", "full"), default="lora")
    parser.add_argument("--attention", choices=("auto", "flash", "varlen", "sdpa"), default="auto")
    parser.add_argument("--packing", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--checkpointing", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--plain", choices=("same", "sdpa"), default="same", help="attention of plain SFTTrainer")
    parser.add_argument("--rows", type=int, default=2000, help="to encode")
    parser.add_argument("--encode-pairs", type=int, default=3)
    parser.add_argument("--only", default="train,encode")
    return parser.parse_args()


def main() -> int:
    """Measure, and tell what of it is as asked."""
    flags = read_flags()
    warnings.simplefilter("ignore")
    quiet_libraries()
    asked: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "train" in flags.only:
            size, hardware = SIZES[flags.size], find_hardware(flags.device)
            size = replace(size, tokens=flags.tokens or size.tokens)
            job = make_job(folder / "train", size, flags.steps or size.steps, hardware, flags)
            packing = job.recipe.packing and flags.plain == "same"
            other = job.recipe if flags.plain == "same" else replace(job.recipe, attention="sdpa", packing=packing)
            asked += compare_training(job, replace(job, recipe=other), flags.pairs, hardware)
        if "encode" in flags.only:
            asked += compare_encoding(folder / "encode", flags.rows, flags.encode_pairs)
    print(f"\nload {os.getloadavg()[0]:.1f}, torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    for what, found, least in asked:
        print(f"{'pass' if found >= least else 'FAIL'}  {what}: {found:.3f}, at least {least:g} asked for")
    return int(any(found < least for _, found, least in asked))


if __name__ == "__main__":
    sys.exit(main())
