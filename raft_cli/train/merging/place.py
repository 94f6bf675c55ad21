"""A folder that appears only when whole: made beside its place, renamed at the end. Knows nothing of what is in it."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from raft_cli.errors import Interrupted, ModelError
from raft_cli.locks import lock_file
from raft_cli.store import PARTIAL

_MARK = ".made-by-raft"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def make_folder(out: Path) -> Iterator[Path]:
    """Give a new folder to fill; it becomes `out` when the block ends well, and goes away when it does not.

    What a killed process left of an earlier attempt is removed first.

    Raises:
        ModelError: `out` holds something, another process fills it now, or it cannot be written.
        Interrupted: Ctrl-C.
    """
    check_free(out)
    part = out.with_name(out.name + PARTIAL)
    try:
        mark = _claim(part)
        try:
            yield part
            if os.name == "nt":
                mark.close()  # Windows removes no open file
            (part / _MARK).unlink()
            if out.is_dir():
                out.rmdir()
            part.rename(out)
        except BaseException:
            if os.name == "nt":
                mark.close()
            shutil.rmtree(part, ignore_errors=True)
            raise
        finally:
            mark.close()
    except OSError as error:
        why = "no space left there" if error.errno in _FULL else error.strerror or error
        raise ModelError(f"{out} was not written, and nothing of it is left: {why}") from error
    except KeyboardInterrupt:
        raise Interrupted("by Ctrl-C; nothing was written, the same command begins anew") from None


def check_free(out: Path) -> None:
    """Check that nothing lies at `out` that would be overwritten.

    Raises:
        ModelError: It is a file, or a folder with something in it.
    """
    if out.exists() and not out.is_dir():
        raise ModelError(f"{out} is a file; choose another -o")
    if out.is_dir() and any(out.iterdir()):
        raise ModelError(f"{out} is not empty, and nothing is ever overwritten; choose another -o, or remove it")


def _claim(part: Path) -> IO[bytes]:
    """Make the temporary folder this process's own, and return the open file that says so."""
    if part.exists() and not (part / _MARK).is_file() and any(part.iterdir()):
        raise ModelError(f"{part} is in the way, and not known to be ours; remove it")
    part.mkdir(parents=True, exist_ok=True)
    mark = (part / _MARK).open("ab")
    if not lock_file(mark.fileno()):
        mark.close()
        raise ModelError(f"another process writes {part} now; wait for it, or choose another -o")
    for left in part.iterdir():
        if left.name != _MARK:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return mark
