"""The built wheel alone, without torch: `make .venv-wheel/ready` installs it where these tests look."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from check_dataset import check
from teacher import Teacher

ROOT = Path(__file__).parent.parent
FOLDER = Path(os.environ.get("RAFT_WHEEL_VENV", ROOT / ".venv-wheel")).resolve()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "bin" / "raft").exists(), reason="no .venv-wheel: `make .venv-wheel/ready` builds it"
    ),
]


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the wheel's environment in the current folder, with nothing of the checkout in sight."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
    return subprocess.run(
        [FOLDER / "bin" / name, *arguments],
        env={**kept, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def raft(*arguments: str, **environment: str) -> str:
    done = run("raft", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(code: str) -> str:
    done = run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_the_wheel_and_torch_is_not_there() -> None:
    assert Path(python("import raft_cli; print(raft_cli.__file__)")).is_relative_to(FOLDER)
    for name in ("torch", "transformers", "datasets"):
        assert run("python", "-c", f"import {name}").returncode == 1
    assert (
        raft("--version") == run("raft-cli", "--version").stdout == run("python", "-m", "raft_cli", "--version").stdout
    )


def test_every_prompt_and_sample_is_in_it() -> None:
    installed = Path(python("import raft_cli; print(raft_cli.__file__)")).parent
    for name in ("prompts", "sample_corpus"):
        here = {path.relative_to(ROOT / name): path.read_bytes() for path in (ROOT / name).rglob("*.*")}
        there = {path.relative_to(installed / name): path.read_bytes() for path in (installed / name).rglob("*.*")}
        assert here and there == here
    modules = {path.relative_to(ROOT / "raft_cli") for path in (ROOT / "raft_cli").rglob("*.py")}
    modules |= {path.relative_to(ROOT / "raft_cli") for path in (ROOT / "raft_cli").rglob("*.j2")}
    modules |= {path.relative_to(ROOT / "raft_cli") for path in (ROOT / "raft_cli").rglob("*.js")}
    assert {module for module in modules if not (installed / module).is_file()} == set()


def test_init_then_generate(tmp_path: Path) -> None:
    assert "wrote new/raft.toml" in raft("init", "new")
    said = raft(
        "generate", "new/sample_corpus", "-o", "data", "--teacher", "extractive", "--chunk-size", "256", "--json"
    )
    assert json.loads(said)["pending"] == 0 and check(tmp_path / "data") == []
    raft("export", "data", "-o", "train.jsonl")
    missing = run("raft", "export", "data", "-o", "train.parquet")
    assert missing.returncode == 1 and "pip install 'raft-cli[datasets]'" in missing.stderr


def test_generate_with_an_endpoint(tmp_path: Path, teacher: Callable[..., Teacher]) -> None:
    raft("init", ".")
    started = teacher()
    said = raft(
        "generate", "sample_corpus/zh", "-o", "data", "--teacher", "gpt-4.1-mini", "--base-url", started.url,
        "--chunk-size", "128", "--questions", "1", "--json", OPENAI_API_KEY="none",
    )  # fmt: skip
    assert started.stats().replies > 20
    assert json.loads(said)["pending"] == 0 and check(tmp_path / "data") == []


def test_a_local_model_says_what_to_install(tmp_path: Path) -> None:
    raft("init", ".")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    done = run("raft", "generate", "sample_corpus", "-o", "data", "--teacher", "local:model", "--chunk-size", "256")
    assert done.returncode == 1 and "pip install 'raft-cli[train]'" in done.stderr, done.stderr
