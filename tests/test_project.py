"""`raft init` writes a project that runs as it is, and overwrites nothing."""

import re
import tomllib
from pathlib import Path

import pytest

from raft_cli.cli.options import read_table
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.project import TABLES, render_settings, write_project
from raft_cli.prompts import load_prompts


def test_project_holds_settings_prompts_and_samples(tmp_path: Path) -> None:
    written = write_project(tmp_path / "new")
    assert [path.name for path in written] == ["raft.toml", "prompts", "sample_corpus"]
    assert load_prompts(str(tmp_path / "new" / "prompts")) == load_prompts()
    samples = [path for path in (tmp_path / "new" / "sample_corpus").rglob("*") if path.is_file()]
    assert 8 <= len(samples) <= 12 and not [path for path in samples if path.suffix in (".py", ".pyc")]
    assert tomllib.loads(written[0].read_text()) == {"generate": {}, "train": {}, "eval": {}}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    write_project(tmp_path)
    (tmp_path / "raft.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"raft.toml exists already; choose another folder"):
        write_project(tmp_path)
    assert (tmp_path / "raft.toml").read_text() == "mine"
    with pytest.raises(DatasetError, match="cannot write"):
        write_project(tmp_path / "other.txt")


def section(command: str) -> list[str]:
    _, _, rest = render_settings().partition(f"\n[{command}]\n")
    return re.split(r"^\[", rest, flags=re.MULTILINE)[0].split("\n")


@pytest.mark.parametrize(("command", "config"), TABLES.items(), ids=TABLES)
def test_every_setting_stands_at_its_default(command: str, config: type, tmp_path: Path) -> None:
    lines = section(command)
    settings = [line[2:] for line in lines if re.match(r"# [a-z_]+ = \S", line)]
    path = tmp_path / "raft.toml"
    path.write_text(f"[{command}]\n" + "\n".join(settings), encoding="utf-8")
    table = read_table(path, command, config)
    defaults = {name: default for name, default, _ in options_of(config)}
    assert table == {name: default for name, default in defaults.items() if default is not None}
    unset = {line.removeprefix("# ").removesuffix(" =") for line in lines if re.match(r"# [a-z_]+ =$", line)}
    assert unset == {name for name, default in defaults.items() if default is None}


@pytest.mark.parametrize(("command", "config"), TABLES.items(), ids=TABLES)
def test_choices_and_ranges_stand_with_their_setting(command: str, config: type) -> None:
    lines = section(command)
    for name, _, known in options_of(config):
        place = next(at for at, line in enumerate(lines) if line.startswith(f"# {name} ="))
        said = lines[place - 1]
        assert said.startswith(f"# {known.help}") and not said.endswith(" ")
        assert [choice for choice in known.choices if choice not in said] == []
        if known.high is not None:
            assert said.endswith(f" From {known.low:g} to {known.high:g}.")


def test_the_file_is_accepted_as_it_is_and_with_a_setting_taken_in(tmp_path: Path) -> None:
    path = write_project(tmp_path / "new")[0]
    for command, config in TABLES.items():
        assert read_table(path, command, config) == {}
    path.write_text(path.read_text(encoding="utf-8").replace('# model = ""', 'model = "tiny"'), encoding="utf-8")
    assert read_table(path, "train", TrainConfig) == {"model": "tiny"}
    assert read_table(path, "generate", GenerateConfig) == {}
