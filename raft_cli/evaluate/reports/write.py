"""Write a report folder: page, record, examples, summary, gates; the record last, as it marks the report as whole."""

from pathlib import Path

from raft_cli.evaluate.folder import EXAMPLES, JUNIT, PAGE, RESULTS, SUMMARY
from raft_cli.evaluate.reports.junit import render_junit
from raft_cli.evaluate.reports.page import render_page
from raft_cli.evaluate.reports.record import build_record, list_examples, pack_record
from raft_cli.evaluate.reports.summary import render_summary
from raft_cli.evaluate.results import Results
from raft_cli.store import explain_write_error, write_json, write_lines, write_text


def write_report(out: Path, results: Results, names: dict[str, str]) -> None:
    """Write everything that a finished evaluation leaves behind.

    Args:
        names: What it is a report of, by flag.

    Raises:
        DatasetError: The disk is full, or the folder cannot be written; the answers are kept.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / RESULTS).unlink(missing_ok=True)
    except OSError as error:
        raise explain_write_error(out, error) from error
    write_text(out / PAGE, render_page(results))
    write_lines(out / EXAMPLES, list_examples(results))
    write_text(out / SUMMARY, render_summary(results))
    write_text(out / JUNIT, render_junit(results))
    write_json(out / RESULTS, pack_record({"names": names, **build_record(results)}))
