"""Help is quick: it loads no heavy library and costs a fraction of a second."""

import resource
import subprocess
import sys

import pytest

HEAVY = "torch transformers trl peft datasets openai tiktoken aiohttp numpy rapidfuzz jinja2 pypdfium2".split()
HELP = [["--help"], ["generate", "--help"], ["init", "--help"], ["export", "--help"], ["merge", "--help"]]
SHOW_LOADED = """
import sys
from raft_cli.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(*[name for name in {names!r} if name in sys.modules], file=sys.stderr)
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, encoding="utf-8", check=True)


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    names = [*HEAVY, "typer"]
    assert run_python("-c", SHOW_LOADED.format(arguments=arguments, names=names)).stderr.split() == ["typer"]


@pytest.mark.parametrize("arguments", HELP[:2], ids=" ".join)
def test_help_costs_little(arguments: list[str]) -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Usage: " in run_python("-m", "raft_cli", *arguments).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(spent) < 0.3, f"{spent} seconds of processor time"
