"""Latency: single answers, one after the other, told as median and 95th percentile."""

import time
from collections.abc import Callable, Sequence

import pytest

from raft_cli.chat.flow import Said
from raft_cli.data import Message
from raft_cli.errors import ChatError
from raft_cli.evaluate.probe import Latency, choose_prompts, describe_latency, probe_latency
from raft_cli.progress import Progress

PROMPTS = [(Message("user", f"question {number}"),) for number in range(40)]


class Slow:
    """Says something after a while, and is done after another."""

    name, notes = "slow", list[str]()

    def __init__(self, wait: float) -> None:
        self.asked: list[str] = []
        self._wait = wait

    def render(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        return messages[0].content

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Callable[[str], object]
    ) -> Said:
        self.asked.append(messages[0].content)
        time.sleep(self._wait)
        say("")
        say("first")
        time.sleep(2 * self._wait)
        say(" and last")
        return Said("first and last", "stop")


def test_prompts_are_spread_evenly() -> None:
    assert choose_prompts(PROMPTS, 4) == [PROMPTS[0], PROMPTS[10], PROMPTS[20], PROMPTS[30]]
    assert choose_prompts(PROMPTS[:3], 32) == PROMPTS[:3]


def test_first_and_last_are_timed_after_a_warm_up() -> None:
    slow = Slow(0.02)
    found = probe_latency(slow, PROMPTS[:3], max_tokens=9, progress=Progress(quiet=True))
    assert slow.asked == ["question 0", "question 0", "question 1", "question 2"]
    assert found.prompts == 3
    assert 0.02 <= found.first[0] <= found.first[1] < found.total[0] <= found.total[1]
    assert found.total[0] >= 0.06


def test_times_are_told_in_units_that_fit() -> None:
    lines = list(describe_latency("model", Latency(32, (0.0123, 0.5), (2.34, 61))))
    assert lines == [
        ("First token of the model", "after 12 ms, 95 % within 500 ms (32 prompts, one at a time)"),
        ("Whole answer of the model", "after 2.3 s, 95 % within 1 min 01 s (32 prompts, one at a time)"),
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_few_prompts_will_do(count: int) -> None:
    found = probe_latency(Slow(0), PROMPTS[:count], max_tokens=9, progress=Progress(quiet=True))
    assert found.prompts == count and found.first[0] <= found.total[0]


def test_an_answer_that_broke_off_is_not_timed() -> None:
    class Broken(Slow):
        def stream(
            self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Callable[[str], object]
        ) -> Said:
            say("first")
            return Said("first", "", "the connection broke")

    with pytest.raises(ChatError, match=r"broke off .*the connection broke"):
        probe_latency(Broken(0), PROMPTS[:3], max_tokens=9, progress=Progress(quiet=True))
