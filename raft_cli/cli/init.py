"""`raft init`: a project to edit, a tiny model to try training with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.errors import ConfigError


def init(
    folder: Annotated[Path | None, typer.Argument(help="Project to make.", metavar="DIR", show_default=False)] = None,
    tiny_model: Annotated[
        Path | None,
        typer.Option(help="Also, or only: a tiny model of random weights, to try train and eval.", metavar="DIR"),
    ] = None,
) -> None:
    """Write a project to edit: raft.toml with every setting, the prompts, and a sample corpus to try."""
    if folder is None and tiny_model is None:
        raise ConfigError("name a folder for the project (raft init DIR), or --tiny-model DIR, or both")
    steps = []
    if tiny_model:  # first: it is the one that may lack a package
        steps.append(_write_tiny_model(tiny_model, inside=folder))
    if folder:
        steps.insert(0, _write_project(folder))
    typer.echo("\nNext: " + "\n      ".join(steps))


def _write_project(folder: Path) -> str:
    """Write a project and return the next command."""
    from raft_cli.project import write_project

    for path in write_project(folder):
        typer.echo(f"wrote {path}")
    return f"cd {folder} && raft generate sample_corpus -o data --teacher extractive --chunk-size 256"


def _write_tiny_model(folder: Path, *, inside: Path | None) -> str:
    """Write a tiny model and return the next command, to be given in `inside`."""
    from raft_cli.train.tiny import write_tiny_model

    made = write_tiny_model(folder)
    typer.echo(
        f"wrote {folder} ({made.parameters:,} random weights, {made.vocabulary:,} tokens; of no use for answers)"
    )
    return f"raft train data/ --model {folder.resolve() if inside else folder} -o run/"


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    app.command(
        "init",
        epilog="Example: `raft init my-project`, or `raft init --tiny-model tiny/`",
        context_settings=dict(context),
    )(init)
