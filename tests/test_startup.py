"""Help is quick: it loads no heavy library, and few others."""

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


@pytest.mark.parametrize(("arguments", "most"), [(["--help"], 400), (["generate", "--help"], 520)])
def test_help_loads_little(arguments: list[str], most: int) -> None:
    counted = f"import atexit, sys\natexit.register(lambda: print(len(sys.modules), file=sys.stderr))\n{SHOW_LOADED}"
    said = run_python("-c", counted.format(arguments=arguments, names=[])).stderr.split()
    assert int(said[-1]) < most  # what it costs: benchmarks/startup.py
