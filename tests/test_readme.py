"""README and code say the same. `python tests/test_readme.py` writes the table of options into README.md."""

import re
from pathlib import Path

from typer.testing import CliRunner

from raft_cli.cli import app, register_commands
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_TABLE = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- /options -->)", re.DOTALL)


def render_options() -> str:
    """Return the table of options of `raft generate`."""
    lines = []
    panel = ""
    for name, default, known in options_of(GenerateConfig):
        if known.panel != panel:
            panel = known.panel
            lines += ["", f"**{panel}**", "", "| option | default | |", "|---|---|---|"]
        shown = "" if default in (None, "", False) else f"`{default}`"
        lines.append(f"| `--{name.replace('_', '-')}` | {shown} | {known.help.replace('|', '/')} |")
    return "\n".join(lines) + "\n\n"


def test_table_of_options_is_that_of_the_code() -> None:
    found = _TABLE.search(README.read_text("utf-8"))
    assert found and found.group() == render_options(), "run: python tests/test_readme.py"


def test_every_command_stands_in_the_readme() -> None:
    register_commands()
    listed = CliRunner().invoke(app, ["--help"]).output
    for command in ("generate", "init", "export"):
        assert command in listed
        assert f"raft {command}" in README.read_text("utf-8")


def test_every_flag_in_the_readme_exists() -> None:
    known = {f"--{name.replace('_', '-')}" for name, _, _ in options_of(GenerateConfig)}
    known |= {"--format", "--out", "--config", "--json", "--version", "--chunk_size", "--split", "--system"}
    prose = _TABLE.sub("", README.read_text("utf-8"))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", prose)) <= known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text("utf-8")):
        assert (ROOT / target).exists(), target


if __name__ == "__main__":
    README.write_text(_TABLE.sub(lambda _: render_options(), README.read_text("utf-8")), encoding="utf-8")
