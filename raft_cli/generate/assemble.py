"""The free half: accepted answers in, rows out; deduplicate, split, mix, check. Pure, and repeated at will."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raft_cli.config.generate import GenerateConfig
from raft_cli.data import Answer, Chunk, Example, Question, Reject
from raft_cli.generate.carve import carve_splits
from raft_cli.generate.deduplicate import find_alike
from raft_cli.generate.distract import Distractors, Guarded
from raft_cli.generate.formats import Row, build_row, check_row
from raft_cli.generate.mix import Mixture, mix_rows
from raft_cli.generate.split import SPLITS, split_questions
from raft_cli.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the free half made.

    Attributes:
        questions: Those with at least one row.
        rejects: Those of the free half alone.
        short_hard: Rows with fewer hard distractors than asked for; random ones stand in.
    """

    splits: dict[str, list[Example]]
    questions: list[Question]
    rejects: list[Reject]
    guarded: Guarded
    short_hard: int


def assemble(
    questions: Sequence[Question],
    answers: Mapping[str, Answer],
    chunks: Mapping[str, Chunk],
    config: GenerateConfig,
    prompts: Mapping[str, Prompts],
    *,
    mark: Callable[[str], None],
) -> Assembly:
    """Make the rows of every split from the questions that were answered; `mark` is told when a step is done."""
    likeness = find_alike(questions)
    kept = [question for question in questions if question.id not in likeness.repeats]
    repeated = [question for question in questions if question.id in likeness.repeats]
    rejects = [
        _reject(question, "deduplicate", "near-duplicate-question", likeness.repeats, chunks) for question in repeated
    ]
    mark("comparing questions")
    sides = split_questions(
        kept,
        chunks=chunks,
        close=likeness.close,
        by=config.split_by,
        test_share=config.test_share,
        validation_share=config.validation_share,
        seed=config.seed,
    )
    if config.split_by == "question":
        shares = {"test": config.test_share, "validation": config.validation_share}
        sides, dropped = carve_splits(sides, likeness.close, shares=shares, seed=config.seed)
        between = [question for question in kept if question.id in dropped]
        rejects += [_reject(question, "split", "close-to-held-out", dropped, chunks) for question in between]
    distractors = Distractors(list(chunks.values()), source=config.distractor_source, seed=config.seed)
    low, high = config.distractor_range
    mixture = Mixture(low, high, config.oracle_share, config.absent_target, config.both_contexts, config.seed, prompts)
    splits: dict[str, list[Example]] = {}
    for name in SPLITS:
        splits[name], short = mix_rows(
            sides[name], answers=answers, chunks=chunks, distractors=distractors, mixture=mixture
        )
        rejects += short
    mark("choosing distractors")
    written = {example.question.id for examples in splits.values() for example in examples}
    return Assembly(
        splits,
        [question for question in kept if question.id in written],
        sorted(rejects, key=lambda reject: (reject.stage, reject.question_id)),
        distractors.guarded,
        _count_short(splits, config),
    )


def make_row(example: Example, chunks: Mapping[str, Chunk]) -> Row:
    """Return the checked native row of an example.

    Raises:
        AssertionError: The row breaks a promise of the format: a fault of ours, never of the input.
    """
    oracles = [chunks[chunk_id] for chunk_id in example.question.chunk_ids]
    row = build_row(example, "\n\n".join(chunk.text for chunk in oracles), oracles[0].language)
    if fault := check_row(row, example):
        raise AssertionError(f"row {example.id}: {fault}")
    return row


def count_reasons(rejects: Sequence[Reject]) -> dict[str, int]:
    """Count rejects by reason, the most frequent first."""
    counted = Counter(reject.reason for reject in rejects)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _reject(
    question: Question, stage: str, reason: str, others: Mapping[str, str], chunks: Mapping[str, Chunk]
) -> Reject:
    chunk = chunks[question.chunk_ids[0]]
    return Reject(
        stage,
        reason,
        f"resembles question {others[question.id]}",
        source=chunk.source,
        chunk_id=chunk.id,
        question_id=question.id,
        question=question.text,
    )


def _count_short(splits: Mapping[str, Sequence[Example]], config: GenerateConfig) -> int:
    if config.distractor_source == "random":
        return 0
    short = 0
    for example in (example for examples in splits.values() for example in examples):
        roles = Counter(role.value for role in example.roles)
        wanted = roles["hard"] + roles["random"]
        wanted = wanted if config.distractor_source == "lexical" else wanted // 2
        short += roles["hard"] < wanted
    return short
