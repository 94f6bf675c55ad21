"""`raft export`: a dataset in the format of another trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.config.generate import FORMATS


def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, or one JSONL file of RAFT rows.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .jsonl or .parquet.", metavar="FILE")],
    format: Annotated[str, typer.Option(help=f"native or {', '.join(FORMATS)}.", metavar="FORMAT")] = "messages",
    split: Annotated[str, typer.Option(help="train, validation, test or all.", metavar="SPLIT")] = "train",
    system: Annotated[str, typer.Option(help="System prompt to put first.", metavar="TEXT")] = "",
) -> None:
    """Write a dataset in another format.

    messages (chat turns; chat is the same), prompt-completion (TRL), completion (with gorilla's <STOP>), sharegpt,
    alpaca (LLaMA-Factory), eval (gorilla's evaluation rows), native.
    """
    from raft_cli.generate.export import export_dataset

    count = export_dataset(dataset, out, format=format, split=split, system=system)
    typer.echo(f"{count:,} rows written to {out}")


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    epilog = "Example: `raft export data/ --format messages -o train.jsonl`"
    app.command("export", epilog=epilog, context_settings=dict(context))(export)
