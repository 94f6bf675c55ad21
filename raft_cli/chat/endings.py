"""Where an answer ends, and what it says: end-of-turn tokens, stop strings, the limit. Knows no torch."""

from collections.abc import Collection, Sequence
from typing import Any

from raft_cli.data import Reply
from raft_cli.student import Student

_SLACK = 8  # tokens before a stop string: half a character, tokens without text


class Endings:
    """Reads the tokens that a model says.

    Attributes:
        tokens: Those that end a turn.
    """

    def __init__(self, student: Student, tokens: Collection[int], stops: Sequence[str]) -> None:
        self.tokens = frozenset(tokens)
        self._student = student
        self._stops = tuple(stops)
        self._window = max((len(stop.encode()) for stop in stops), default=0) + _SLACK  # a token is a byte at least

    def is_reached(self, ids: Sequence[int]) -> bool:
        """Tell whether an answer ends with its last token; it did not end before."""
        if ids[-1] in self.tokens:
            return True
        return bool(self._stops) and self._find_stop(self._student.decode(ids[-self._window :])) is not None

    def cut(self, ids: Sequence[int]) -> list[int]:
        """Return an answer up to the token that ends it, when it was not asked at each token."""
        if self._find_stop(self._student.decode(ids)) is None:
            return list(ids)
        return list(next(ids[:end] for end in range(1, len(ids) + 1) if self.is_reached(ids[:end]) or end == len(ids)))

    def read(self, ids: Sequence[int], *, prompt: int) -> Reply:
        """Return a finished answer, without what ended it; all its tokens are counted.

        Args:
            prompt: Tokens of the prompt.
        """
        text = self._student.decode(ids[:-1] if ids[-1] in self.tokens else ids)
        at = self._find_stop(text)
        return Reply(text[:at], "stop" if self.is_reached(ids) else "length", prompt, len(ids))

    def _find_stop(self, text: str) -> int | None:
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(found, default=None)


def find_ends(model: Any, student: Student) -> list[int]:  # noqa: ANN401 - untyped library
    """Return the tokens that end a turn: those the model names, and the one of the template."""
    named = model.generation_config.eos_token_id
    return sorted({student.end_id, *(named if isinstance(named, list) else [] if named is None else [named])})
