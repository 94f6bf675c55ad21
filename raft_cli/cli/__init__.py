"""The command line: flags in, one call, one summary out; the one place where errors are shown."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from raft_cli import __version__
from raft_cli.errors import Interrupted, RaftError

_NORMALISED = {"token_normalize_func": lambda name: name.replace("_", "-"), "help_option_names": ["-h", "--help"]}


class RaftGroup(TyperGroup):
    """Shows a `RaftError` as one message on stderr and exits with its code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as the parent
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RaftError as error:
            _show_error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            stopped = Interrupted("by Ctrl-C; what was finished is kept, run the same command to go on")
            _show_error(stopped)
            raise typer.Exit(stopped.exit_code) from None


app = typer.Typer(
    name="raft",
    cls=RaftGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings=_NORMALISED,
    help="Retrieval Augmented Fine-Tuning: from your documents to a dataset for a model that reads them.",
    epilog="Try it without any model: `raft init demo && raft generate demo/sample_corpus -o demo/data "
    "--teacher extractive --chunk-size 256`",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"raft-cli {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version


def _show_error(error: RaftError) -> None:
    lines = str(error).split("\n")
    name = "stopped" if error.exit_code in (3, 130) else "error"
    colour = typer.colors.YELLOW if name == "stopped" else typer.colors.RED
    typer.echo(typer.style(f"{name}: ", fg=colour, bold=True) + "\n  ".join(lines), err=True)


def register_commands() -> None:
    """Add the commands to the application."""
    from raft_cli.cli import ask, compare, eval, export, generate, init, merge, train

    for module in (generate, train, eval, compare, ask, init, export, merge):
        module.register(app, _NORMALISED)


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before anything can import what reads it
    register_commands()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    app()
