"""Ask one model all cases: how, how long its answers may be, what does not fit, what stays unanswered."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.chat.students import Examined
from raft_cli.data import Message, Reply
from raft_cli.errors import Incomplete, Interrupted, ModelError
from raft_cli.evaluate.asking import Asking, Conversation, hash_prompt
from raft_cli.evaluate.records import Case, Item, Response
from raft_cli.evaluate.results import Examinee
from raft_cli.evaluate.score import grade_response
from raft_cli.progress import Progress

STOP = ("</ANSWER>",)
UNANSWERED = {
    "context_length": "the prompt is too long for the server",
    "bad_request": "the server refuses the request",
    "content_filter": "the server's filter held the answer back",
    "refusal": "the server's guard refused",
}
Tried = tuple[tuple[str, float, int], ...]
"""Ways to ask that were tried: name, `acc`, questions; the best first."""

_DEFAULT_LENGTH, _LEAST_LENGTH, _STEP = 512, 64, 32
_SHARE, _ROOM = 0.99, 1.5  # of the reference answers, and room above them


@dataclass(frozen=True, slots=True)
class Asked:
    """One model with what it said.

    Attributes:
        prompts: Hash of each conversation, in the order of the cases.
        responses: In the same order; an answer that is missing has an `error`.
    """

    examinee: Examinee
    prompts: tuple[str, ...]
    responses: tuple[Response, ...]


def choose_length(items: Sequence[Item], count: Callable[[Sequence[str]], Sequence[int]]) -> int:
    """Return the most tokens of an answer: half more than 99 % of the references have, 512 without any."""
    lengths = sorted(count([item.reference for item in items if item.reference]))
    if not lengths:
        return _DEFAULT_LENGTH
    enough = lengths[math.ceil(_SHARE * len(lengths)) - 1] * _ROOM
    return max(_LEAST_LENGTH, math.ceil(enough / _STEP) * _STEP)


def count_by(student: Examined) -> Callable[[Sequence[str]], Sequence[int]] | None:
    """Return what counts the tokens of texts as a model does, a turn's frame included; None for a server."""
    if student.measure([]) is None:
        return None
    return lambda texts: student.measure([(Message("user", text),) for text in texts]) or []


def find_overlong(student: Examined, prompts: Sequence[Conversation], max_tokens: int) -> list[int]:
    """Return the places of prompts that leave no room for an answer, as far as this can be told beforehand."""
    lengths = student.measure(prompts) if student.context else None
    return [at for at, length in enumerate(lengths or ()) if length + max_tokens > student.context]


def choose_way(
    student: Examined,
    asking: Asking,
    ways: Sequence[str],
    items: Mapping[str, Item],
    cases: Sequence[Case],
    *,
    max_tokens: int,
    partial: bool = False,
    progress: Progress,
) -> Tried:
    """Return each way to ask with its `acc` and number of questions, the best first; equal ones in their order.

    Nothing when no question has an answer in every way.

    Args:
        cases: Of other questions than those of the exam. One that does not fit, or has no answer, in some way is left
            out of all.
        partial: As in `ask_all`.
    """
    papers = {way: [asking.render(items[case.item_id], case, way) for case in cases] for way in ways}
    long = {at for prompts in papers.values() for at in find_overlong(student, prompts, max_tokens)}
    kept = [case for at, case in enumerate(cases) if at not in long]
    marked = {}
    for way, prompts in papers.items():
        fitting = [prompt for at, prompt in enumerate(prompts) if at not in long]
        replies = ask_all(student, fitting, max_tokens=max_tokens, partial=partial, progress=progress)
        marked[way] = [_mark(items, case, reply) for case, reply in zip(kept, replies, strict=True)]
    answered = [at for at in range(len(kept)) if all(marks[at] for marks in marked.values())]
    marks = {way: [mark for at in answered if (mark := found[at])] for way, found in marked.items()}
    if not answered:
        return ()
    best = sorted(ways, key=lambda way: _mean(marks[way]), reverse=True)
    return tuple((way, _mean(marks[way])[0], len(marks[way])) for way in best)


