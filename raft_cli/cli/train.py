"""`raft train`: dataset to tuned student."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.cli.options import add_options, config_parameter, find_explicit
from raft_cli.config.train import TrainConfig, apply_preset

_EPILOG = (
    "Example: `raft train data/ --model Qwen/Qwen2.5-7B-Instruct -o run/` — the same command again goes on where it "
    "stopped. See what it would do first: `--dry-run`."
)


def train(
    ctx: typer.Context, data: Path, out: Path | None, *, config: str | None, as_json: bool, **settings: Any
) -> None:
    """Tune a model on a RAFT dataset: LoRA by default, loss on the answers only, no row cut.

    DATA is a folder of `raft generate`, or one JSONL file: our rows, gorilla's, messages, or prompt/completion.
    """
    from raft_cli.cli.training import show_plan, show_training
    from raft_cli.progress import Progress
    from raft_cli.train.pipeline import plan_run, train_student

    del config  # read by its callback
    chosen = apply_preset(find_explicit(ctx, settings))
    if chosen.dry_run:
        show_plan(plan_run(data, chosen), as_json=as_json)
    elif out is None:
        raise typer.BadParameter("needed: the folder for the run", param_hint="--out")
    else:
        show_training(train_student(data, out, chosen, Progress(quiet=as_json)), as_json=as_json)


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    data = typer.Argument(help="Dataset folder, or one JSONL file.", metavar="DATA")
    out = typer.Option("--out", "-o", help="Folder of the run; the same folder again goes on.", metavar="RUN")
    as_json = typer.Option("--json", help="Print the summary as JSON.", rich_help_panel="Run")
    named, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    before = [
        inspect.Parameter("ctx", named, annotation=typer.Context),
        inspect.Parameter("data", named, annotation=Annotated[Path, data]),
        inspect.Parameter("out", named, default=None, annotation=Annotated[Path | None, out]),
    ]
    after = [
        config_parameter("train", TrainConfig),
        inspect.Parameter("as_json", keyword, default=False, annotation=Annotated[bool, as_json]),
    ]
    add_options(train, TrainConfig, before=before, after=after)
    app.command("train", epilog=_EPILOG, context_settings=dict(context))(train)
