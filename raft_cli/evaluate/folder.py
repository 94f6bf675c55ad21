"""The REPORT folder: whose it is, and the journal of its answers. Knows nothing of figures."""

from pathlib import Path

from raft_cli.chat.journal import Journal
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.store import read_json

ANSWERS = "answers.sqlite"
RESULTS, EXAMPLES, PAGE, SUMMARY, JUNIT = "results.json", "examples.jsonl", "report.html", "summary.md", "junit.xml"


def name_report(data: str, model: str, baseline: str) -> dict[str, str]:
    """Return what a report is of, by flag; a path is the same path however it was typed."""
    given = {"DATA": data, "--model": model, "--baseline": baseline}
    return {flag: str(Path(name).resolve()) if name and Path(name).exists() else name for flag, name in given.items()}


def check_folder(out: Path, names: dict[str, str], *, force: bool) -> None:
    """Make sure that a report may lie there; change nothing.

    Args:
        names: As `name_report`.

    Raises:
        DatasetError: It is no folder, or holds other things.
        ConfigError: It holds the report of other models or data, and `force` is not given.
    """
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; choose another -o")
    held = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if held and not any((out / name).exists() for name in (ANSWERS, RESULTS)):
        raise DatasetError(f"{out} is not empty and no report of raft eval; choose another -o")
    if not (out / RESULTS).is_file() or force:
        return
    record = read_json(out / RESULTS)
    before = record.get("names") if isinstance(record, dict) else None
    if isinstance(before, dict) and before != names:
        changed = [f"{flag} was {before.get(flag) or 'not set'}" for flag in names if before.get(flag) != names[flag]]
        raise ConfigError(f"{out} holds another report: {'; '.join(changed)}. Choose another -o, or give --force")


def open_answers(out: Path, answers: str, *, in_flight: int) -> Journal:
    """Open the journal of the answers, in the folder or where it is shared with others.

    Raises:
        DatasetError: It cannot be written, or another process works with it.
    """
    return Journal(Path(answers) if answers else out / ANSWERS, in_flight=in_flight)
