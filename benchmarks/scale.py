"""A large corpus through the embedded teacher: time of each stage, and the peak memory of the whole process tree.

    python benchmarks/scale.py --chunks 100000

Makes a corpus of Markdown files, half English, half Chinese, sections of about 500 tokens, runs `raft generate` with
lexical distractors and one question a chunk, and prints a table. Memory is read from /proc (Linux).
"""

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "sample_corpus"
SECTIONS = 100  # of a file


def read_vocabulary() -> tuple[list[str], list[str]]:
    """Return English words and Chinese phrases of the sample corpus, in order of appearance."""
    english = " ".join(path.read_text("utf-8") for path in sorted(SAMPLE.glob("*.md")))
    chinese = " ".join(path.read_text("utf-8") for path in sorted((SAMPLE / "zh").glob("*")) if path.suffix != ".html")
    words = list(dict.fromkeys(re.findall(r"[a-z]{2,}", english)))
    phrases = list(dict.fromkeys(re.findall(r"[\u4e00-\u9fff]{2,4}", chinese)))
    return words, phrases


def write_corpus(folder: Path, chunks: int) -> None:
    """Write `chunks` sections, each a chunk of a little under 512 tokens."""
    words, phrases = read_vocabulary()
    weights = {
        id(pool): list(itertools.accumulate(1 / (rank + 3) for rank in range(len(pool)))) for pool in (words, phrases)
    }
    draw = random.Random(7)

    def sentence(pool: list[str], length: int, glue: str) -> str:
        drawn = draw.choices(pool, cum_weights=weights[id(pool)], k=length)
        drawn.insert(length // 2, f"{draw.randrange(10, 99999)} ms" if glue else f"{draw.randrange(10, 99999)} 毫秒")
        return (glue.join(drawn).capitalize() + ".") if glue else "".join(drawn) + "。"

    for number in range(chunks // SECTIONS):
        pool, glue, length, count = (words, " ", 17, 18) if number % 2 else (phrases, "", 12, 11)
        parts = [f"# {glue.join(draw.choices(pool, k=3))} {number}"]
        for section in range(SECTIONS):
            parts.append(f"## {glue.join(draw.choices(pool, k=4))} {number}.{section}")
            parts.append((" " if glue else "").join(sentence(pool, length, glue) for _ in range(count)))
        (folder / f"manual-{number:05}.md").write_text("\n\n".join(parts), encoding="utf-8")


def tree_memory(root: int) -> tuple[float, float]:
    """Return resident and proportional memory of a process and its descendants, in MB."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    members = {root}
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    resident = proportional = 0
    for pid in members:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        sizes = dict(re.findall(r"^(Rss|Pss):\s+(\d+)", rollup, re.M))
        resident += int(sizes["Rss"])
        proportional += int(sizes["Pss"])
    return resident / 1024, proportional / 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--source", default="lexical")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        corpus, out = Path(scratch) / "corpus", Path(scratch) / "out"
        corpus.mkdir()
        write_corpus(corpus, options.chunks)
        command = [sys.executable, "-m", "raft_cli", "generate", str(corpus), "-o", str(out), "--teacher", "extractive",
                   "--questions", "1", "--distractor-source", options.source, "--json"]  # fmt: skip
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peak_resident = peak_proportional = 0.0
        while process.poll() is None:
            resident, proportional = tree_memory(process.pid)
            peak_resident, peak_proportional = max(peak_resident, resident), max(peak_proportional, proportional)
            time.sleep(0.5)
        seconds = time.monotonic() - started
        if process.returncode:
            sys.exit(f"raft generate failed with {process.returncode}")
        manifest = json.loads((out / "manifest.json").read_text())
        counts = manifest["counts"]
        print(f"chunks {counts['chunks']:,}, tokens {counts['chunk_tokens']:,}, rows {sum(counts['rows'].values()):,}")
        for stage, spent in manifest["stages"].items():
            print(f"  {stage:<22} {spent:8.1f} s")
        print(f"  {'all':<22} {seconds:8.1f} s")
        print(
            f"peak memory of the tree: {peak_resident:,.0f} MB resident (sum), {peak_proportional:,.0f} MB proportional"
        )


if __name__ == "__main__":
    main()
