"""Whether RAFT training teaches a model to read the right document, seen end to end on a small machine.

    python benchmarks/learns.py                 # about ten minutes on one core

Makes a corpus of small facts about parts, a small base model that can copy (learns_base.py), and two sets of RAFT
rows that ask the same questions: the oracle among four distractors, each of which differs from it in one field, and the
oracle alone. `raft train` tunes the base on each. Base, tuned model and control (tuned without distractors) are asked
the same held-out questions, about parts never seen in training, the oracle among four distractors, with the same
prompt, decoding greedily. Exits with 1 when the tuned model is less than 20 points ahead of the base or less than 10
ahead of the control, also where theirs is read leniently: the first value that they say.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from learns_corpus import Corpus, list_words, make_row, read_rows, write_exam, write_rows

from raft_cli.cot import parse_answer
from raft_cli.data import Message
from raft_cli.generate.formats import Row

CONDITIONS = ("closed", "oracle", "oracle+1", "oracle+2", "oracle+4", "distract", "retrieved@5")
MARGINS = {"base": 20, "control": 10}  # points by which the tuned model has to be ahead


def tune(data: Path, base: Path, run: Path, options: argparse.Namespace) -> None:
    """Run `raft train`."""
    settings = {"--method": "full", "--learning-rate": options.learning_rate, "--epochs": options.epochs,
                "--batch": options.batch, "--device": options.device, "--seed": options.seed, "--evals": 1,
                "--patience": 0, "--precision": "fp32"}  # fmt: skip
    words = [str(word) for pair in settings.items() for word in pair]
    command = [sys.executable, "-m", "raft_cli", "train", str(data), "--model", str(base), "-o", str(run), *words]
    if subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"{' '.join(command)} failed")


def ask(model_folder: Path, base: Path, rows: Sequence[Row], device: str) -> list[str]:
    """Return what a model says to the instruction of each row, decoding greedily."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from raft_cli.model import load_student

    disable_progress_bar()
    student = load_student(base)
    prompts = student.encode_prompts([[Message("user", row["instruction"])] for row in rows])
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).to(device).eval()
    replies = []
    for start in range(0, len(prompts), 100):
        part = prompts[start : start + 100]
        width = max(map(len, part))
        ids = torch.tensor([[student.pad_id] * (width - len(prompt)) + prompt for prompt in part], device=device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part], device=device)
        said = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=48, do_sample=False, pad_token_id=student.pad_id,
            eos_token_id=student.end_id,
        )  # fmt: skip
        replies += [
            student.decode([token for token in reply if token != student.pad_id]) for reply in said[:, width:].tolist()
        ]
    return replies


@dataclass(frozen=True, slots=True)
class Score:
    """What a model's replies are worth, one entry a question.

    Attributes:
        exact: The answer after the tag is right.
        first: The first value that is said anywhere is right: a lenient reading, for models that know no tag.
        quoted: A quote is the oracle's text, letter by letter.
    """

    exact: list[bool]
    first: list[bool]
    quoted: list[bool]


def score(replies: Sequence[str], rows: Sequence[Row]) -> Score:
    """Compare replies with the rows' answers."""
    parsed = [parse_answer(reply) for reply in replies]
    said = [next(iter(re.findall(r"\b1\d\d\b", reply)), "") for reply in replies]
    return Score(
        [each.final == row["answer"] for each, row in zip(parsed, rows, strict=True)],
        [f"{value} mm" == row["answer"] for value, row in zip(said, rows, strict=True)],
        [row["quotes"][0]["text"] in each.quotes for each, row in zip(parsed, rows, strict=True)],
    )


def estimate(values: Sequence[float], seed: int) -> tuple[float, float, float]:
    """Return a mean and its 95 % bootstrap interval, in points."""
    import numpy as np

    held = 100 * np.array(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(held), (10_000, len(held)))
    low, high = np.percentile(held[drawn].mean(axis=1), (2.5, 97.5))
    return float(held.mean()), float(low), float(high)


