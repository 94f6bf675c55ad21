"""The corpus and the rows of learns.py: a lookup table in sentences, in which many entries differ in one field only."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_cli.cot import BEGIN, END, render_answer
from raft_cli.data import Chunk, Example, Question, Quote, Role, make_id
from raft_cli.generate.formats import Row, build_row, check_row
from raft_cli.store import write_lines

DIMENSIONS = "bore stroke pitch travel radius width height depth length lift gap wall".split()
KINDS = "pump valve motor gear drum shaft frame press".split()
SERIES = [first + second for first in "ABCDEFG" for second in "KLMNP"]
NUMBERS = [str(number) for number in range(10, 70)]
VALUES = [str(number) for number in range(100, 200)]
FIELDS = (DIMENSIONS, KINDS, SERIES, NUMBERS)
DOCUMENTS = 5


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the corpus; its key is dimension, kind, series and number."""

    key: tuple[str, ...]
    value: str

    @property
    def text(self) -> str:
        """The document."""
        dimension, kind, series, number = self.key
        return f"The {dimension} of {kind} {series}-{number} is {self.value} mm."

    @property
    def question(self) -> str:
        """What is asked about it."""
        dimension, kind, series, number = self.key
        return f"What is the {dimension} of {kind} {series}-{number}?"


class Corpus:
    """Every dimension of every part; the parts of `train`, `validation` and `test` are different ones."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        names = ("train", "validation", "test")
        draw = random.Random(f"{seed}:parts")
        homes = {(one, other): draw.choices(names, (60, 15, 25))[0] for one in SERIES for other in NUMBERS}
        self._home: dict[tuple[str, ...], str] = {(kind, *name): home for kind in KINDS for name, home in homes.items()}
        self._parts = {name: [part for part, home in self._home.items() if home == name] for name in names}

    def __len__(self) -> int:
        return len(DIMENSIONS) * len(self._home)

    def find(self, key: tuple[str, ...]) -> Fact:
        """Return the fact with this key."""
        return Fact(key, random.Random(f"{self._seed}:{key}").choice(VALUES))

    def list_facts(self, home: str) -> list[Fact]:
        """Return every fact about the parts of one split."""
        return [self.find((dimension, *part)) for part in self._parts[home] for dimension in DIMENSIONS]

    def draw_group(self, draw: random.Random, home: str) -> list[Fact]:
        """Return five facts that differ in one field, the same for all five: none of them is the odd one out."""
        while True:
            field = draw.randrange(len(FIELDS))
            start = (draw.choice(DIMENSIONS), *draw.choice(self._parts[home]))
            rivals = [(*start[:field], other, *start[field + 1 :]) for other in FIELDS[field] if other != start[field]]
            rivals = [rival for rival in rivals if self._home[rival[1:]] == home]
            if len(rivals) >= DOCUMENTS - 1:
                facts = [self.find(key) for key in (start, *draw.sample(rivals, DOCUMENTS - 1))]
                if len({fact.value for fact in facts}) == DOCUMENTS:
                    return facts


def list_words() -> list[str]:
    """Return every word of which facts are made, with the blank before it."""
    return [*NUMBERS, *(f" {word}" for word in (*DIMENSIONS, *KINDS, *SERIES, *VALUES))]


def make_chunk(fact: Fact) -> Chunk:
    """Return a fact as a passage of the document that describes its part."""
    source = "-".join(fact.key[1:])
    text = fact.text
    return Chunk(make_id(text), make_id(fact.key), 0, text, 0, len(text), (), None, 16, source, "", "en")


def make_row(name: str, number: int, facts: Sequence[Fact], place: int) -> Row:
    """Return the RAFT row that asks about the first of `facts`, which stands at `place` among the others."""
    oracle, *others = facts
    order = [*others[:place], oracle, *others[place:]]
    chunks = tuple(map(make_chunk, order))
    quote = Quote(oracle.text, chunks[place].id, 0, len(oracle.text))
    final = f"{oracle.value} mm"
    example = Example(
        f"{name}-{number:05}",
        Question(make_id(oracle.question), (chunks[place].id,), oracle.question, "factoid"),
        chunks,
        tuple(Role.ORACLE if at == place else Role.HARD for at in range(len(order))),
        (place,),
        render_answer(f"{BEGIN}{oracle.text}{END}", final),
        (quote,),
        final,
    )
    row = build_row(example, oracle.text, "en")
    if fault := check_row(row, example):
        raise ValueError(fault)
    return row


def write_rows(corpus: Corpus, folder: Path, counts: dict[str, int], seed: int) -> None:
    """Write the same questions twice: `raft/` with four distractors each, `alone/` with the oracle only."""
    for style in ("raft", "alone"):
        (folder / style).mkdir(parents=True)
        for name, count in counts.items():
            draw = random.Random(f"{seed}:{name}")
            with (folder / style / f"{name}.jsonl").open("w", encoding="utf-8") as file:
                for number in range(count):
                    facts = corpus.draw_group(draw, name)
                    kept = facts if style == "raft" else facts[:1]
                    row = make_row(name, number, kept, number % len(kept))
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_exam(corpus: Corpus, folder: Path, source: Path) -> int:
    """Write what `raft eval` needs: the held-out rows of `source`, and the facts of their parts; return their number.

    The distractors of these rows are not used: the exam chooses its own among all the facts.
    """
    folder.mkdir(parents=True)
    for name in ("test", "validation"):
        (folder / f"{name}.jsonl").write_bytes((source / f"{name}.jsonl").read_bytes())
    facts = [fact for name in ("test", "validation") for fact in corpus.list_facts(name)]
    return write_lines(folder / "chunks.jsonl", map(make_chunk, facts))


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
