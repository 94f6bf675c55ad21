"""A project folder to start from: settings, prompts, sample corpus."""

import shutil
from pathlib import Path

from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.errors import ConfigError
from raft_cli.resources import find_resource
from raft_cli.store import explain_write_error, write_text


def write_project(folder: Path) -> list[Path]:
    """Write a project to `folder` and return what was written.

    Raises:
        ConfigError: Something of that name is there already; nothing is overwritten.
    """
    targets = [folder / "raft.toml", folder / "prompts", folder / "sample_corpus"]
    if taken := [path for path in targets if path.exists()]:
        raise ConfigError(f"{taken[0]} exists already; choose another folder")
    try:
        write_text(targets[0], render_settings())
        for target in targets[1:]:
            shutil.copytree(find_resource(target.name), target, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise explain_write_error(folder, error) from error
    return targets


def render_settings() -> str:
    """Return a raft.toml with every setting of every command, commented out at its default."""
    lines = [
        "# Settings of raft. A flag on the command line goes over this file. Keys never belong here.",
        "",
        "[generate]",
    ]
    panel = ""
    for name, default, known in options_of(GenerateConfig):
        if known.panel != panel:
            panel = known.panel
            lines += ["", f"# {panel}"]
        lines += [f"# {known.help}", f"# {name} = {_show(default)}"]
    return "\n".join(lines) + "\n"


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str("" if value is None else value)
