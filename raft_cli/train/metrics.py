"""The figures of a run, a line a step: read them, and cut them back to a checkpoint. Knows no torch."""

from pathlib import Path
from typing import Any

from raft_cli.store import read_lines, write_lines

METRICS = "metrics.jsonl"
START = {"tokens": 0.0, "supervised": 0.0, "seconds": 0.0}


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Return the figures that a run wrote, without a last line that a kill cut short."""
    path = run / METRICS
    return list(read_lines(path, growing=True)) if path.exists() else []


def rewind_metrics(run: Path, step: int) -> dict[str, float]:
    """Drop what was written after `step`, and return the sums (tokens, supervised, seconds) up to it.

    At step 0 everything goes: the evaluation before the first step is made anew.
    """
    kept = [line for line in read_metrics(run) if step and line["step"] <= step]
    write_lines(run / METRICS, kept)
    trained = [line for line in kept if "tokens" in line]
    last = trained[-1] if trained else START
    return {name: float(last[name]) for name in START}