def _mark(items: Mapping[str, Item], case: Case, reply: Reply | None) -> tuple[float, float] | None:
    response = to_response(reply)
    if response.error:
        return None
    grade = grade_response(items[case.item_id], case, response)
    return grade.acc, grade.acc_lenient


def _mean(marks: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean marks, the strict one first: of two ways that keep the format equally badly, the knowing one."""
    if not marks:
        return 0.0, 0.0
    return sum(mark[0] for mark in marks) / len(marks), sum(mark[1] for mark in marks) / len(marks)


def ask_all(
    student: Examined, prompts: Sequence[Conversation], *, max_tokens: int, partial: bool, progress: Progress
) -> list[Reply | None]:
    """Return the answers in order; None where the model could give none now.

    Args:
        partial: Whether to do with the answers there are.

    Raises:
        Incomplete: Some are missing; those there are kept in the journal.
        RaftError: The model cannot be asked.
    """
    kept: dict[int, Reply] = {}
    try:
        student.answer(prompts, max_tokens=max_tokens, stop=STOP, keep=kept.__setitem__, progress=progress)
    except Interrupted:
        raise
    except Incomplete as error:
        if not partial:
            raise Incomplete(f"{error}; --partial reports on the answers that are there") from error
        progress.say(f"{error}; reporting on the {len(kept):,} answers of {len(prompts):,} that are there")
    return [kept.get(at) for at in range(len(prompts))]


def to_response(reply: Reply | None) -> Response:
    """Return what is graded; an answer that could not be had says why."""
    if reply is None:
        return Response("", "missing", 0, 0, error="the model gave no answer")
    reason = f"{UNANSWERED[reply.finish]}: {reply.text}"[:500] if reply.finish in UNANSWERED else ""
    return Response(reply.text, reply.finish, reply.prompt_tokens, reply.completion_tokens, error=reason)


def examine(
    student: Examined,
    label: str,
    asking: Asking,
    tried: Tried,
    way: str,
    items: Mapping[str, Item],
    cases: Sequence[Case],
    *,
    max_tokens: int,
    partial: bool,
    progress: Progress,
) -> Asked:
    """Ask a model every case.

    Args:
        tried: What came of trying several ways to ask; empty when `way` was given.

    Raises:
        Incomplete, RaftError: As `ask_all`.
    """
    prompts = [asking.render(items[case.item_id], case, way) for case in cases]
    started = time.monotonic()
    replies = ask_all(student, prompts, max_tokens=max_tokens, partial=partial, progress=progress)
    hashes = tuple(map(hash_prompt, prompts))
    kept = {name: reply.replayed for name, reply in zip(hashes, replies, strict=True) if reply is not None}
    examinee = Examinee(
        label=label,
        name=student.name,
        identity=student.identity,
        prompt=way,
        tried=tried,
        asked=sum(not replayed for replayed in kept.values()),
        replayed=sum(kept.values()),
        seconds=time.monotonic() - started,
        notes=tuple(student.notes),
    )
    return Asked(examinee, hashes, tuple(map(to_response, replies)))


def find_refused_length(asked: Sequence[Asked], cases: Sequence[Case]) -> set[str]:
    """Return the questions of which some prompt was too long for a server that only told so when it was asked."""
    told = UNANSWERED["context_length"]
    return {
        case.item_id
        for each in asked
        for case, response in zip(cases, each.responses, strict=True)
        if response.error.startswith(told)
    }


def explain_overlong(name: str, longest: int, count: int, max_tokens: int, context: int) -> ModelError:
    """Return what to tell a person when prompts do not fit a model."""
    return ModelError(
        f"{name}: {count:,} prompts do not fit; the longest has {longest:,} tokens, which leaves no room for an answer "
        f"of {max_tokens:,} in a context of {context:,}. Nothing is cut: give --on-overflow skip to leave such "
        "questions out for all models, fewer --conditions, or a lower --max-tokens"
    )
