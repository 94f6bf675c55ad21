"""`raft compare`: the models of finished reports side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from raft_cli.evaluate.compare import Comparison


def compare(
    reports: Annotated[
        list[str],
        typer.Argument(
            help="Reports of `raft eval`, each as NAME=REPORT; NAME=REPORT:base is the baseline of that report. "
            "Several reports of one NAME are runs of one recipe with different training seeds.",
            metavar="NAME=REPORT",
        ),
    ],
    condition: Annotated[
        str,
        typer.Option(help="Conditions with documents. Default: oracle+4, or what is nearest to it.", metavar="NAME,…"),
    ] = "",
    against: Annotated[
        str,
        typer.Option(
            help="Model that the others are compared with. Default: the base of the first report, else its model.",
            metavar="NAME",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Markdown file to write as well.", metavar="FILE.md")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare although test rows or passages differ.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the models of finished reports: each without documents and with them, on the questions that all share.

    The baselines of the reports are shown too, each once. A difference is one between two models that were asked the
    same questions with the same documents; its p is McNemar's, adjusted for the number of rows.
    """
    from raft_cli.evaluate.compare import compare_entrants
    from raft_cli.evaluate.entrants import read_entrants
    from raft_cli.evaluate.reports.comparison import write_comparison

    names = [name.strip() for name in condition.split(",") if name.strip()]
    comparison = compare_entrants(read_entrants(reports), conditions=names, against=against, force=force)
    if out:
        write_comparison(out, comparison)
    show_comparison(comparison, out, as_json=as_json)


def show_comparison(comparison: "Comparison", out: Path | None, *, as_json: bool) -> None:
    """Print the comparison in two tables, which fit a terminal of 80 columns."""
    import orjson

    from raft_cli.cli.summary import show_group, show_note
    from raft_cli.cli.tables import show_table
    from raft_cli.evaluate.reports.comparison import (
        HEADERS,
        SPREAD_HEADERS,
        SPREAD_TITLE,
        build_comparison,
        explain,
        name_documents,
        show_spread,
        show_test,
    )
    from raft_cli.evaluate.reports.words import clean_text, show_difference, show_interval
    from raft_cli.evaluate.results import PRIMARY
    from raft_cli.store import dumps

    if as_json:
        typer.echo(dumps(build_comparison(comparison), orjson.OPT_INDENT_2).decode())
        return
    told = [(each.name, f"{each.model}, asked {each.key[1]} ({each.place})") for each in comparison.entrants]
    show_group("Models", [(clean_text(name), clean_text(said)) for name, said in told])
    names = [[clean_text(row.name), name_documents(row)] for row in comparison.rows]
    shown = [[show_interval(row.figures[metric], unit="") for metric in HEADERS] for row in comparison.rows]
    tests = [[show_difference(row.difference), show_test(row)] for row in comparison.rows]
    rows = [[*name, figures[0], *test] for name, figures, test in zip(names, shown, tests, strict=True)]
    show_table("Right answers, %", "llrrl", ("model", "documents", HEADERS[PRIMARY], "Δ, points", "p (Holm)"), rows)
    others = [[*name, *figures[1:]] for name, figures in zip(names, shown, strict=True)]
    show_table("Grounding and overlap, %", "llrrr", ("model", "documents", *list(HEADERS.values())[1:]), others)
    if spreads := [[clean_text(cell) for cell in show_spread(each)] for each in comparison.spreads]:
        show_table(SPREAD_TITLE, "llrrrr", SPREAD_HEADERS, spreads)
    for line in explain(comparison):
        typer.echo(f"  {clean_text(line)}")
    for warning in comparison.warnings:
        show_note(clean_text(warning))
    if out:
        typer.echo(f"\nwritten to {out}")


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    epilog = "Example: `raft compare dsf=reports/dsf raft=reports/raft -o table.md`"
    app.command("compare", epilog=epilog, context_settings=dict(context))(compare)
