"""What a command prints at its end: aligned figures, warnings, where things lie, the next command."""

import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

import orjson
import typer

from raft_cli.config.generate import GenerateConfig
from raft_cli.generate.estimate import Estimate
from raft_cli.generate.figures import build_figures
from raft_cli.generate.outcome import Outcome


def show_outcome(outcome: Outcome, config: GenerateConfig, *, as_json: bool) -> None:
    """Print the summary of a finished run."""
    if as_json:
        record = {**dataclasses.asdict(outcome), "out": str(outcome.out)}
        typer.echo(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode())
        return
    for title, lines in build_figures(outcome, config):
        show_group(title, lines)
    if outcome.rejects:
        show_group("Set aside", [(reason, f"{count:,}") for reason, count in outcome.rejects.items()])
    _show_unread(outcome.unread, where=", see rejected.jsonl")
    for warning in outcome.warnings:
        show_note(warning)
    typer.echo(f"\n{outcome.total_rows:,} rows in {outcome.out}")
    typer.echo(f"  look at them   {outcome.out / 'report.html'}")
    typer.echo(f"  set aside      {outcome.out / 'rejected.jsonl'}")
    typer.echo(f"  next           raft export {outcome.out} --format messages -o train.messages.jsonl")


def show_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Print what a run would do."""
    if as_json:
        typer.echo(orjson.dumps(estimate, option=orjson.OPT_INDENT_2).decode())
        return
    cost = f"${estimate.cost:,.2f}" if estimate.cost is not None else "unknown: give --price-in and --price-out"
    show_group(
        "Dry run (nothing was sent or written)",
        [
            ("Files", f"{estimate.files:,}"),
            ("Documents", f"{estimate.documents:,}"),
            ("Chunks", f"{estimate.chunks:,} ({estimate.chunk_tokens:,} tokens by {estimate.counter})"),
            ("Questions", f"{estimate.questions:,}"),
            ("Requests", f"{estimate.requests:,}, and one more for each reply that fails its check"),
            ("Tokens", f"about {estimate.prompt_tokens:,} in, {estimate.completion_tokens:,} out"),
            ("Cost", f"about {cost}" if estimate.cost is not None else cost),
        ],
    )
    _show_unread([(reject.source, reject.reason) for reject in estimate.rejects if reject.stage == "read"], where="")
    if estimate.journaled:
        typer.echo("The folder holds replies already; those that fit are reused, so less will be asked.")


def show_note(text: str) -> None:
    """Print what a person should be told."""
    typer.echo(typer.style("note: ", fg=typer.colors.YELLOW) + wrap(text, hang=6))


def wrap(text: str, *, hang: int = 0) -> str:
    """Return a text broken between words for a terminal, further lines `hang` columns to the right; else as it is."""
    if not sys.stdout.isatty():
        return text
    width = max(40, shutil.get_terminal_size().columns)
    space = " " * hang
    lines = textwrap.wrap(space + text, width, subsequent_indent=space, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)[hang:]


def show_group(title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print a title and, below it, labels with their values in one column."""
    typer.echo(typer.style(title, bold=True))
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        typer.echo(f"  {label:<{width}}  {value}")


def _show_unread(unread: Iterable[tuple[str, str]], *, where: str) -> None:
    files = list(unread)
    for source, reason in files[:5]:
        typer.echo(typer.style("not read: ", fg=typer.colors.YELLOW) + f"{source} ({reason})")
    if len(files) > 5:
        typer.echo(f"          and {len(files) - 5} more{where}")
