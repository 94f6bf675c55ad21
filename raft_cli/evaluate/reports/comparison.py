"""Models side by side, as Markdown and as JSON. Computes nothing."""

from pathlib import Path

from raft_cli.errors import ConfigError
from raft_cli.evaluate.compare import CLOSED, Comparison, Row
from raft_cli.evaluate.reports.record import to_plain
from raft_cli.evaluate.reports.words import (
    STAR,
    SURE,
    draw_markdown_table,
    escape_markdown,
    explain_condition,
    mark_sure,
    show_count,
    show_difference,
    show_interval,
    show_p,
    show_share,
)
from raft_cli.evaluate.results import PRIMARY
from raft_cli.evaluate.seeds import Spread
from raft_cli.store import write_text

SCHEMA = 1
HEADERS = {PRIMARY: "right", "grounded_acc": "grounded", "f1": "F1", "citation_precision": "citations"}

SPREAD_TITLE = "Runs of one recipe: right answers, %"
SPREAD_HEADERS = ("model", "documents", "runs", "mean", "between runs", "worst to best")
SPREAD_MEANING = "±: standard deviation between runs, in points: what another seed changes"


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the table as a Markdown file.

    Raises:
        ConfigError: The name is that of another kind of file.
        DatasetError: It cannot be written.
    """
    if path.suffix.lower() not in (".md", ".markdown"):
        raise ConfigError(f"-o {path}: the table is written as Markdown, so give a name that ends in .md")
    write_text(path, render_comparison(comparison))


def render_comparison(comparison: Comparison) -> str:
    """Return the table as Markdown, with what it is of."""
    headers = ["model", "documents", *(f"{header}, %" for header in HEADERS.values()), "Δ, points", "p (Holm)"]
    lines = ["# Comparison", "", *(f"- {escape_markdown(line)}" for line in describe(comparison)), ""]
    lines += draw_markdown_table(headers, [_draw_row(row) for row in comparison.rows], left=2)
    if comparison.spreads:
        lines += ["", f"## {SPREAD_TITLE}", ""]
        lines += draw_markdown_table(SPREAD_HEADERS, [_draw_spread(each) for each in comparison.spreads], left=2)
    lines += ["", *(f"{escape_markdown(line)}  " for line in explain(comparison))]
    if comparison.warnings:
        lines += ["", "## Notes", "", *(f"- {escape_markdown(warning)}" for warning in comparison.warnings)]
    return "\n".join(lines) + "\n"


def _draw_row(row: Row) -> list[str]:
    figures = [show_interval(row.figures[metric], unit="") for metric in HEADERS]
    difference = show_difference(row.difference)
    return [escape_markdown(row.name), name_documents(row), *figures, difference, escape_markdown(show_test(row))]


def _draw_spread(spread: Spread) -> list[str]:
    name, *rest = show_spread(spread)
    return [escape_markdown(name), *rest]


def show_spread(spread: Spread) -> list[str]:
    """Write the cells of a row of `SPREAD_HEADERS`."""
    return [
        spread.name,
        name_documents(spread),
        str(spread.runs),
        show_interval(spread.mean, unit=""),
        f"± {show_share(spread.deviation, unit='')}",
        f"{show_share(spread.low, unit='')} to {show_share(spread.high, unit='')}",
    ]


def name_documents(row: Row | Spread) -> str:
    """Say which documents a model of a row had."""
    return "none" if row.condition == CLOSED else row.condition


def show_test(row: Row) -> str:
    """Write the adjusted p of a row, with its star."""
    return show_p(row.adjusted) + mark_sure(row.adjusted)


def describe(comparison: Comparison) -> list[str]:
    """Say which models are compared and where their figures come from."""
    return [f"{each.name}: {each.model}, asked {each.key[1]} ({each.place})" for each in comparison.entrants]


def explain(comparison: Comparison) -> list[str]:
    """Say what the figures of the table are."""
    documented = [name for name in comparison.conditions if name != CLOSED]
    tests = sum(row.adjusted is not None for row in comparison.rows)
    told = [f"{name}: {explain_condition(name)}" for name in documented]
    runs = [SPREAD_MEANING] if comparison.spreads else []
    return [
        f"{show_count(comparison.questions, 'question')} that all reports share; in brackets 95 % intervals",
        *told[:-1],
        *(f"{line} (others with --condition)" for line in told[-1:]),
        f"Δ: right answers less those of {comparison.against}, same documents (another with --against)",
        f"{STAR} p below {SURE:g} by McNemar's test, adjusted for {show_count(tests, 'test')} (Holm)",
        *runs,
    ]


def build_comparison(comparison: Comparison) -> dict[str, object]:
    """Return what `--json` prints."""
    first = comparison.entrants[0].stored
    models = {
        each.name: {"name": each.model, "identity": each.key[0], "prompt": each.key[1], "report": each.place}
        for each in comparison.entrants
    }
    record = {
        "schema": SCHEMA,
        "hashes": {"data": first.data, "corpus": first.corpus},
        "questions": comparison.questions,
        "conditions": comparison.conditions,
        "against": comparison.against,
        "models": models,
        "rows": comparison.rows,
        "spreads": comparison.spreads,
        "warnings": comparison.warnings,
    }
    return {name: to_plain(value) for name, value in record.items()}
