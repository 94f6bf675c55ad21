"""The REPORT folder: whose it is, and the journal of its answers. Knows nothing of figures."""

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryFile

from raft_cli.chat.journal import Journal
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.store import PARTIAL, explain_write_error, read_json

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
    if held and not any((out / name).exists() for name in (ANSWERS, RESULTS)) and not _is_half_written(held):
        raise DatasetError(f"{out} is not empty and no report of raft eval; choose another -o")
    if not (out / RESULTS).is_file() or force:
        return
    try:
        record = read_json(out / RESULTS)
    except DatasetError as error:
        raise DatasetError(f"{error}; choose another -o, or give --force to write this one anew") from error
    before = record.get("names") if isinstance(record, dict) else None
    if isinstance(before, dict) and before != names:
        changed = [f"{flag} was {before.get(flag) or 'not set'}" for flag in names if before.get(flag) != names[flag]]
        raise ConfigError(f"{out} holds another report: {'; '.join(changed)}. Choose another -o, or give --force")


def _is_half_written(held: Collection[Path]) -> bool:
    """Tell whether a folder holds but a report that was ended before its last file, its answers kept elsewhere."""
    names = {path.name.removesuffix(PARTIAL) for path in held}
    return PAGE in names and names <= {RESULTS, EXAMPLES, PAGE, SUMMARY, JUNIT}


def open_answers(out: Path, answers: str, *, in_flight: int) -> Journal:
    """Open the journal of the answers, in the folder or where it is shared with others.

    Raises:
        DatasetError: The journal or the folder cannot be written, or another process works with it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):  # the report comes last, when all answers are paid
            pass
    except OSError as error:
        raise explain_write_error(out, error) from error
    return Journal(Path(answers) if answers else out / ANSWERS, in_flight=in_flight)
