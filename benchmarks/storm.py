"""How long `raft generate` takes when the teacher fails and limits, beside the ideal.

    python benchmarks/storm.py [--chunks 1250]

A storm: 5 % 429 (Retry-After 1 s), 2 % 500, 1 % resets, 1 % cut bodies, 2 % malformed, 1 % truncated, 1 % refusals,
against the clean window of the same requests. Token buckets of 40 and 5 requests a second, against requests / rate.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from check_dataset import check  # noqa: E402
from generate import write_documents  # noqa: E402
from teacher import Teacher  # noqa: E402

STORM = {"429": 0.05, "500": 0.02, "reset": 0.01, "cut": 0.01, "malformed": 0.02, "truncated": 0.01, "refusal": 0.01}


def run(chunks: int, concurrency: int = 64, **settings: Any) -> dict[str, Any]:
    """Generate from `chunks` one-chunk documents and return what came of it."""
    with tempfile.TemporaryDirectory() as scratch, Teacher(**settings) as teacher:
        corpus, out = Path(scratch) / "corpus", Path(scratch) / "out"
        corpus.mkdir()
        for number, text in enumerate(write_documents(chunks)):
            (corpus / f"{number:05}.txt").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "raft_cli", "generate", str(corpus), "-o", str(out), "--teacher", "sim",
                   "--base-url", teacher.url, "--concurrency", str(concurrency)]  # fmt: skip
        done = subprocess.run(command, env={**os.environ, "OPENAI_API_KEY": "x"}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"raft generate ended with {done.returncode}: {done.stderr[-2000:]}")
        stats = teacher.stats()
        counts = json.loads((out / "manifest.json").read_text())["counts"]
        faults = check(out)
    lost = counts["planned"] - counts["questions"] - counts["pending"]
    return {"window": stats.window, "requests": stats.requests, **counts, "lost": lost, "bad": len(faults)}


def show(name: str, found: dict[str, Any], ideal: float) -> None:
    """Print one line."""
    print(
        f"{name:<28} {found['requests']:>6} requests {found['window']:8.2f} s  {found['window'] / ideal:5.2f} x of "
        f"{ideal:7.2f} s  kept {found['questions']}, rejected {found['lost']}, pending {found['pending']} "
        f"of {found['planned']}, bad rows {found['bad']}"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1250)
    options = parser.parse_args()
    clean = run(options.chunks, latency=0.2, slots=64)
    show("clean", clean, clean["requests"] * 0.2 / 64)
    show("storm, of the clean window", run(options.chunks, latency=0.2, slots=64, faults=STORM), clean["window"])
    bucket = run(250, latency=0.2, rate=40, burst=40, retry_after="1")
    show("bucket of 40 a second", bucket, (1000 - 40) / 40)
    bucket = run(48, latency=0.2, rate=5, burst=5, retry_after="1")
    show("bucket of 5 a second", bucket, (192 - 5) / 5)


if __name__ == "__main__":
    main()
