"""`raft eval`: did training help, by how much, and for the right reason."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.cli.options import add_options, config_parameter
from raft_cli.config.evaluate import EvalConfig

_EPILOG = (
    "Example: `raft eval data/ --model run/ --baseline Qwen/Qwen2.5-7B-Instruct -o report/` — the same command again "
    "asks only what is not answered yet. In CI: `--fail-under 'delta@oracle+4.acc>=0'` exits with 4 unless it holds."
)


def evaluate(data: Path, out: Path, *, config: str | None, as_json: bool, **settings: Any) -> None:
    """Examine a model on questions it was not trained on, with and without distractors, beside its base.

    DATA is a folder of `raft generate`, or one JSONL file of rows: ours, gorilla's, or of question, gold_final_answer
    and context.
    """
    from raft_cli.cli.evaluation import show_results
    from raft_cli.evaluate.run import evaluate_models, judge_outcome
    from raft_cli.progress import Progress

    del config  # read by its callback
    results = evaluate_models(data, out, EvalConfig(**settings), Progress(quiet=as_json))
    show_results(results, out, as_json=as_json)
    judge_outcome(results)


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    data = typer.Argument(help="Dataset folder, or one JSONL file.", metavar="DATA")
    out = typer.Option("--out", "-o", help="Folder of the report; the same folder again goes on.", metavar="REPORT")
    as_json = typer.Option("--json", help="Print the results as JSON.", rich_help_panel="Run")
    named, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    before = [
        inspect.Parameter("data", named, annotation=Annotated[Path, data]),
        inspect.Parameter("out", named, annotation=Annotated[Path, out]),
    ]
    after = [
        config_parameter("eval", EvalConfig),
        inspect.Parameter("as_json", keyword, default=False, annotation=Annotated[bool, as_json]),
    ]
    add_options(evaluate, EvalConfig, before=before, after=after)
    app.command("eval", epilog=_EPILOG, context_settings=dict(context))(evaluate)
