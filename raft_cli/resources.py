"""What this installation holds: prompts and sample corpus, in the package or beside it in a checkout; versions."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from raft_cli.errors import RaftError

_PACKAGE = Path(__file__).parent


def find_resource(name: str) -> Path:
    """Return the folder `name` ("prompts" or "sample_corpus") of this installation.

    Raises:
        RaftError: The installation lacks it.
    """
    for parent in (_PACKAGE, _PACKAGE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise RaftError(f"this installation has no {name}/ folder; reinstall raft-cli")


def find_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
