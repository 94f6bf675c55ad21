"""`raft init`: a project to edit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", metavar="DIR")],
) -> None:
    """Write a project to edit: raft.toml with every setting, the prompts, and a sample corpus to try."""
    from raft_cli.project import write_project

    written = write_project(folder)
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(f"\nNext: cd {folder} && raft generate sample_corpus -o data --teacher extractive --chunk-size 256")


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    app.command("init", epilog="Example: `raft init my-project`", context_settings=dict(context))(init)
