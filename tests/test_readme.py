"""Documents and code say the same. `python tests/test_readme.py` writes the tables of options into them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raft_cli.cli import app, register_commands
from raft_cli.config.evaluate import EvalConfig
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.config.train import PRESETS, TrainConfig

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TABLES = {README: GenerateConfig, ROOT / "docs" / "train.md": TrainConfig, ROOT / "docs" / "eval.md": EvalConfig}
COMMANDS = ("generate", "train", "eval", "ask", "compare", "merge", "init", "export")
OF_NO_CLASS = {"--format", "--out", "--config", "--json", "--version", "--chunk_size", "--learning_rate", "--split",
               "--system", "--tiny-model", "--max-model-len"}  # fmt: skip
_TABLE = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- /options -->)", re.DOTALL)


def render_options(config: type) -> str:
    """Return the table of options of a command."""
    lines = []
    panel = ""
    for name, default, known in options_of(config):
        if known.panel != panel:
            panel = known.panel
            lines += ["", f"**{panel}**", "", "| option | default | |", "|---|---|---|"]
        shown = "" if default in (None, "", False) else f"`{default}`"
        lines.append(f"| `--{name.replace('_', '-')}` | {shown} | {known.help.replace('|', '/')} |")
    return "\n".join(lines) + "\n\n"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_table_of_options_is_that_of_the_code(path: Path) -> None:
    found = _TABLE.search(path.read_text("utf-8"))
    assert found and found.group() == render_options(TABLES[path]), "run: python tests/test_readme.py"


def test_every_command_stands_in_the_readme() -> None:
    register_commands()
    listed = CliRunner().invoke(app, ["--help"]).output
    for command in COMMANDS:
        assert command in listed
        assert f"raft {command}" in README.read_text("utf-8")


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_every_flag_in_the_documents_exists(path: Path) -> None:
    known = {f"--{name.replace('_', '-')}" for config in TABLES.values() for name, _, _ in options_of(config)}
    prose = _TABLE.sub("", path.read_text("utf-8"))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", prose)) <= known | OF_NO_CLASS


def test_presets_in_the_documents_are_those_of_the_code() -> None:
    """The table of hardware names each preset, with the micro-batch that it sets."""
    table = (ROOT / "docs" / "train.md").read_text("utf-8").partition("## Hardware")[2].partition("## Defaults")[0]
    for name, settings in PRESETS.items():
        line = next(line for line in table.splitlines() if f"`{name}`" in line)
        if "micro_tokens" in settings:
            assert f"{settings['micro_tokens']:,}" in line, name


def test_defaults_in_the_documents_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "train.md").read_text("utf-8").partition("## Defaults")[2]
    config = TrainConfig(model="m")
    said = {
        "--method": f"`{config.method}` on all linear layers, rank {config.rank}, alpha {2 * config.rank}",
        "--dropout": f"{config.dropout:g}",
        "--patience": f"{config.patience} evaluations",
        "--schedule": f"{config.schedule} to a tenth, {config.warmup:.0%} warm-up".replace("%", " %"),
    }
    for flag, words in said.items():
        assert f"| `{flag}` | {words} |" in text, flag


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


if __name__ == "__main__":
    for page, settings in TABLES.items():
        written = _TABLE.sub(lambda _, config=settings: render_options(config), page.read_text("utf-8"))
        page.write_text(written, encoding="utf-8")
