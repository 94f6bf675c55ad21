"""A lock on an open file that ends with the process that holds it, on every system. Knows not what it guards."""

import os
from typing import Any


def lock_file(descriptor: int) -> bool:
    """Lock an open file for this process, and return whether that was possible: False when another has it.

    The lock ends when the file is closed. On Windows it covers the first byte, which others can then not read.

    Raises:
        OSError: The disk knows no locks.
    """
    try:
        import fcntl
    except ImportError:
        return _lock_byte(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(descriptor: int) -> bool:
    import msvcrt

    windows: Any = msvcrt  # elsewhere than on Windows the type checker finds it empty
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        windows.locking(descriptor, windows.LK_NBLCK, 1)
    except PermissionError:
        return False
    return True
