import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clock import run_fast

from raft_cli.chat.endpoint import Received
from raft_cli.chat.fault import Fault, Kind
from raft_cli.chat.journal import Journal
from raft_cli.chat.pace import Halted, Pace
from raft_cli.chat.session import Caps, Session, Usage
from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import ChatError, DatasetError, Incomplete

PLAIN = Sampling(max_tokens=100)


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


class FakeModel:
    """Says what stands in its queue, then `Yes.` for ever; remembers what it was asked."""

    identity = "fake"

    def __init__(self, *queue: Reply | Exception) -> None:
        self.queue = deque(queue)
        self.history: list[tuple[tuple[Message, ...], Sampling]] = []

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        self.history.append((messages, sampling))
        await asyncio.sleep(0.1)
        said = self.queue.popleft() if self.queue else Reply("Yes.", "stop", 10, 5)
        if isinstance(said, Exception):
            raise said
        return Received(said, b"raw")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def open_session(journal: Journal, model: FakeModel, caps: Caps | None = None, *, slots: int = 4) -> Session:
    return Session(model, journal=journal, pace=Pace(concurrency=slots), caps=caps or Caps(), usage=Usage())


def ask_all(session: Session, texts: list[str]) -> list[Reply | BaseException]:
    async def work() -> list[Reply | BaseException]:
        return await asyncio.gather(*(session.complete(ask(text), PLAIN) for text in texts), return_exceptions=True)

    return run_fast(work())


def stopped_by(session: Session) -> object:
    assert session.pace is not None
    return session.pace.stopped_by


def test_a_reply_is_bought_once(journal: Journal) -> None:
    model = FakeModel()
    first, second = open_session(journal, model), open_session(journal, model)
    (bought,), (replayed,) = ask_all(first, ["a"]), ask_all(second, ["a"])
    assert isinstance(bought, Reply) and replayed == replace(bought, replayed=True)
    assert len(model.history) == 1
    assert (first.usage.requests, first.usage.replies, first.usage.replayed) == (1, 1, 0)
    assert (second.usage.requests, second.usage.replies, second.usage.replayed) == (0, 0, 1)


def test_what_is_rejected_later_is_kept_all_the_same(journal: Journal) -> None:
    for finish in ("length", "refusal", "content_filter", "empty"):
        model = FakeModel(Reply("", finish, 1, 1))
        ask_all(open_session(journal, model), [finish])
        (reply,) = ask_all(open_session(journal, model), [finish])
        assert isinstance(reply, Reply) and reply.replayed and reply.finish == finish and len(model.history) == 1


def test_the_key_is_the_request_and_who_is_asked(journal: Journal) -> None:
    session = open_session(journal, FakeModel())
    key = session.key(ask("a"), PLAIN)
    assert key == session.key(ask("a"), replace(PLAIN, priority=7))
    changes = {"temperature": 0.1, "max_tokens": 99, "schema": "questions", "extra_body": "{}", "attempt": 1}
    others = [replace(PLAIN, **{name: value}) for name, value in changes.items()]
    keys = {key, session.key(ask("b"), PLAIN), *(session.key(ask("a"), other) for other in others)}
    keys |= {session.key((Message("system", "a"),), PLAIN), session.key((*ask("a"), *ask("b")), PLAIN)}
    model = FakeModel()
    model.identity = "another"
    keys |= {open_session(journal, model).key(ask("a"), PLAIN)}
    assert len(keys) == 10


@pytest.mark.parametrize(
    ("kind", "finish"),
    [(Kind.FILTER, "content_filter"), (Kind.CONTEXT, "context_length"), (Kind.BAD_REQUEST, "bad_request")],
)
def test_what_can_never_be_had_is_a_reply_too(journal: Journal, kind: Kind, finish: str) -> None:
    model = FakeModel(Reply("Yes.", "stop", 1, 1), Fault(kind, "HTTP 400: no"))
    ask_all(open_session(journal, model), ["a server that answers"])
    for _ in range(2):
        (reply,) = ask_all(open_session(journal, model), ["a"])
        assert isinstance(reply, Reply) and (reply.finish, reply.text) == (finish, "HTTP 400: no")
    assert len(model.history) == 2


def test_refusals_of_a_server_that_answers_nothing_are_asked_again_later(journal: Journal) -> None:
    session = open_session(journal, FakeModel(*[Fault(Kind.BAD_REQUEST, "HTTP 400: odd")] * 9), slots=9)
    ask_all(session, [str(number) for number in range(9)])
    assert isinstance(stopped_by(session), Incomplete) and journal.totals()[0] == 0
    mended = open_session(journal, FakeModel())
    assert all(isinstance(reply, Reply) for reply in ask_all(mended, [str(number) for number in range(9)]))


def test_refusals_in_a_row_after_good_replies_are_taken_back(journal: Journal) -> None:
    queue = [Reply("Yes.", "stop", 1, 1), *[Fault(Kind.BAD_REQUEST, "odd")] * 9]
    session = open_session(journal, FakeModel(*queue), slots=1)
    ask_all(session, [str(number) for number in range(10)])
    assert isinstance(stopped_by(session), Incomplete) and journal.totals()[0] == 1


