"""What a run's manifest says, as labels and values for its card and its report. Pure."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raft_cli.config.train import TrainConfig
from raft_cli.train.units import (
    look_up,
    read_number,
    show_bytes,
    show_loss,
    show_seconds,
    show_share,
    show_value,
)

Lines = Sequence[tuple[str, object]]

_METHODS = {"lora": "LoRA adapter", "qlora": "LoRA adapter, over a 4-bit base", "full": "all weights"}
_OF_THE_PLACE = {"dry_run", "node_rank", "nodes", "rendezvous", "processes", "device"}  # not of what is trained
_LABELS = {
    "chunk_size": "Chunk size in tokens",
    "tokenizer": "Tokens of chunks counted by",
    "distractors": "Distractors of a row, as generated",
    "oracle_share": "Share of rows with the oracle, as generated",
    "absent_target": "What it learns to say without the oracle",
    "teacher": "Answers written by",
    "languages": "Languages",
}


def list_data(manifest: Mapping[str, Any]) -> Lines:
    """Return what it was trained on."""
    files = look_up(manifest, "data.files", {})
    documents = read_number(look_up(manifest, "rows.documents"))
    made = look_up(manifest, "data.dataset", {})
    overflow = look_up(manifest, "rows.overflow", {})
    set_aside = ", ".join(f"{count:,} {reason}" for reason, count in overflow.items() if count) or (
        "none" if "overflow" in look_up(manifest, "rows", {}) else None
    )
    lengths = look_up(manifest, "rows.percentiles", {})
    return [
        ("Rows trained on", look_up(manifest, "rows.trained")),
        ("Rows that lost distractors to fit", look_up(manifest, "rows.shortened")),
        ("Rows set aside", set_aside),
        ("Share of them with the oracle", show_share(look_up(manifest, "rows.oracle_share"))),
        ("Documents of a row, on average", f"{documents:.2f}" if documents is not None else None),
        ("Validation rows", look_up(manifest, "data.validation_rows")),
        ("Held out of the training rows", look_up(manifest, "data.held_out") or None),
        ("Tokens", look_up(manifest, "rows.tokens")),
        ("… of them in answers", look_up(manifest, "rows.supervised_tokens")),
        ("Tokens of a row: median, 95 %, longest", _join(lengths, "50", "95", "max")),
        *((_LABELS.get(name, name.replace("_", " ").capitalize()), _show_made(name, made[name])) for name in made),
        ("Format of the rows", look_up(manifest, "data.format")),
        *((f"SHA-256 of {name}", digest) for name, digest in files.items()),
    ]


def _show_made(name: str, value: object) -> object:
    return show_share(value) or value if name.endswith("_share") else value


def list_settings(manifest: Mapping[str, Any]) -> Lines:
    """Return how it was trained."""
    recipe = look_up(manifest, "recipe", {})
    step = read_number(look_up(manifest, "rows.step"))
    method = str(recipe.get("method", look_up(manifest, "config.method", "")))
    adapters: Lines = [
        ("Rank, alpha, dropout", _join(recipe, "rank", "alpha", "dropout")),
        ("Layers", recipe.get("targets")),
        ("DoRA, rsLoRA", _join(recipe, "dora", "rslora")),
    ]
    return [
        ("Method", _METHODS.get(method, method)),
        *(adapters if method != "full" else []),
        ("Learning rate, schedule", _join(recipe, "learning_rate", "schedule")),
        ("Rows of a step, on average", f"{step:,.1f}" if step is not None else None),
        ("Epochs, steps", _join(recipe, "epochs", "steps")),
        ("Precision, attention", _join(recipe, "precision", "attention")),
        ("Optimizer", recipe.get("optimizer")),
        ("Seed", recipe.get("seed")),
    ]


def list_results(manifest: Mapping[str, Any]) -> Lines:
    """Return what came out; only for a run that is finished."""
    result = look_up(manifest, "result", {})
    last = look_up(result, "eval", {})
    seconds, memory = result.get("seconds"), result.get("peak_memory")
    stopped = ", stopped early" if result.get("stopped_early") else ""
    return [
        ("Steps, epochs", f"{show_value(result.get('steps'))}, {show_value(result.get('epochs'))}{stopped}"),
        ("Validation loss before training", show_loss(result.get("first_eval_loss"))),
        (
            "Best validation loss (kept)",
            f"{show_loss(result.get('best_loss'))}, step {show_value(result.get('best_step'))}",
        ),
        ("Last validation loss", show_loss(last.get("eval_loss"))),
        ("… of rows with the oracle", show_loss(last.get("eval_oracle_loss"))),
        ("… of rows without it", show_loss(last.get("eval_absent_loss"))),
        ("Last training loss", show_loss(result.get("last_loss"))),
        ("Time", show_seconds(seconds) if seconds is not None else None),
        ("Device", result.get("device")),
        ("Peak memory of a device", show_bytes(memory) if memory else None),
    ]


def list_origin(manifest: Mapping[str, Any]) -> Lines:
    """Return what it takes to make the run again: model, data, prompt, versions."""
    versions = look_up(manifest, "versions", {})
    return [
        ("Base", look_up(manifest, "base.name")),
        ("Revision of the base", look_up(manifest, "base.revision")),
        ("SHA-256 of its weights", look_up(manifest, "base.weights")),
        ("Data", name_data(manifest)),
        ("Digest of the prompt", look_up(manifest, "prompt.digest")),
        ("raft", look_up(manifest, "raft")),
        *((name, str(versions[name])) for name in sorted(versions)),
        ("Finished", look_up(manifest, "finished")),
    ]


def name_data(manifest: Mapping[str, Any]) -> str | None:
    """Return the name of the data without its place, which is nobody's business where a model is published."""
    path = look_up(manifest, "data.path")
    return None if path is None else Path(str(path)).name


def write_command(manifest: Mapping[str, Any]) -> str:
    """Return the command that trains so: every setting that is not the default, but for those of the machine."""
    config = look_up(manifest, "config", {})
    words = ["raft", "train", name_data(manifest) or "DATA", "-o", "RUN"]
    for setting in dataclasses.fields(TrainConfig):
        value = config.get(setting.name)
        if value in (None, setting.default) or setting.name in _OF_THE_PLACE:
            continue
        flag = "--" + setting.name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def _join(record: Mapping[str, Any], *names: str) -> str | None:
    """Return values side by side, or None when there is none of them."""
    shown = [show_value(record.get(name)) for name in names]
    return ", ".join(shown) if set(shown) != {"–"} else None
