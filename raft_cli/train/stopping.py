"""Requests to stop, from wherever they come: a signal, a file in the run folder, a parent that died."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

STOP_FILE = "stop"
PARENT = "RAFT_PARENT"


class Stopper:
    """Asked after each step whether training shall stop; in several processes all get the same answer."""

    def __init__(self, run: Path, agree: Callable[[bool], bool] | None = None) -> None:
        self._file = run / STOP_FILE
        self._agree = agree
        self._parent = int(os.environ.get(PARENT, "0"))
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopper":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *unused: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """Take note of the first signal; a second Ctrl-C stops at once."""
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._asked and not self._parent:
            say_stopping()
        self._asked = True

    def is_asked(self) -> bool:
        """Tell whether somebody asked for a stop."""
        asked = self._asked or self._file.exists() or (self._parent > 0 and not _lives(self._parent))
        return self._agree(asked) if self._agree else asked


def say_stopping() -> None:
    """Answer the first signal; only this is safe in a signal handler."""
    os.write(2, b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