def show(scores: dict[str, Score], alone: dict[str, Score], seed: int) -> bool:
    """Print the table and the margins, and return whether they suffice."""
    heads = ("exact, %", "first value right, %", "oracle quoted, %", "oracle alone, exact, %")
    print("\n" + " " * 8 + "".join(f"{head:>24}" for head in heads))
    for name, each in scores.items():
        cells = [
            "{:.1f} [{:.1f}, {:.1f}]".format(*estimate(part, seed)) for part in (each.exact, each.first, each.quoted)
        ]
        bare = 100 * sum(alone[name].exact) / len(alone[name].exact)
        print(f"{name:<8}" + "".join(f"{cell:>24}" for cell in (*cells, f"{bare:.1f}")))
    reached = True
    for name, wanted in MARGINS.items():
        for reading in ("exact", "first"):
            other = getattr(scores[name], reading)
            gained = [float(mine) - float(its) for mine, its in zip(scores["tuned"].exact, other, strict=True)]
            mean, low, high = estimate(gained, seed)
            enough = mean >= wanted and low > 0
            reached = reached and enough
            how = "exact" if reading == "exact" else "its first value, read leniently"
            verdict = "reached" if enough else "MISSED"
            print(f"tuned (exact) - {name} ({how}): {mean:+.1f} [{low:+.1f}, {high:+.1f}], wanted {wanted}: {verdict}")
    return reached


def examine(folder: Path, corpus: Corpus, device: str) -> None:
    """Let `raft eval` examine tuned model and control beside their base, and print what it says of them together."""
    from raft_cli.store import read_json

    passages = write_exam(corpus, folder / "exam", folder / "raft")
    print(f"\nraft eval over {passages:,} passages, half of the distractors found by search", flush=True)
    words = {"--baseline": folder / "base", "--answers": folder / "answers.sqlite", "--precision": "fp32",
             "--conditions": ",".join(CONDITIONS), "--limit": 0, "--max-tokens": 48, "--device": device}  # fmt: skip
    for name, model in (("tuned", "run-raft"), ("control", "run-alone")):
        command = [sys.executable, "-m", "raft_cli", "eval", str(folder / "exam"), "--model", str(folder / model)]
        command += ["-o", str(folder / f"report-{name}"), *(str(word) for pair in words.items() for word in pair)]
        if subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL).returncode:
            sys.exit(f"{' '.join(command)} failed")
        print(f"{name}: {read_json(folder / f'report-{name}' / 'results.json')['verdict']}")
    compared = [f"{name}={folder / f'report-{name}'}" for name in ("tuned", "control")]
    subprocess.run([sys.executable, "-m", "raft_cli", "compare", *compared], check=True)


def run(folder: Path, options: argparse.Namespace) -> bool:
    """Make corpus, base and rows, tune twice, ask; return whether the margins are reached."""
    from learns_base import make_base, make_tokenizer

    started = last = time.monotonic()

    def note(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        print(f"{now - last:7.0f} s  {text}", flush=True)
        last = now

    corpus = Corpus(options.seed)
    write_rows(corpus, folder, {"train": options.rows, "validation": 200, "test": options.questions}, options.seed)
    note(f"corpus of {len(corpus):,} facts, {options.rows:,} rows of each style, {options.questions} questions")
    row = make_row("sample", 0, corpus.draw_group(random.Random(0), "train"), 0)
    tokens = make_tokenizer(
        folder / "base", [row["instruction"], row["cot_answer"], *list_words(), "user", "assistant"]
    )
    note(make_base(folder / "base", tokens, hidden=options.hidden, layers=options.layers, steps=options.steps,
                   seed=options.seed, device=options.device))  # fmt: skip
    models = {"base": folder / "base", "tuned": folder / "run-raft", "control": folder / "run-alone"}
    for name, style in (("tuned", "raft"), ("control", "alone")):
        tune(folder / style, folder / "base", models[name], options)
        note(f"raft train on {style}/ -> {name}")
    scores: dict[str, dict[str, Score]] = {"raft": {}, "alone": {}}
    for style, held in scores.items():
        rows = read_rows(folder / style / "test.jsonl")
        for name, model in models.items():
            replies = ask(model, folder / "base", rows, options.device)
            held[name] = score(replies, rows)
            (folder / f"replies-{style}-{name}.json").write_text(json.dumps(replies, indent=1), encoding="utf-8")
    note(f"asked {2 * len(models)} x {options.questions} questions")
    reached = show(scores["raft"], scores["alone"], options.seed)
    examine(folder, corpus, options.device)
    print(f"{time.monotonic() - started:7.0f} s  in all")
    return reached


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--hidden", type=int, default=64, help="width of the base, a multiple of 16")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1500, help="of pre-training, after the short copies")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="new folder for rows, models and replies, instead of a temporary one")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["OMP_NUM_THREADS"] = "1"  # a second thread makes models this small ten times slower
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(0 if run(options.keep or Path(scratch), options) else 1)


if __name__ == "__main__":
    main()
