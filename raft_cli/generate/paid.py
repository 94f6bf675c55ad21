"""The half that costs money: tasks in, checked answers out, streaming and resumable. Knows nothing of rows or splits.

Nothing here looks across tasks: what is asked depends on the replies to that task alone, never on the order of arrival.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from raft_cli.chat.fault import Fault
from raft_cli.chat.journal import Journal
from raft_cli.chat.pace import Halted
from raft_cli.data import Answer, Chat, Question, Reject, Sampling, make_id
from raft_cli.generate.answer import Answered, answer_question
from raft_cli.generate.ask import Asked, ask_questions
from raft_cli.generate.plan import Task
from raft_cli.prompts import Prompts


class _Outcome(Protocol):
    @property
    def replayed(self) -> bool: ...


R = TypeVar("R", bound=_Outcome)


@dataclass(slots=True)
class Harvest:
    """What the paid half has brought in so far.

    Attributes:
        planned: Questions wanted; equals answers + rejects + pending at all times.
        pending: Questions not settled: the run stopped, or the server failed them too often.
        failures: Why questions are pending although the run went on, with counts.
    """

    planned: int
    questions: list[Question] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    tasks_done: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Questions not settled."""
        return self.planned - len(self.answers) - len(self.rejects)


@dataclass(frozen=True, slots=True)
class Paid:
    """What the paid half works with.

    Attributes:
        prompts: By language; languages without prompts of their own use the English ones.
        retry_rejected: Ask anew what the journal says was rejected.
        on_change: Called after each settled question or task.
    """

    chat: Chat
    judge: Chat | None
    prompts: dict[str, Prompts]
    sampling: Sampling
    journal: Journal
    retry_rejected: bool
    on_change: Callable[[Harvest], None]


async def collect(tasks: Iterable[Task], *, planned: int, workers: int, paid: Paid) -> Harvest:
    """Work through `tasks` with at most `workers` of them open at a time; return everything that was settled.

    An answer is asked for as soon as its question is accepted. When the run is told to stop, what is in flight is
    awaited and kept, the rest stays pending.
    """
    harvest = Harvest(planned)
    source = iter(tasks)

    async def work() -> None:
        for task in source:
            try:
                await _settle(task, paid, harvest)
            except Halted:
                return
            except Fault as fault:
                harvest.failures[fault.detail] = harvest.failures.get(fault.detail, 0) + task.size
            harvest.tasks_done += 1
            paid.on_change(harvest)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    except ExceptionGroup as failures:  # one worker's failure ends the others; show it as what it is
        raise failures.exceptions[0] from None
    return harvest


async def _settle(task: Task, paid: Paid, harvest: Harvest) -> None:
    if task.given:
        await _settle_question(task.given, task, paid, harvest)
        return
    prompts = paid.prompts.get(task.chunks[0].language, paid.prompts["en"])

    async def ask(round: int) -> Asked:
        return await ask_questions(
            task.chunks, kinds=task.kinds, chat=paid.chat, prompts=prompts, sampling=paid.sampling, round=round
        )

    asked = await _in_rounds(task.name, ask, paid, lambda outcome: bool(outcome.rejects))
    harvest.rejects += asked.rejects
    results = await asyncio.gather(
        *(_settle_question(question, task, paid, harvest) for question in asked.questions), return_exceptions=True
    )
    for result in results:  # a stop goes before the failure of a single question
        if isinstance(result, BaseException) and not isinstance(result, Fault):
            raise result
    for result in results:
        if isinstance(result, Fault):
            harvest.failures[result.detail] = harvest.failures.get(result.detail, 0) + 1


async def _settle_question(question: Question, task: Task, paid: Paid, harvest: Harvest) -> None:
    prompts = paid.prompts.get(task.chunks[0].language, paid.prompts["en"])

    async def answer(round: int) -> Answered:
        return await answer_question(
            question,
            task.chunks,
            chat=paid.chat,
            judge=paid.judge,
            prompts=prompts,
            sampling=replace(paid.sampling),
            round=round,
        )

    name = make_id("answer", question.text, *(chunk.text for chunk in task.chunks))
    answered = await _in_rounds(name, answer, paid, lambda outcome: outcome.answer is None)
    harvest.questions.append(question)
    if answered.answer:
        harvest.answers[question.id] = answered.answer
    if answered.reject:
        harvest.rejects.append(answered.reject)
    paid.on_change(harvest)


async def _in_rounds(name: str, work: Callable[[int], Awaitable[R]], paid: Paid, failed: Callable[[R], bool]) -> R:
    """Do `work` in its current round; a failure that only the journal remembers gets a new round when asked for."""
    current = paid.journal.round(name)
    outcome = await work(current)
    if paid.retry_rejected and failed(outcome) and outcome.replayed:
        paid.journal.bump(name)
        outcome = await work(current + 1)
    return outcome
