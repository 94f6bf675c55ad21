"""Short ways to make questions, passages and dataset folders for the tests of the evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakes import BEGIN, END, make_chunks

from raft_cli.cot import escape, render_answer
from raft_cli.data import Chunk, Example, Question, Quote, Role
from raft_cli.evaluate.records import Item
from raft_cli.generate.formats import build_row
from raft_cli.store import write_lines

TOPICS = "pump fan relay valve sensor gateway battery antenna display printer".split()


def make_corpus(count: int) -> dict[str, Chunk]:
    """Return passages of which each names a topic, a team of its own, many things and a number of minutes."""
    texts = [
        f"The {TOPICS[at % len(TOPICS)]} of hall {at} is checked by team {word(at)}. "
        + " ".join(f"{word(at * 9 + part + 100)} {word(at * 9 + part + 1000)}," for part in range(9))
        + f" each lasting {at + 40} minutes."
        for at in range(count)
    ]
    return {chunk.id: chunk for chunk in make_chunks(texts)}


def word(number: int) -> str:
    """Return a word that is that of no other number."""
    letters = "bcdfghklmnprstvz"
    vowels = "aeiou"
    parts = []
    for _ in range(4):
        number, at = divmod(number * 7 + 3, 80)
        parts.append(letters[at % 16] + vowels[at // 16])
    return "".join(parts) + letters[number % 16]


def make_item(number: int, *chunks: Chunk, gold: str, question: str = "", **fields: Any) -> Item:
    values: dict[str, Any] = {
        "id": f"item{number:04}",
        "question": question or f"What of passage {number}?",
        "golds": (gold,),
        "type": "general",
        "kind": "factoid",
        "language": "en",
        "reference": "",
        "quotes": (),
        "oracle_ids": tuple(chunk.id for chunk in chunks),
        "source": chunks[0].source,
        "seen": False,
    }
    return Item(**values | fields)


def make_row(
    name: str,
    question: str,
    oracle: Sequence[Chunk],
    others: Sequence[Chunk],
    *,
    final: str,
    present: bool = True,
    target: str = "",
) -> dict[str, Any]:
    """Return a native row as `raft generate` writes it: the oracle first, or absent."""
    quote = Quote(oracle[0].text[:10], oracle[0].id, 0, 10)
    said = f"It says {BEGIN}{escape(quote.text)}{END}." if present else "The documents do not say."
    documents = [*(oracle if present else ()), *others]
    example = Example(
        id=name,
        question=Question(f"q{name}", tuple(chunk.id for chunk in oracle), question, "factoid"),
        documents=tuple(documents),
        roles=tuple(Role.ORACLE if chunk in oracle else Role.RANDOM for chunk in documents),
        oracle=tuple(range(len(oracle))) if present else (),
        target=target or render_answer(said, final),
        quotes=(quote,) if present else (),
        final=final,
    )
    return build_row(example, "\n\n".join(chunk.text for chunk in oracle), "en")


def write_folder(
    folder: Path,
    *,
    test: Sequence[Mapping[str, Any]],
    train: Sequence[Mapping[str, Any]] | None = (),
    chunks: Sequence[Chunk] | None = None,
) -> Path:
    """Write a dataset folder; `train` or `chunks` as None leave that file away."""
    write_lines(folder / "test.jsonl", test)
    if train is not None:
        write_lines(folder / "train.jsonl", train)
    if chunks is not None:
        write_lines(folder / "chunks.jsonl", chunks)
    return folder
