"""The RUN folder: whose it is, with which settings, locked while somebody trains in it. Knows no torch."""

import os
from collections.abc import Mapping
from pathlib import Path

from raft_cli.errors import ConfigError, DatasetError
from raft_cli.locks import lock_file
from raft_cli.store import explain_write_error, read_json, write_json

SETTINGS = "settings.json"
MANIFEST = "manifest.json"
_LOCK = ".lock"


def check_run(out: Path) -> None:
    """Make sure that a run may lie there, before the data is read; change nothing.

    Raises:
        DatasetError: It is no folder, holds other things, or another process trains there.
    """
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; choose another -o")
    ours = (out / SETTINGS).exists()
    if out.is_dir() and not ours and any(not path.name.startswith(".") for path in out.iterdir()):
        raise DatasetError(f"{out} is not empty and no run of raft train; choose another -o")
    if (out / _LOCK).exists():
        unlock_run(lock_run(out))


def lock_run(out: Path) -> int:
    """Make the folder if need be and lock it; return the open file, whose end frees the lock.

    Raises:
        DatasetError: It cannot be written, or another process trains there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise explain_write_error(out, error) from error
    try:
        ours = lock_file(lock)
    except OSError as error:
        os.close(lock)
        raise DatasetError(f"{out}: cannot be locked ({error.strerror}); choose an -o on another disk") from error
    if not ours:
        os.close(lock)
        raise DatasetError(f"{out}: another process is training there; wait for it, or choose another -o")
    return lock


def unlock_run(lock: int) -> None:
    """Free a folder; the processes that training started may still hold it."""
    os.close(lock)


def claim_run(out: Path, settings: Mapping[str, object]) -> bool:
    """Write down what this run is, or compare with what it was; return whether there was such a run before.

    Raises:
        ConfigError: The folder holds a run with other settings; nothing there is changed.
    """
    if (out / SETTINGS).exists():
        compare_run(out, settings)
        return True
    write_json(out / SETTINGS, dict(settings))
    return False


def compare_run(out: Path, settings: Mapping[str, object]) -> None:
    """Make sure that a run has these settings.

    Raises:
        ConfigError: It has others; the message names them.
    """
    before = read_json(out / SETTINGS)
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed:
        said = "; ".join(
            f"{_name(name)} was {_show(before.get(name))}, now {_show(settings[name])}" for name in changed
        )
        raise ConfigError(f"{out} holds a run with other settings: {said}. Choose another -o")


def _name(name: str) -> str:
    return name if name in ("data", "base") else f"--{name.replace('_', '-')}"


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {str(item)[:12]}" for key, item in value.items())
    return "not set" if value in (None, "") else str(value)
