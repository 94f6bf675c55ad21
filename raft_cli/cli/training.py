"""What `raft train` prints: the plan of a run, and what came of one."""

import dataclasses
from collections.abc import Sequence

import orjson
import typer

from raft_cli.cli.summary import show_group, show_note
from raft_cli.train.outcome import Outcome
from raft_cli.train.planning.figures import plan_figures
from raft_cli.train.prepare import Prepared
from raft_cli.train.reports.summary import outcome_figures


def show_plan(prepared: Prepared, *, as_json: bool) -> None:
    """Print what a run would do."""
    plan, recipe, notes = prepared.plan, prepared.recipe, (*prepared.notes, *prepared.plan.notes)
    if as_json:
        record = {"plan": dataclasses.asdict(plan), "recipe": dataclasses.asdict(recipe), "notes": notes}
        typer.echo(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode())
        return
    for title, lines in plan_figures(plan, recipe):
        show_group(title, lines)
    _show_notes(notes)


def show_training(outcome: Outcome, *, as_json: bool) -> None:
    """Print what came of a run, and what to do next."""
    if as_json:
        record = {"out": str(outcome.out), "before": outcome.before, **outcome.manifest}
        typer.echo(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode())
        return
    if outcome.before:
        typer.echo(f"{outcome.out} was finished before; nothing was trained.")
    for title, lines in outcome_figures(outcome.manifest):
        show_group(title, lines)
    _show_notes(outcome.notes)
    out, full = outcome.out, outcome.manifest["recipe"]["method"] == "full"
    typer.echo(f"\nThe tuned model lies in {out}")
    typer.echo(f"  curves   {out / 'report.html'}")
    typer.echo(f"  one row  {out / 'example.txt'}")
    typer.echo(f"  serve    {out / 'README.md'} has the commands")
    data, base = outcome.manifest["data"]["path"], outcome.manifest["base"]["name"]
    typer.echo(f"  next     raft eval {data} --model {out} --baseline {base} -o {out}-report")
    if not full:
        typer.echo(f"  then     raft merge {out} -o {out}-merged")


def _show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        show_note(note)
