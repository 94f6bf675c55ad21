"""A project folder to start from: settings, prompts, sample corpus."""

import shutil
from pathlib import Path

from raft_cli.config.evaluate import EvalConfig
from raft_cli.config.generate import GenerateConfig
from raft_cli.config.option import Option, options_of
from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError
from raft_cli.resources import find_resource
from raft_cli.store import explain_write_error, write_text

TABLES: dict[str, type] = {"generate": GenerateConfig, "train": TrainConfig, "eval": EvalConfig}


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
    lines = ["# Settings of raft. A flag on the command line goes over this file. Keys never belong here."]
    for command, config in TABLES.items():
        lines += ["", f"[{command}]"]
        panel = ""
        for name, default, known in options_of(config):
            if known.panel != panel:
                panel = known.panel
                lines += ["", f"# {panel}"]
            lines += [f"# {known.help}{_show_limits(known)}", f"# {name} = {_show(default)}".rstrip()]
    return "\n".join(lines) + "\n"


def _show_limits(known: Option) -> str:
    """Return what a value is chosen from, where the help does not say it."""
    if known.choices:
        missing = [choice for choice in known.choices if choice not in known.help]
        return f" One of: {', '.join(known.choices)}." if missing else ""
    if known.high is not None:
        return f" From {known.low or 0:g} to {known.high:g}."
    return f" At least {known.low:g}." if (known.low or 0) > 1 else ""


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str("" if value is None else value)
