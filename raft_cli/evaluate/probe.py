"""How long one answer takes: prompts one after the other, since answers in batches tell nothing of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

from raft_cli.chat.flow import Streaming
from raft_cli.errors import ChatError
from raft_cli.evaluate.asking import Conversation
from raft_cli.evaluate.examine import STOP
from raft_cli.evaluate.reports.words import show_count, show_seconds
from raft_cli.progress import Progress


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds to the first token and to the end of an answer: median and 95th percentile.

    Attributes:
        prompts: How many were asked, besides one to warm up.
    """

    prompts: int
    first: tuple[float, float]
    total: tuple[float, float]


def choose_prompts(prompts: Sequence[Conversation], count: int) -> list[Conversation]:
    """Return at most `count` prompts, evenly spread."""
    stride = max(1, len(prompts) // count)
    return list(prompts[::stride][:count])


def probe_latency(
    stream: Streaming, prompts: Sequence[Conversation], *, max_tokens: int, progress: Progress
) -> Latency:
    """Return how long answers take one at a time; the first prompt is asked once more beforehand, to warm up.

    Raises:
        RaftError: The model cannot be asked, or an answer broke off.
    """
    stream.stream(prompts[0], max_tokens=max_tokens, stop=STOP, say=_hear_nothing)
    times = [
        _time_answer(stream, prompt, max_tokens)
        for prompt in progress.track(prompts, title=f"latency of {stream.name}", total=len(prompts), unit=" answer")
    ]
    first, total = ([each[at] for each in times] for at in (0, 1))
    return Latency(len(prompts), _spread(first), _spread(total))


def _hear_nothing(text: str) -> None:
    del text


def _time_answer(stream: Streaming, prompt: Conversation, max_tokens: int) -> tuple[float, float]:
    started, heard = time.perf_counter(), list[float]()

    def say(text: str) -> None:
        if text and not heard:
            heard.append(time.perf_counter() - started)

    said = stream.stream(prompt, max_tokens=max_tokens, stop=STOP, say=say)
    if said.fault:  # what broke off was quick, and no answer
        raise ChatError(f"{stream.name}: an answer broke off while its time was taken ({said.fault})")
    total = time.perf_counter() - started
    return (heard or [total])[0], total


def _spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Return median and 95th percentile."""
    if len(seconds) == 1:
        return seconds[0], seconds[0]
    marks = quantiles(seconds, n=20, method="inclusive")
    return marks[9], marks[18]


def describe_latency(label: str, latency: Latency) -> Iterator[tuple[str, str]]:
    """Yield lines for people."""
    asked = f"{show_count(latency.prompts, 'prompt')}, one at a time"
    for name, (median, most) in (("First token", latency.first), ("Whole answer", latency.total)):
        yield f"{name} of the {label}", f"after {_show(median)}, 95 % within {_show(most)} ({asked})"


def _show(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds < 1 else show_seconds(seconds)
