"""The output folder of a run: whose it is, with which settings, and its journal. Knows nothing of rows."""

import contextlib
import json
from pathlib import Path

from raft_cli.chat.journal import Journal
from raft_cli.errors import ConfigError, DatasetError

JOURNAL = "journal.sqlite"
MANIFEST = "manifest.json"
_NOTE = "settings"


def open_folder(out: Path, settings: dict[str, object], *, update: bool, in_flight: int) -> Journal:
    """Open the journal of `out`, making the folder when it is new.

    Args:
        settings: What decides on the requests; must equal those of the folder unless `update` or nothing was paid.
        in_flight: Most requests that will be in flight, for the space held back on disk.

    Raises:
        DatasetError: The folder holds other things than a dataset of ours, or another process works in it.
        ConfigError: A setting differs and `update` is not given.
    """
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; choose another -o")
    if out.is_dir() and not (out / JOURNAL).exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise DatasetError(f"{out} is not empty and no dataset of raft; choose another -o")
    journal = Journal(out / JOURNAL, in_flight=in_flight)
    try:
        before = journal.note(_NOTE)
        paid = before and journal.totals()[0]
        if paid and not update and (changes := _compare(json.loads(before), settings)):
            raise ConfigError(
                f"{out} was made with other settings: {'; '.join(changes)}. Choose another -o, or give --update to go "
                "on here (replies that still fit are reused, the others are asked anew)"
            )
    except BaseException:
        journal.close()
        raise
    return journal


def claim_folder(journal: Journal, settings: dict[str, object]) -> None:
    """Write down the settings of the requests that follow, so that another run cannot mix in others."""
    journal.note(_NOTE, json.dumps(settings))


def leave_folder(out: Path, journal: Journal) -> None:
    """Close the journal; take it away, and the folder if it is empty then, when nothing was ever asked here."""
    unused = not journal.note(_NOTE)
    journal.close()
    if unused:
        (out / JOURNAL).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            out.rmdir()


def _compare(before: dict[str, object], now: dict[str, object]) -> list[str]:
    changed = [name for name in now if before.get(name) != now[name]]
    return [f"--{name.replace('_', '-')} was {_show(before.get(name))}, now {_show(now[name])}" for name in changed]


def _show(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text not in ("", "None") else "not set"
