"""Short ways to make what is graded."""

from collections.abc import Sequence

from fakes import make_chunk

from raft_cli.cot import BEGIN, END, TAG, escape
from raft_cli.data import Chunk, Quote, Role
from raft_cli.evaluate.records import Case, Grade, Item, Response
from raft_cli.evaluate.score import SCORER, Scorer, grade_response

ORACLE = (
    "The relay K4 opens within 20 ms after the coil loses power. Its contacts carry at most 16 A.\n"
    "Do not touch the terminals while the lamp is red. The warranty covers the coil for 24 months."
)
DISTRACTOR = (
    "The relay K7 opens within 35 ms when the coil is cold. Its contacts carry at most 10 A.\n"
    "The warranty covers the coil for 24 months. Keep the housing away from sparks and from salt water."
)
OTHER = "The pump must be primed by hand before it is started, and the filter is changed every 500 hours."
ZH_ORACLE = "阀门必须在24小时内关闭，不得超过。压力不超过3.5兆帕，使用前请检查密封圈。"
ZH_DISTRACTOR = "水泵每运行500小时应更换滤芯。压力不超过2.5兆帕，停机后请切断电源。"


def make_item(
    gold: str | Sequence[str] = "20 ms",
    *,
    question: str = "How fast does K4 open?",
    name: str = "item1",
    type: str = "general",
    language: str = "en",
    quotes: Sequence[Quote] = (),
) -> Item:
    golds = (gold,) if isinstance(gold, str) else tuple(gold)
    return Item(name, question, golds, type, "factoid", language, "", tuple(quotes), ("chunk0000",), "doc.md", False)


def make_case(
    item: Item, texts: Sequence[str] = (ORACLE, DISTRACTOR, OTHER), *, oracle: Sequence[int] = (0,), condition: str = ""
) -> Case:
    documents = make_documents(texts)
    roles = tuple(Role.ORACLE if at in oracle else Role.RANDOM for at in range(len(texts)))
    return Case(item.id, condition or f"oracle+{len(texts) - 1}", documents, roles, tuple(oracle), item.golds)


def make_documents(texts: Sequence[str]) -> tuple[Chunk, ...]:
    return tuple(make_chunk(text, number, document=f"doc{number}") for number, text in enumerate(texts))


def cite(*quotes: str, answer: str | None = None) -> str:
    """Return an answer with these quotations, and the answer line unless there is none."""
    said = " ".join(f"It says {BEGIN}{escape(quote)}{END}." for quote in quotes)
    return said if answer is None else f"{said}\n{TAG} {answer}"


def reply(text: str, *, finish: str = "stop", error: str = "") -> Response:
    return Response(text, finish, 900, 60, error)


def grade(text: str, item: Item | None = None, case: Case | None = None, *, scorer: Scorer = SCORER) -> Grade:
    item = item or make_item()
    return grade_response(item, case or make_case(item), reply(text), scorer=scorer)
