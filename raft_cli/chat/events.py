"""What a server sends while it answers: server-sent events, or one reply as a whole. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from raft_cli.chat.fault import classify_status

_DATA, _DONE = b"data:", "[DONE]"
_STOPPED = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}


def read_events(blocks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event; without any event, all that came: a reply that is not streamed.

    Lines end at line feeds alone, since a text may hold U+2028 and its like.
    """
    other: list[bytes] = []
    streamed = False
    for line in _cut_lines(blocks):
        if line.startswith(_DATA):
            streamed = True
            yield line.removeprefix(_DATA).strip().decode(errors="replace")
        else:
            other.append(line)
    whole = b"\n".join(other).strip()
    if whole and not streamed:
        yield whole.decode(errors="replace")


def _cut_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    yield rest


class Transcript:
    """Puts an answer together from its events.

    Attributes:
        finish: `stop`, `length`, or the server's own word; empty as long as it gave none.
    """

    def __init__(self) -> None:
        self.finish = ""
        self._pieces: list[str] = []
        self._fault = self._strange = ""
        self._ended = False

    @property
    def text(self) -> str:
        """The answer so far; half a surrogate pair at its end is U+FFFD until the other half comes."""
        return "".join(self._pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @property
    def complete(self) -> bool:
        """Whether the server has told the end of the answer."""
        return self._ended or bool(self.finish)

    @property
    def fault(self) -> str:
        """Why there is no whole answer, or an empty string."""
        if self._fault or self.complete:
            return self._fault
        return "the server ended before the answer did" if self._pieces else self._strange or "the server said nothing"

    def take(self, event: str) -> None:
        """Add an event."""
        if event == _DONE:
            self._ended = True
            return
        try:
            body = json.loads(event)
        except ValueError:
            self._fault = f"the server sent what is no JSON: {event[:80]!r}"
            return
        choices = body.get("choices") if isinstance(body, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._take_choice(choices[0])
        elif isinstance(body, dict) and body.get("error"):
            self._fault = "the server: " + classify_status(500, {}, event).detail.removeprefix("HTTP 500: ")
        elif choices is None:  # a sign of life, or no reply at all
            self._strange = f"the server sent a reply of unknown form: {event[:80]!r}"

    def _take_choice(self, choice: dict[str, Any]) -> None:
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            self._pieces += [_read_text(said.get("content")), _read_text(said.get("refusal"))]
            self._ended = self._ended or "delta" not in choice
        if reason := choice.get("finish_reason"):
            self.finish = "stop" if reason in _STOPPED else str(reason)


def _read_text(content: object) -> str:
    if isinstance(content, list):
        return "".join(_read_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
