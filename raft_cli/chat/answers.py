"""Answers of students on disk: what is on file is handed over, what is new is committed before anybody sees it."""

import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from raft_cli.chat.journal import Journal
from raft_cli.data import Message, Reply, Sampling
from raft_cli.progress import Progress

_LABEL = 24  # columns

Conversation = tuple[Message, ...]
Keep = Callable[[int, Reply], None]


def sample_greedily(max_tokens: int, stop: Sequence[str], *, extra_body: str = "") -> Sampling:
    """Return how examined models are asked: the likeliest token each time, so that an answer can be had again."""
    more = {**({"stop": list(stop)} if stop else {}), **json.loads(extra_body or "{}")}
    return Sampling(0.0, max_tokens, extra_body=json.dumps(more) if more else "")


class Answers:
    """The answers of one evaluation.

    Attributes:
        replayed: Answers that came from the journal.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.replayed = 0

    def get(self, key: str) -> Reply | None:
        """Return the answer stored under `key`, or None."""
        stored = self.journal.get(key)
        self.replayed += stored is not None
        return stored

    def put(self, key: str, reply: Reply) -> None:
        """Store an answer and commit.

        Raises:
            DatasetError: The disk is full.
        """
        self.journal.put(key, reply, b"")

    def replay(self, keys: Sequence[str], keep: Keep) -> dict[str, list[int]]:
        """Hand over what is on file; return the places of every other key, so that equal prompts are asked once."""
        missing: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            if key in missing:
                missing[key].append(place)
            elif stored := self.get(key):
                keep(place, stored)
            else:
                missing[key] = [place]
        return missing


class Tally:
    """A bar of answers, with tokens a second behind it."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress = progress
        self._started = time.monotonic()
        self._answers = self._tokens = 0
        progress.open(shorten_name(name), total, " answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.close()

    def count(self, reply: Reply) -> None:
        """Count an answer."""
        self._answers += 1
        self._tokens += reply.completion_tokens
        self._progress.show(self._answers, self._note)

    def _note(self) -> str:
        return f"{self._tokens / max(time.monotonic() - self._started, 1e-9):,.0f} tokens/s"


def shorten_name(name: str) -> str:
    """Return a model's name as it fits before a bar: without address, folders and the middle of what is long."""
    short = name.removeprefix("endpoint:").partition("@http")[0].partition(" at http")[0].rstrip("/").rpartition("/")[2]
    return short if len(short) <= _LABEL else f"{short[: _LABEL // 2]}…{short[-_LABEL // 2 + 1 :]}"
