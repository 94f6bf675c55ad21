"""`raft merge`: a run's adapter into its base."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def merge(
    run: Annotated[Path, typer.Argument(help="Run folder, as `raft train` wrote it.", metavar="RUN")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the model.", metavar="DIR")],
    base: Annotated[
        str, typer.Option(help="The base model, where it is not found as the run names it.", metavar="PATH_OR_ID")
    ] = "",
    dtype: Annotated[
        str, typer.Option(help="bf16, fp16, fp32, or auto: as the base stores them.", metavar="TYPE")
    ] = "auto",
) -> None:
    """Merge a run's adapter into its base model: one folder for servers and converters that know no adapters.

    After qlora too, it is merged into the weights in 16 bits, never into those in 4. On the CPU, a tensor at a time:
    memory for the largest tensor, disk for the whole model.
    """
    from raft_cli.progress import Progress
    from raft_cli.train.merging.merge import merge_run
    from raft_cli.train.units import show_bytes

    done = merge_run(run, out, base=base, precision=dtype, progress=Progress())
    typer.echo(f"{done.layers:,} layers of {run} merged into {done.base}")
    typer.echo(f"  written   {done.out} ({show_bytes(done.size)}, {', '.join(done.precisions)})")
    for note in done.notes:
        typer.echo(typer.style("  note      ", fg=typer.colors.YELLOW) + note)
    typer.echo(f"  read      {done.out / 'README.md'} (how to serve and convert it)")
    typer.echo(f"  next      vllm serve {done.out}")


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    app.command("merge", epilog="Example: `raft merge run/ -o model/`", context_settings=dict(context))(merge)
