"""`raft init` writes a project that runs as it is, and overwrites nothing."""

import re
import tomllib
from pathlib import Path

import pytest

from raft_cli.cli.options import read_table
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.project import render_settings, write_project
from raft_cli.prompts import load_prompts


def test_project_holds_settings_prompts_and_samples(tmp_path: Path) -> None:
    written = write_project(tmp_path / "new")
    assert [path.name for path in written] == ["raft.toml", "prompts", "sample_corpus"]
    assert load_prompts(str(tmp_path / "new" / "prompts")) == load_prompts()
    samples = [path for path in (tmp_path / "new" / "sample_corpus").rglob("*") if path.is_file()]
    assert 8 <= len(samples) <= 12 and not [path for path in samples if path.suffix in (".py", ".pyc")]
    assert tomllib.loads(written[0].read_text()) == {"generate": {}}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    write_project(tmp_path)
    (tmp_path / "raft.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"raft.toml exists already; choose another folder"):
        write_project(tmp_path)
    assert (tmp_path / "raft.toml").read_text() == "mine"
    with pytest.raises(DatasetError, match="cannot write"):
        write_project(tmp_path / "other.txt")


def test_every_setting_stands_at_its_default(tmp_path: Path) -> None:
    lines = render_settings().split("\n")
    settings = [line[2:] for line in lines if re.match(r"# [a-z_]+ = \S", line)]
    path = tmp_path / "raft.toml"
    path.write_text("[generate]\n" + "\n".join(settings), encoding="utf-8")
    table = read_table(path, "generate", GenerateConfig)
    defaults = {name: default for name, default, _ in options_of(GenerateConfig)}
    assert table == {name: default for name, default in defaults.items() if default is not None}
    unset = {line.removeprefix("# ").removesuffix(" = ") for line in lines if re.match(r"# [a-z_]+ = $", line)}
    assert unset == {name for name, default in defaults.items() if default is None}
