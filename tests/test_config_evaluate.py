"""Settings of evaluation: defaults are valid, ranges hold, flags and the settings file give the same."""

from pathlib import Path
from typing import Any

import pytest

from raft_cli.cli.options import read_table
from raft_cli.config.evaluate import QUICK_QUESTIONS, EvalConfig
from raft_cli.config.option import options_of
from raft_cli.errors import ConfigError


def test_defaults() -> None:
    config = EvalConfig(model="run")
    assert (config.names, config.questions, config.prompt, config.baseline_prompt) == (
        ("quick",),
        QUICK_QUESTIONS,
        "plain",
        "auto",
    )
    assert (config.on_overflow, config.split, config.seed, config.fail_under) == ("error", "test", 42, None)


def test_every_setting_has_help_and_a_panel() -> None:
    for name, _, known in options_of(EvalConfig):
        assert known.help.endswith((".", ")")) and known.panel, name


@pytest.mark.parametrize(
    ("conditions", "limit", "questions"),
    [("quick", None, 200), ("quick,oracle+8", None, 0), ("standard", None, 0), ("full", 50, 50), ("quick", 0, 0)],
)
def test_quick_alone_asks_few_questions(conditions: str, limit: int | None, questions: int) -> None:
    assert EvalConfig(model="m", conditions=conditions, limit=limit).questions == questions


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "--model is missing"),
        ({"model": "m", "baseline": "m"}, "same as --model"),
        ({"model": "m", "prompt": "loud"}, "--prompt loud"),
        ({"model": "m", "judge_labels": "x.csv"}, "give --judge"),
        ({"model": "m", "extra_body": "[1]"}, "JSON object"),
        ({"model": "m", "extra_body": "{"}, "JSON object"),
        ({"model": "m", "concurrency": 0}, "at least 1"),
        ({"model": "m", "limit": -1}, "at least 0"),
        ({"model": "m", "timeout": float("nan")}, "at least 1"),
    ],
)
def test_what_cannot_work_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvalConfig(**settings)


def test_several_gates_stand_in_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "raft.toml"
    path.write_text('[eval]\nfail-under = ["model@oracle.acc>=0.5", "delta@oracle.acc>=0"]\nlimit = 7\n')
    assert read_table(path, "eval", EvalConfig) == {
        "fail_under": ["model@oracle.acc>=0.5", "delta@oracle.acc>=0"],
        "limit": 7,
    }


@pytest.mark.parametrize(
    "line", ['fail_under = "one"', "fail_under = [1]", "limit = 1.5", "partial = 1", "nothing = 1"]
)
def test_the_settings_file_is_checked(tmp_path: Path, line: str) -> None:
    path = tmp_path / "raft.toml"
    path.write_text(f"[eval]\n{line}\n")
    with pytest.raises(ConfigError):
        read_table(path, "eval", EvalConfig)
