"""An answer on its way: what is passed on while it grows, and what it came to. Knows no model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from raft_cli.data import Message
from raft_cli.errors import ModelError

Say = Callable[[str], None]

_UNSETTLED = re.compile(r"[\s\ufffd]+\Z")  # half a character decodes to U+FFFD; some tokenizers drop blanks later


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said to one prompt.

    Attributes:
        finish: `stop`, `length`, or the server's own word; empty when the answer broke off.
        fault: Why it broke off.
    """

    text: str
    finish: str
    fault: str = ""


class TooLong(ModelError):
    """A prompt that leaves no room for an answer."""


class Streaming(Protocol):
    """A model whose answers can be watched.

    Attributes:
        name: As the person gave it.
        notes: What a person should be told.
    """

    name: str

    @property
    def notes(self) -> list[str]: ...  # noqa: D102

    def render(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """Return the prompt as text.

        Raises:
            TooLong: It is known to leave no room for an answer.
        """
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Say) -> Said:
        """Answer greedily; `say` takes the answer piece by piece, never half a character.

        Args:
            max_tokens: Most tokens of the answer; fewer where the context ends before.
            stop: Strings before which the answer ends.

        Raises:
            TooLong: The prompt leaves no room for an answer.
            ModelError: The model cannot be loaded or asked.
            ChatError: The server gave no answer at all; one that broke off has its `fault`.
        """
        ...


class Flow:
    """Passes a growing text on, without the end that may still change: half a character, half a stop string, blanks."""

    def __init__(self, say: Say, stop: Sequence[str] = ()) -> None:
        self._say = say
        self._shown = 0
        self._stops = tuple(stop)

    def show(self, text: str) -> None:
        """Pass on what is settled of the text so far."""
        begun = max((_count_begun(text, stop) for stop in self._stops), default=0)
        self._pass_on(_UNSETTLED.sub("", text[: len(text) - begun]))

    def end(self, text: str) -> None:
        """Pass on the rest of the whole text; a character that was cut in two is left out."""
        self._pass_on(text.rstrip("\ufffd"))

    def _pass_on(self, text: str) -> None:
        if len(text) > self._shown:
            self._say(text[self._shown :])
            self._shown = len(text)


def _count_begun(text: str, stop: str) -> int:
    """Return how many characters of a stop string a text ends with."""
    return next((size for size in range(len(stop), 0, -1) if text.endswith(stop[:size])), 0)
