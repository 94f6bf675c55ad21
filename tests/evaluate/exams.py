"""Short ways to make questions, passages and dataset folders for the tests of the evaluation."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes import BEGIN, END, make_chunk, make_chunks

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


TOPICS_ZH = "水泵 风机 阀门 电池 天线 网关 屏幕 锅炉 滤芯 车床".split()
HAN = "青岚云松柏梅兰竹菊江河湖海山川风雪霜露雷电光明星月日辰金银铜铁锡玉石花草林木禾麦豆瓜果桃李杏鹿马牛羊"
HALLS, ASKED = 30, 24  # passages, and those of them that the test rows ask about


@dataclass(frozen=True, slots=True)
class Known:
    """A question about a hall, with all that is known of it.

    Attributes:
        number: Of the hall and of its passage.
        reads: Pattern of the answer, in whatever the passage says.
        marker: What stands in the passage of this hall alone, whatever its answer is.
    """

    number: int
    question: str
    gold: str
    reads: str
    marker: str
    chunk: Chunk


def make_halls() -> list[Chunk]:
    """Return a passage for each hall, every third in Chinese; two of them make up a document."""
    english = list(make_corpus(HALLS).values())
    texts = [_write_chinese(at) if at % 3 == 2 else english[at].text for at in range(HALLS)]
    return [
        make_chunk(text, at, document=f"doc{at // 2}", language="zh" if at % 3 == 2 else "en", start=at % 2 * 1000)
        for at, text in enumerate(texts)
    ]


def _write_chinese(at: int) -> str:
    draw = random.Random(f"hall {at}")
    phrases = "，".join("".join(draw.sample(HAN, 9)) for _ in range(10))
    return f"第{at}号大厅的{TOPICS_ZH[at // 3]}由{HAN[at]}{HAN[at + 17]}组检查。{phrases}，每次持续{at + 40}分钟。"


def ask_hall(chunk: Chunk, *, about_team: bool) -> Known:
    """Return one of the two questions about a hall: how long it takes, or whose it is."""
    at, chinese = chunk.position, chunk.language == "zh"
    topic = TOPICS_ZH[at // 3] if chinese else TOPICS[at % len(TOPICS)]
    marker = f"第{at}号大厅的{topic}" if chinese else f"The {topic} of hall {at} is"
    if about_team:
        question = (
            f"第{at}号大厅的{topic}归哪个组管？" if chinese else f"Which team looks after the {topic} of hall {at}?"
        )
        gold = HAN[at] + HAN[at + 17] if chinese else word(at)
        return Known(at, question, gold, r"由(.+?)组检查" if chinese else r"by team (\w+)\.", marker, chunk)
    question = (
        f"第{at}号大厅的{topic}每次检查要多久？"
        if chinese
        else f"How long does a check of the {topic} in hall {at} last?"
    )
    gold = f"{at + 40}分钟" if chinese else f"{at + 40} minutes"
    return Known(at, question, gold, r"每次持续(\d+分钟)" if chinese else r"lasting (\d+ minutes)", marker, chunk)


def ask_halls() -> list[Known]:
    """Return the questions of the test rows, one about each hall in turn: how long, whose, how long …"""
    return [ask_hall(chunk, about_team=bool(chunk.position % 2)) for chunk in make_halls()[:ASKED]]


def write_halls(folder: Path) -> Path:
    """Write a dataset about the halls: half of those of the test rows are seen in training, under another question."""
    chunks = make_halls()
    train = [ask_hall(chunk, about_team=not chunk.position % 2) for chunk in chunks[:12]]
    validation = [ask_hall(chunk, about_team=about_team) for chunk in chunks[ASKED:] for about_team in (False, True)]
    write_folder(folder, test=_make_rows("t", ask_halls()), train=_make_rows("r", train), chunks=[*chunks])
    write_lines(folder / "validation.jsonl", _make_rows("v", validation))
    return folder


def _make_rows(name: str, known: Sequence[Known]) -> list[dict[str, Any]]:
    chunks = make_halls()
    rows = []
    for at, each in enumerate(known):
        others = [chunks[(each.number + step) % HALLS] for step in (5, 9)]
        row = make_row(f"{name}{at:02}", each.question, [each.chunk], others, final=each.gold)
        rows.append(row | {"language": each.chunk.language})
    return rows
