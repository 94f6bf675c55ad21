"""What `raft --help` and the help of each command cost, beside a Python that loads typer alone.

    python benchmarks/startup.py [--repeat 7]

User and system time of whole processes, which take turns; medians.
"""

import argparse
import resource
import statistics
import subprocess
import sys

WAYS = {
    "python -c 'import typer'": ["-c", "import typer"],
    **{
        " ".join(["raft", *command, "--help"]): ["-m", "raft_cli", *command, "--help"]
        for command in ([], ["generate"], ["train"], ["eval"], ["merge"])
    },
}


def measure(arguments: list[str]) -> float:
    """Return the seconds of processor time that a Python takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeat):
        for way, arguments in WAYS.items():
            spent[way].append(measure(arguments))
    least = statistics.median(next(iter(spent.values())))
    for way, seconds in spent.items():
        took = statistics.median(seconds)
        print(f"{way:26}{took:7.3f} s{took / least:7.2f} x  ({min(seconds):.3f} to {max(seconds):.3f})")


if __name__ == "__main__":
    main()
