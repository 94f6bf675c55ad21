"""Read what is examined: the test rows of a dataset and its passages, without questions that training gave away."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_cli.data import Chunk, make_id
from raft_cli.errors import DatasetError
from raft_cli.evaluate.passages import Passages, digest_file
from raft_cli.evaluate.records import Item
from raft_cli.evaluate.rows import Row, parse_row
from raft_cli.language import SAME, alike, same_figures
from raft_cli.store import read_lines

TRAIN = "train.jsonl"
_FEW_CHUNKS = 20


@dataclass(frozen=True, slots=True)
class Exam:
    """Questions, and the corpus they are asked about.

    Attributes:
        data: SHA-256 of the file of test rows.
        corpus: SHA-256 of the passages.
        pool: All questions of the file, those beyond the limit too: what is chosen by them is the same at each limit.
        distractors: How many a training row has beside its oracle (the commonest number).
        repeated: Rows left out because the same question stands in another.
        unanswered: Rows left out because they hold no answer.
        unplaced: Rows left out because it is not known which document answers them.
        similar: Questions left out because a training row asks the same of the same passage.
        warnings: What a person should be told.
    """

    items: tuple[Item, ...]
    pool: tuple[Item, ...]
    chunks: Mapping[str, Chunk]
    data: str
    corpus: str
    distractors: int
    repeated: int
    unanswered: int
    unplaced: int
    similar: int
    warnings: tuple[str, ...]


def read_exam(data: Path, *, split: str = "test", keep_similar: bool = False, limit: int = 0, seed: int = 0) -> Exam:
    """Read the rows of one split, with the passages they come from.

    Args:
        data: A dataset folder, or one JSONL file of rows; `chunks.jsonl` and `train.jsonl` are looked for beside it.
        keep_similar: Whether to keep questions that a training row asks of the same passage in nearly the same words.
        limit: Most questions, 0 for all; one from each passage in turn, so that most passages are kept.

    Raises:
        DatasetError: There are no such rows, none can be examined, a line is broken, or the passages are missing.
    """
    path = _find_rows(data, split)
    rows = list(_read_rows(path))
    if not rows:
        raise DatasetError(f"{path}: no rows in it")
    beside = path.with_name(TRAIN)
    train = rows if path == beside else list(_read_rows(beside)) if beside.is_file() else []
    corpus = Passages(path, rows if train is rows else [*rows, *train])
    usable, repeated, unanswered, unplaced = _sift_rows(rows, corpus)
    if not usable:
        raise DatasetError(
            f"{path}: none of its {len(rows)} rows can be examined; {unanswered} hold no answer, "
            f"{unplaced} do not say which document answers them"
        )
    asked = _group_questions(train, corpus)
    items = _make_items(usable, corpus, asked)
    kept = [item for item in items if keep_similar or train is rows or not _is_asked(item, asked)]
    if not kept:
        raise DatasetError(f"{path}: {beside} asks every one of its {len(items)} questions in nearly the same words")
    sizes = Counter(len(row.documents) - len(corpus.find(row)) for row in train or usable)
    return Exam(
        items=tuple(_limit(kept, limit, seed)),
        pool=tuple(items),
        chunks=corpus.chunks,
        data=digest_file(path),
        corpus=corpus.digest,
        distractors=max(sizes, key=lambda size: (sizes[size], size)),
        repeated=repeated,
        unanswered=unanswered,
        unplaced=unplaced,
        similar=len(items) - len(kept),
        warnings=tuple(_warn(path, rows, train, corpus)),
    )


def _find_rows(data: Path, split: str) -> Path:
    path = data / f"{split}.jsonl" if data.is_dir() else data
    if data.is_dir() and not path.is_file():
        there = sorted(each.name for each in data.glob("*.jsonl")) or ["no .jsonl file"]
        raise DatasetError(
            f"{data}: no {path.name} to examine with (there: {', '.join(there)}); `raft generate --test-share 0.1` "
            "writes one, --split names another"
        )
    if not path.is_file():
        raise DatasetError(f"{data}: no such file or folder")
    return path


def _read_rows(path: Path) -> Iterator[Row]:
    for number, record in enumerate(read_lines(path), 1):
        yield parse_row(record, f"{path}, row {number}")


def _sift_rows(rows: Sequence[Row], corpus: Passages) -> tuple[list[Row], int, int, int]:
    """Return one row for each question that can be examined, and how many were repeated, unanswered, unplaced.

    Of two rows with the same question about the same passages, the one that shows its oracle has the quotes.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.question, corpus.find(row)), []).append(row)
    placed = [group for (_, oracle), group in groups.items() if oracle]
    best = [max(group, key=lambda row: (bool(row.golds), bool(row.quotes))) for group in placed]
    repeated = sum(len(group) - 1 for group in placed)
    usable = [row for row in best if row.golds]
    return usable, repeated, len(best) - len(usable), len(rows) - repeated - len(best)


def _make_items(rows: Sequence[Row], corpus: Passages, asked: Mapping[str, Sequence[str]]) -> list[Item]:
    items: dict[str, Item] = {}
    for row in rows:
        oracle = corpus.find(row)
        name = row.id or make_id("item", row.question, *oracle)
        if name in items:
            raise DatasetError(f"{row.place}: its id, {name}, stands on another row too")
        items[name] = Item(
            id=name,
            question=row.question,
            golds=row.golds,
            type=row.type,
            kind=row.kind,
            language=row.language,
            reference=row.reference,
            quotes=row.quotes,
            oracle_ids=oracle,
            source=corpus.chunks[oracle[0]].source,
            seen=any(each in asked for each in oracle),
        )
    return list(items.values())


def _group_questions(train: Iterable[Row], corpus: Passages) -> dict[str, list[str]]:
    """Return what training rows ask about each passage."""
    asked: dict[str, list[str]] = defaultdict(list)
    for row in train:
        for each in corpus.find(row):
            asked[each].append(row.question)
    return dict(asked)


def _is_asked(item: Item, asked: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a training row asks the same of the same passage: in nearly the same words, with equal figures."""
    others = {other for each in item.oracle_ids for other in asked.get(each, ())}
    return any(alike(item.question, other) >= SAME and same_figures(item.question, other) for other in others)


def _limit(items: Sequence[Item], limit: int, seed: int) -> list[Item]:
    """Return at most `limit` items, in their order; fewer of them are always among more."""
    if not 0 < limit < len(items):
        return list(items)
    turns: dict[str, int] = defaultdict(int)
    order = []
    for item in sorted(items, key=lambda item: make_id(seed, "limit", item.id)):
        cluster = item.oracle_ids[0]
        order.append((turns[cluster], make_id(seed, "limit", cluster), item.id))
        turns[cluster] += 1
    chosen = {name for _, _, name in sorted(order)[:limit]}
    return [item for item in items if item.id in chosen]


def _warn(path: Path, rows: Sequence[Row], train: Sequence[Row], corpus: Passages) -> Iterator[str]:
    if train is rows:
        yield f"{path} are the rows of training: what is measured is memory"
    elif not train:
        yield f"no rows of {TRAIN} beside {path}: whether training gave questions away is not known"
    if len(corpus.chunks) < _FEW_CHUNKS:
        yield f"only {len(corpus.chunks)} passages: distractors are few and much alike from question to question"
    if inferred := sum(not row.reference and bool(row.oracle_text) for row in rows):
        yield f"{inferred} rows name no oracle: the only document that holds the answer is taken for it"
