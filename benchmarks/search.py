"""Our lexical index beside bm25s, on the same texts and tokens: time to build, peak memory, time of a query.

pip install bm25s && python benchmarks/search.py --chunks 20000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scale import write_corpus

from raft_cli.corpus.search import LexicalIndex
from raft_cli.language import search_tokens

QUERIES, TOP = 1_000, 50


def read_sections(chunks: int) -> list[str]:
    """Return the sections of a made-up corpus."""
    with tempfile.TemporaryDirectory() as scratch:
        write_corpus(Path(scratch), chunks)
        files = sorted(Path(scratch).iterdir())
        return [section for path in files for section in path.read_text("utf-8").split("\n\n## ")[1:]]


def measure(engine: str, chunks: int) -> dict[str, float]:
    """Build and query one engine in this process."""
    texts = read_sections(chunks)
    queries = [text[len(text) // 2 :][:120] for text in texts[:QUERIES]]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    if engine == "ours":
        index = LexicalIndex(texts)
        built = time.process_time()
        for query in queries:
            index.search(query, TOP)
    else:
        import bm25s

        library = bm25s.BM25()
        library.index([search_tokens(text) for text in texts], show_progress=False)
        built = time.process_time()
        for query in queries:
            library.retrieve([search_tokens(query)], k=TOP, show_progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = time.process_time()
    return {"build": built - started, "query_ms": (done - built) / len(queries) * 1e3, "memory": (peak - before) / 1024}


def main() -> None:
    """Run each engine in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--engine", choices=("ours", "bm25s"))
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options.engine, options.chunks)))
        return
    for engine in ("ours", "bm25s"):
        command = [sys.executable, __file__, "--engine", engine, "--chunks", str(options.chunks)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{engine:<6} build {found['build']:6.1f} s CPU, {found['query_ms']:6.2f} ms a query, "
              f"{found['memory']:7.0f} MB above the texts")  # fmt: skip


if __name__ == "__main__":
    main()
