"""Where the prompts and the sample corpus lie: in the installed package, or beside it in a checkout."""

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