def test_what_failed_too_often_is_not_kept(journal: Journal) -> None:
    model = FakeModel(*[Fault(Kind.TRANSIENT, "HTTP 500")] * 5)
    (fault,) = ask_all(open_session(journal, model), ["a"])
    assert isinstance(fault, Fault) and journal.totals()[0] == 0
    (reply,) = ask_all(open_session(journal, model), ["a"])
    assert isinstance(reply, Reply) and not reply.replayed


def test_a_server_that_refuses_everything_stops_the_run(journal: Journal) -> None:
    session = open_session(journal, FakeModel(*[Fault(Kind.BAD_REQUEST, "HTTP 400: odd")] * 30))
    ask_all(session, [str(number) for number in range(30)])
    assert isinstance(stopped_by(session), Incomplete) and "odd" in str(stopped_by(session))
    assert session.usage.requests < 10


def test_bad_requests_among_good_ones_stop_nothing(journal: Journal) -> None:
    queue = [Fault(Kind.BAD_REQUEST, "odd") if number % 2 else Reply("Yes.", "stop", 1, 1) for number in range(40)]
    session = open_session(journal, FakeModel(*queue))
    ask_all(session, [str(number) for number in range(40)])
    assert stopped_by(session) is None and session.usage.requests == 40


def test_the_cap_on_requests_is_never_passed(journal: Journal) -> None:
    model = FakeModel(Fault(Kind.TRANSIENT, "HTTP 500"))
    session = open_session(journal, model, Caps(requests=7))
    outcomes = ask_all(session, [str(number) for number in range(20)])
    assert len(model.history) == session.usage.requests == 7
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 6
    assert sum(isinstance(outcome, Halted) for outcome in outcomes) == 14
    assert "--max-requests 7 reached" in str(stopped_by(session))


def test_the_cap_on_cost_is_never_passed_even_by_what_is_in_flight(journal: Journal) -> None:
    model = FakeModel(*[Reply("Yes.", "stop", 10, 100)] * 50)  # 100 tokens each is the most that was asked for
    session = open_session(journal, model, Caps(cost=0.00105, prices=(0.0, 1.0)), slots=32)
    ask_all(session, [str(number) for number in range(50)])
    assert session.usage.cost == pytest.approx(0.001) and len(model.history) == 10
    assert "--max-cost" in str(stopped_by(session)) and "0.0010 dollars spent" in str(stopped_by(session))


def test_what_is_only_reserved_is_waited_for(journal: Journal) -> None:
    """Requests that may cost 100 tokens each cost 5: twenty of those are worth one of these."""
    model = FakeModel()
    session = open_session(journal, model, Caps(cost=0.00025, prices=(0.0, 1.0)), slots=32)
    outcomes = ask_all(session, [str(number) for number in range(20)])
    assert all(isinstance(outcome, Reply) for outcome in outcomes) and stopped_by(session) is None
    assert session.usage.cost == pytest.approx(0.0001) and session.usage.reserved == pytest.approx(0)


def test_prices_are_per_million() -> None:
    assert Caps(prices=(2.0, 8.0)).price(500_000, 250_000) == 3.0 and Caps().price(10**9, 10**9) == 0


def test_usage_adds_up(journal: Journal) -> None:
    model = FakeModel(
        Reply("a", "stop", 10, 1, estimated=True), Fault(Kind.RATE_LIMIT, "429"), Reply("b", "stop", 5, 2)
    )
    session = open_session(journal, model, Caps(prices=(1.0, 10.0)), slots=1)
    ask_all(session, ["a", "b"])
    usage = session.usage
    assert (usage.requests, usage.replies, usage.prompt_tokens, usage.completion_tokens) == (3, 2, 15, 3)
    assert usage.estimated == 1 and usage.cost == pytest.approx(45e-6)


def test_an_error_for_people_stops_everybody_and_keeps_what_is_in_flight(journal: Journal) -> None:
    session = open_session(journal, FakeModel(ChatError("the template cannot")))
    outcomes = [type(outcome) for outcome in ask_all(session, list("abcdef"))]
    assert isinstance(stopped_by(session), ChatError)
    assert sorted(map(str, outcomes[:4])) == sorted(map(str, [Halted, Reply, Reply, Reply]))
    assert outcomes[4:] == [Halted, Halted] and journal.totals()[0] == 3


def test_a_full_disk_stops_the_run(journal: Journal) -> None:
    journal._database.execute("PRAGMA max_page_count=12")
    session = open_session(journal, FakeModel(*[Reply("x" * 4000, "stop", 1, 1)] * 40), slots=2)
    outcomes = ask_all(session, [str(number) for number in range(40)])
    kept = sum(isinstance(outcome, Reply) for outcome in outcomes)
    assert isinstance(stopped_by(session), DatasetError) and kept == journal.totals()[0]
    assert session.usage.requests <= kept + 4
