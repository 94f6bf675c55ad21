"""Manifests and figures of a run, as `raft train` writes them."""

import math
from collections.abc import Mapping
from typing import Any

GIB = 1 << 30


def make_manifest(**changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a finished run's manifest; `changes` go into its parts, None removes one."""
    manifest: dict[str, Any] = {
        "kind": "run",
        "complete": True,
        "raft": "0.4.0",
        "finished": "2026-11-21T08:00:00+00:00",
        "base": {
            "name": "Qwen/Qwen2.5-7B-Instruct",
            "path": "/models/qwen",
            "revision": "a09a35458c70",
            "weights": "ab" * 32,
            "architecture": "Qwen2ForCausalLM",
            "smoke": False,
        },
        "data": {
            "path": "/data/handbook",
            "format": "native",
            "files": {"train.jsonl": "cd" * 32},
            "rows": 9821,
            "validation_rows": 512,
            "held_out": 0,
            "dataset": {
                "chunk_size": 512,
                "tokenizer": "o200k_base",
                "distractors": 4,
                "oracle_share": 0.8,
                "absent_target": "no-quotes",
                "teacher": "gpt-4.1-mini",
            },
        },
        "rows": {
            "trained": 9802,
            "overflow": {"too-long": 17, "control-token": 2},
            "shortened": 131,
            "oracle_share": 0.8012,
            "documents": 4.98,
            "tokens": 25_680_000,
            "supervised_tokens": 1_560_000,
            "percentiles": {"50": 2611, "95": 3902, "99": 5120, "max": 7600},
        },
        "config": {"model": "Qwen/Qwen2.5-7B-Instruct", "method": "lora", "rank": 16, "batch": 32, "dora": False},
        "recipe": {
            "method": "lora",
            "rank": 16,
            "alpha": 32,
            "dropout": 0.0,
            "targets": ["all-linear"],
            "dora": False,
            "rslora": False,
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "epochs": 3.0,
            "steps": 900,
            "precision": "bf16",
            "attention": "varlen",
            "optimizer": "adamw_torch_fused",
            "seed": 42,
            "device": "cuda",
            "end_id": 151645,
        },
        "plan": {
            "memory": {
                "weights": 14 * GIB,
                "copies": 0,
                "adapters": GIB // 4,
                "gradients": GIB // 4,
                "optimizer": GIB // 2,
                "activations": 37 * GIB,
                "logits": 2 * GIB,
                "overhead": 2 * GIB,
                "total": 56 * GIB,
            },
            "seconds": 6300.0,
        },
        "prompt": {"system": "", "template": "chat", "digest": "d1ce"},
        "versions": {"torch": "2.13.0", "peft": "0.21.2"},
        "result": {
            "steps": 900,
            "epochs": 3.0,
            "best_step": 600,
            "best_loss": 0.7321,
            "first_eval_loss": 1.52,
            "last_loss": 0.55,
            "eval": {"eval_loss": 0.7565, "eval_oracle_loss": 0.6365, "eval_absent_loss": 1.1565, "eval_rows": 500},
            "tokens": 75_000_000,
            "seconds": 6210.0,
            "tokens_per_second": 12_111.0,
            "peak_memory": 61 * GIB,
            "device": "NVIDIA H200",
            "stopped_early": False,
            "restarts": 1,
        },
    }
    for name, change in changes.items():
        if change is None:
            manifest.pop(name)
        else:
            manifest[name] = {**manifest.get(name, {}), **change}
    return manifest


def make_metrics(steps: int, *, evaluations: int = 9) -> list[dict[str, Any]]:
    """Return the figures of a run that learns, each third validation row without its oracle."""
    lines: list[dict[str, Any]] = []
    for step in range(steps + 1):
        if evaluations and step % max(1, steps // evaluations) == 0:
            loss = 0.9 * math.exp(-4 * step / steps) + 0.6 + 0.1 * (step / steps) ** 2
            shares = {"eval_loss": loss, "eval_oracle_loss": loss - 0.1, "eval_absent_loss": loss + 0.4}
            lines.append({"step": step, "epoch": 3 * step / steps, **shares, "eval_rows": 500, "seconds": 7.0 * step})
        if step:
            lines.append(
                {
                    "step": step,
                    "epoch": 3 * step / steps,
                    "loss": 0.9 * math.exp(-4 * step / steps) + 0.5 + 0.05 * math.sin(step * 1.7),
                    "learning_rate": 1e-4 * (1 - step / (steps + 1)),
                    "grad_norm": 0.5 + 0.1 * math.sin(step),
                    "tokens": 84_000 * step,
                    "supervised": 5_200 * step,
                    "seconds": 6.9 * step,
                    "tokens_per_second": 12_174.0,
                    "memory": 60 * GIB,
                }
            )
    return lines
