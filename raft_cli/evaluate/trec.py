"""Read a TREC run file: what a retriever of one's own found for each question."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from raft_cli.errors import DatasetError

_COLUMNS = "question-id Q0 chunk-id rank score tag"


def read_run(path: Path, *, questions: Collection[str], chunks: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the chunk ids found for each question, best first: by falling score, then by rank.

    Lines of other questions are passed over; a chunk that comes twice counts once.

    Raises:
        DatasetError: The file cannot be read, a line (named) is none of a run, a chunk is unknown, or a question has
            no line.
    """
    found: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    wanted, known = set(questions), set(chunks)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the run file {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split()
        try:
            question, _, chunk, rank, score, _ = parts
            entry = (-float(score), float(rank), chunk)
        except ValueError as error:
            raise DatasetError(f"{path}, line {number}: expected `{_COLUMNS}`, found `{line[:80]}`") from error
        if question not in wanted:
            continue
        if chunk not in known:
            raise DatasetError(f"{path}, line {number}: no passage {chunk} in this dataset; ids are in chunks.jsonl")
        if entry[0] != entry[0] or entry[1] != entry[1]:
            raise DatasetError(f"{path}, line {number}: rank or score is not a number")
        found[question].append(entry)
    _check_all(path, wanted, found)
    return {question: tuple(dict.fromkeys(chunk for *_, chunk in sorted(each))) for question, each in found.items()}


def _check_all(path: Path, wanted: Collection[str], found: Mapping[str, object]) -> None:
    if lacking := sorted(set(wanted) - found.keys()):
        raise DatasetError(
            f"{path}: no line for {len(lacking)} of {len(wanted)} questions (the first is {lacking[0]}); "
            "question ids are the `id` of the test rows"
        )
