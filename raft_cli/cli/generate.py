"""`raft generate`: documents to dataset."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.cli.options import add_options, config_parameter
from raft_cli.config.generate import GenerateConfig

_EPILOG = (
    "Example: `raft generate docs/ manual.pdf -o data/ --teacher gpt-4.1-mini --questions 5` — the key comes from "
    "OPENAI_API_KEY or .env. The same command again goes on where it stopped and asks for nothing twice."
)


def generate(corpus: list[str], out: Path, *, config: str | None, as_json: bool, **settings: Any) -> None:
    """Turn documents into a RAFT dataset: questions, quoted answers, distractors, splits.

    CORPUS is any number of folders, files or globs: txt, md, rst, html, pdf, docx, pptx, xlsx, csv, epub, json, jsonl,
    source code.
    """
    from raft_cli.cli.summary import show_estimate, show_outcome
    from raft_cli.generate.pipeline import estimate_dataset, generate_dataset
    from raft_cli.progress import Progress

    del config  # read by its callback
    chosen = GenerateConfig(**settings)
    if chosen.dry_run:
        show_estimate(estimate_dataset(corpus, out, chosen, Progress(quiet=as_json)), as_json=as_json)
    else:
        show_outcome(generate_dataset(corpus, out, chosen, Progress(quiet=as_json)), chosen, as_json=as_json)


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    corpus = typer.Argument(help="Folders, files or globs.", metavar="CORPUS")
    out = typer.Option("--out", "-o", help="Folder of the dataset; the same folder again goes on.", metavar="DIR")
    as_json = typer.Option("--json", help="Print the summary as JSON.", rich_help_panel="Run")
    named = inspect.Parameter.POSITIONAL_OR_KEYWORD
    before = [
        inspect.Parameter("corpus", named, annotation=Annotated[list[str], corpus]),
        inspect.Parameter("out", named, annotation=Annotated[Path, out]),
    ]
    after = [
        config_parameter("generate", GenerateConfig),
        inspect.Parameter(
            "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, as_json]
        ),
    ]
    add_options(generate, GenerateConfig, before=before, after=after)
    app.command("generate", epilog=_EPILOG, context_settings=dict(context))(generate)
