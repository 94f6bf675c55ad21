"""What a run leaves behind: the tuned weights beside their tokenizer, manifest, card, report. Knows no torch."""

import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_cli import __version__
from raft_cli.config.train import TrainConfig
from raft_cli.data import make_id
from raft_cli.errors import DatasetError
from raft_cli.resources import find_versions
from raft_cli.store import explain_write_error, read_json, write_json, write_text
from raft_cli.train.folder import MANIFEST
from raft_cli.train.metrics import read_metrics
from raft_cli.train.prepare import Prepared
from raft_cli.train.records import Recipe
from raft_cli.train.reports.card import render_card
from raft_cli.train.reports.report import render_report
from raft_cli.weights import hash_file, hash_weights

CHECKPOINTS, PLAN, RESULT, ROWS = "checkpoints", "plan.json", "result.json", "rows"
_TAKEN = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json",
          "tokenizer*", "chat_template.jinja", "special_tokens_map.json", "vocab.*", "merges.txt", "*.py")  # fmt: skip
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes")
_OF_THE_DATASET = ("chunk_size", "tokenizer", "distractors", "oracle_share", "absent_target", "teacher", "split_by")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run.

    Attributes:
        manifest: As in RUN/manifest.json.
        before: Whether it was finished before this command.
        notes: What a person should be told.
    """

    out: Path
    manifest: Mapping[str, Any]
    before: bool
    notes: tuple[str, ...]


def take_weights(out: Path, recipe: Recipe, revision: str) -> None:
    """Copy the weights of the best checkpoint, with its tokenizer, to the run folder.

    Args:
        revision: Commit of the base, for the adapter to remember; empty where it has none.

    Raises:
        DatasetError: The disk is full.
    """
    best = out / CHECKPOINTS / f"checkpoint-{read_json(out / RESULT)['best_step']}"
    try:
        for pattern in _TAKEN:
            for path in sorted(best.glob(pattern)):
                partial = out / f"{path.name}.part"
                shutil.copyfile(path, partial)
                partial.replace(out / path.name)
    except OSError as error:
        raise explain_write_error(out, error) from error
    if recipe.method != "full":
        adapter = read_json(out / "adapter_config.json")
        base = {"base_model_name_or_path": recipe.base, "revision": revision or None}
        write_json(out / "adapter_config.json", {**adapter, **base})


def build_manifest(out: Path, data: Path, config: TrainConfig, prepared: Prepared, recipe: Recipe) -> dict[str, Any]:
    """Return the record of a run, as it was planned when it began; a result is left out as long as there is none."""
    plan, dataset, model = read_json(out / PLAN), prepared.dataset, prepared.model
    median, most, nearly, longest = plan["lengths"]
    manifest: dict[str, Any] = {
        "kind": "run",
        "raft": __version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": {
            "name": model.name,
            "path": str(model.path),
            "revision": model.revision,
            "weights": hash_weights(model.path),
            "architecture": next(iter(model.config.get("architectures") or ()), ""),
            "smoke": bool(model.config.get("raft_smoke")),
        },
        "data": {
            "path": str(data.resolve()),
            "format": dataset.format,
            "files": dataset.files,
            "rows": len(dataset.train),
            "validation_rows": plan["validation_rows"],
            "held_out": dataset.held_out,
            "corpus": hash_file(chunks) if (chunks := _find_chunks(data)) else "",
            "dataset": read_dataset_facts(data),
        },
        "rows": {
            "trained": plan["rows"],
            "step": plan["step_rows"],
            "overflow": plan["overflow"],
            "shortened": plan["shortened"],
            "tokens": plan["tokens"],
            "supervised_tokens": plan["supervised"],
            "oracle_share": plan["oracle_share"],
            "documents": plan["documents"],
            "percentiles": {"50": median, "95": most, "99": nearly, "max": longest},
        },
        "config": asdict(config),
        "recipe": asdict(recipe),
        "plan": {name: plan[name] for name in ("memory", "available", "seconds")},
        "prompt": {
            "system": config.system,
            "template": "chat" if prepared.student.template else "plain",
            "digest": make_id(prepared.student.template),
        },
        "versions": {"python": platform.python_version(), **find_versions(_LIBRARIES)},
    }
    if (out / RESULT).exists():
        manifest |= {"complete": True, "result": build_result(out)}
    return manifest


def _find_chunks(data: Path) -> Path | None:
    """Return the passages that the rows come from, where they lie beside them."""
    path = (data if data.is_dir() else data.parent) / "chunks.jsonl"
    return path if path.is_file() else None


def build_result(out: Path) -> dict[str, Any]:
    """Return what training came to: the worker's own words and the last figures of metrics.jsonl."""
    metrics = read_metrics(out)
    trained = [line for line in metrics if "loss" in line]
    evaluated = [line for line in metrics if "eval_loss" in line]
    last = trained[-1] if trained else {}
    return {
        **read_json(out / RESULT),
        "restarts": sum("restarted" in line for line in metrics),
        "last_loss": last.get("loss"),
        "tokens": last.get("tokens", 0),
        "seconds": metrics[-1]["seconds"] if metrics else 0.0,
        "tokens_per_second": last.get("tokens_per_second"),
        "first_eval_loss": evaluated[0]["eval_loss"] if evaluated else None,
        "eval": {name: value for name, value in evaluated[-1].items() if name.startswith("eval")} if evaluated else {},
    }


def read_dataset_facts(data: Path) -> dict[str, Any] | None:
    """Return what the dataset's own manifest says of how it was made."""
    try:
        held = read_json(data / MANIFEST)
        settings = held["settings"]
    except (DatasetError, KeyError, TypeError):
        return None
    return {name: settings[name] for name in _OF_THE_DATASET if name in settings}


def write_outcome(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write card and report, and last the manifest, which marks the run as finished."""
    write_text(out / "README.md", render_card(manifest))
    write_text(out / "report.html", render_report(manifest, read_metrics(out)))
    write_json(out / MANIFEST, dict(manifest))
    shutil.rmtree(out / ROWS, ignore_errors=True)
