"""Put questions into train, validation and test, related ones on the same side. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from raft_cli.data import Chunk, Question, make_id

SPLITS = ("train", "validation", "test")


def split_questions(
    questions: Sequence[Question],
    *,
    chunks: Mapping[str, Chunk],
    close: Iterable[tuple[str, str]],
    by: str,
    test_share: float,
    validation_share: float,
    seed: int,
) -> dict[str, list[Question]]:
    """Return the questions of each split, in the order of their ids.

    Args:
        close: Pairs of question ids that must stay together.
        by: `question`, `chunk` or `document`: what is kept whole on one side.
    """
    order = sorted(_group(questions, chunks, close, by), key=lambda members: make_id(seed, "split", members[0].id))
    total = len(questions)
    wanted = {"test": round_half_up(test_share * total), "validation": round_half_up(validation_share * total)}
    sides: dict[str, list[list[Question]]] = {name: [] for name in SPLITS}
    for members in order:
        side = next((name for name, room in wanted.items() if len(members) <= room), "train")
        sides[side].append(members)
        if side in wanted:
            wanted[side] -= len(members)
    for name in wanted:  # a document too large to fit must not leave a split empty; questions are carved out later
        if by != "question" and wanted[name] > 0 and not sides[name] and len(sides["train"]) > 1:
            sides[name].append(sides["train"].pop(sides["train"].index(min(sides["train"], key=len))))
    result = {name: [question for members in groups for question in members] for name, groups in sides.items()}
    return {name: sorted(members, key=lambda question: question.id) for name, members in result.items()}


def round_half_up(value: float) -> int:
    """Round to the nearest whole number, halves upwards."""
    return int(value + 0.5)


def _group(
    questions: Sequence[Question], chunks: Mapping[str, Chunk], close: Iterable[tuple[str, str]], by: str
) -> list[list[Question]]:
    """Return the connected groups of questions that share a chunk, a document, or are close."""
    parent = {question.id: question.id for question in questions}

    def find(item: str) -> str:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(one: str, other: str) -> None:
        low, high = sorted((find(one), find(other)))
        parent[high] = low

    first: dict[str, str] = {}
    for question in questions:
        for key in _keys(question, chunks, by):
            join(question.id, first.setdefault(key, question.id))
    for one, other in close:
        join(one, other)
    groups: dict[str, list[Question]] = defaultdict(list)
    for question in sorted(questions, key=lambda question: question.id):
        groups[find(question.id)].append(question)
    return list(groups.values())


def _keys(question: Question, chunks: Mapping[str, Chunk], by: str) -> tuple[str, ...]:
    if by == "question":
        return ()
    if by == "chunk":
        return question.chunk_ids
    return tuple(chunks[chunk_id].document_id for chunk_id in question.chunk_ids)
