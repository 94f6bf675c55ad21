"""Put each question among its documents: exact share of oracles, level positions, targets. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.cot import TAG, drop_quotations, render_answer
from raft_cli.data import Answer, Chunk, Example, Question, Reject, Role, make_id
from raft_cli.generate.distract import Distractors
from raft_cli.generate.split import round_half_up
from raft_cli.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Draft:
    """A row to be: its question, and whether the oracle is to stand in it."""

    id: str
    question: Question
    present: bool


@dataclass(frozen=True, slots=True)
class Mixture:
    """How rows are put together.

    Attributes:
        low: Fewest distractors of a row.
        high: Most distractors of a row.
        absent_target: `no-quotes`, `answer` or `refuse`.
        prompts: By language, for what the student says without an oracle.
    """

    low: int
    high: int
    oracle_share: float
    absent_target: str
    both_contexts: bool
    seed: int
    prompts: Mapping[str, Prompts]


def draft_rows(questions: Sequence[Question], mixture: Mixture) -> list[Draft]:
    """Decide for the questions of one split which rows have their oracle: exactly round(share x n), halves upwards.

    The others are those of the lowest hash of seed and id. With `both_contexts` each question gives a row of each kind.
    """
    if mixture.both_contexts:
        return [
            Draft(make_id("row", question.id, present), question, present)
            for question in questions
            for present in (True, False)
        ]
    absent = len(questions) - round_half_up(mixture.oracle_share * len(questions))
    lowest = sorted(questions, key=lambda question: make_id(mixture.seed, "oracle", question.id))[:absent]
    without = {question.id for question in lowest}
    return [
        Draft(make_id("row", question.id, question.id not in without), question, question.id not in without)
        for question in questions
    ]


def mix_rows(
    questions: Sequence[Question],
    *,
    answers: Mapping[str, Answer],
    chunks: Mapping[str, Chunk],
    distractors: Distractors,
    mixture: Mixture,
) -> tuple[list[Example], list[Reject]]:
    """Return the rows of one split in the order of their ids, and the questions that lack safe distractors.

    A question without enough safe distractors is set aside first, so that shares and positions are exact over the rest.
    """
    chosen: dict[str, list[tuple[Chunk, Role]]] = {}
    rejects = []
    for question in questions:
        oracle = [chunks[chunk_id] for chunk_id in question.chunk_ids]
        wanted = _draw_count(question, mixture)
        found = distractors.choose(question, answers[question.id], oracle, wanted, len(oracle))
        if len(found) < wanted + len(oracle):
            detail = f"{len(found)} of {wanted + len(oracle)} passages are free of the answer"
            rejects.append(
                Reject("mix", "too-few-distractors", detail, source=oracle[0].source, chunk_id=oracle[0].id,
                       question_id=question.id, question=question.text)
            )  # fmt: skip
        chosen[question.id] = found
    short = {reject.question_id for reject in rejects}
    drafts = draft_rows([question for question in questions if question.id not in short], mixture)
    places = _place_oracles(drafts, mixture)
    examples = [
        _build(draft, places.get(draft.id, ()), chosen[draft.question.id], answers[draft.question.id], chunks, mixture)
        for draft in drafts
    ]
    return sorted(examples, key=lambda example: example.id), rejects


def _draw_count(question: Question, mixture: Mixture) -> int:
    return random.Random(f"{mixture.seed}:count:{question.id}").randint(mixture.low, mixture.high)


def _place_oracles(drafts: Sequence[Draft], mixture: Mixture) -> dict[str, tuple[int, ...]]:
    """Return positions for the oracles of each row; over rows of equal length their counts differ by at most one."""
    decks: dict[int, Iterator[int]] = {}
    held: dict[int, list[int]] = {}
    places = {}
    for draft in sorted(drafts, key=lambda draft: make_id(mixture.seed, "position", draft.id)):
        if not draft.present:
            continue
        need = len(draft.question.chunk_ids)
        length = _draw_count(draft.question, mixture) + need
        deck = decks.setdefault(length, _deal(length, mixture.seed))
        waiting = held.setdefault(length, [])
        taken: list[int] = []
        while len(taken) < need:
            again = next((place for place in waiting if place not in taken), None)
            if again is not None:
                waiting.remove(again)
            place = next(deck) if again is None else again
            (waiting if place in taken else taken).append(place)
        places[draft.id] = tuple(sorted(taken))
    return places


def _deal(length: int, seed: int) -> Iterator[int]:
    """Yield positions for ever, each once before any comes again, in an order drawn anew each time."""
    turn = 0
    while True:
        yield from random.Random(f"{seed}:positions:{length}:{turn}").sample(range(length), length)
        turn += 1


def _build(
    draft: Draft,
    places: tuple[int, ...],
    found: Sequence[tuple[Chunk, Role]],
    answer: Answer,
    chunks: Mapping[str, Chunk],
    mixture: Mixture,
) -> Example:
    oracle = [(chunks[chunk_id], Role.ORACLE) for chunk_id in draft.question.chunk_ids]
    draw = random.Random(f"{mixture.seed}:order:{draft.id}")
    others = list(found)[: len(found) - len(oracle)] if draft.present else list(found)
    order = draw.sample(others, len(others))
    documents = [order.pop() if at not in places else oracle.pop(0) for at in range(len(order) + len(places))]
    target, final, quoted = _write_target(draft, answer, oracle_language(chunks, draft.question), mixture)
    return Example(
        id=draft.id,
        question=draft.question,
        documents=tuple(chunk for chunk, _ in documents),
        roles=tuple(role for _, role in documents),
        oracle=places,
        target=target,
        quotes=answer.quotes if quoted else (),
        final=final,
    )


def oracle_language(chunks: Mapping[str, Chunk], question: Question) -> str:
    """Return the language of a question: that of its first oracle chunk."""
    return chunks[question.chunk_ids[0]].language


def _write_target(draft: Draft, answer: Answer, language: str, mixture: Mixture) -> tuple[str, str, bool]:
    """Return the target, its final answer, and whether the answer's quotes stand in it."""
    if draft.present or mixture.absent_target == "answer":
        return render_answer(answer.reasoning, answer.final), answer.final, True
    prompts = mixture.prompts.get(language, mixture.prompts["en"])
    if mixture.absent_target == "refuse":
        refusal = prompts.fill_text("refuse").replace("\n", " ")
        return f"{TAG} {refusal}", refusal, False
    reasoning = " ".join([prompts.fill_text("absent"), *drop_quotations(answer.reasoning)])
    return render_answer(reasoning, answer.final), answer.final, False
