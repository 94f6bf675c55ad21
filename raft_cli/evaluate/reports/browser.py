"""The examples of a page: what was asked, what each model said, and where its quotations stand. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raft_cli.evaluate.measure import can_ground
from raft_cli.evaluate.records import GradedQuote, Item, QuoteClass
from raft_cli.evaluate.reports.choice import Chosen
from raft_cli.evaluate.reports.marks import mark_answer
from raft_cli.evaluate.reports.shelf import Shelf, name_document
from raft_cli.evaluate.results import BASE, MODEL, Answer

PAIRS = {
    "gained": "model right, base wrong",
    "lost": "base right, model wrong",
    "both": "both right",
    "neither": "neither right",
}
VERDICTS = {
    "right": "right",
    "proven": "right and proven",
    "unproven": "right, not proven",
    "wrong": "wrong",
    "misled": "wrong, misled",
    "declined": "declined",
    "missing": "missing",
}
KINDS = {
    QuoteClass.ORACLE: "oracle",
    QuoteClass.SHARED: "oracle and others",
    QuoteClass.NEAR_ORACLE: "near an oracle",
    QuoteClass.NEAR_DISTRACTOR: "near a distractor",
    QuoteClass.DISTRACTOR: "distractor",
    QuoteClass.ALTERED: "altered",
    QuoteClass.FABRICATED: "made up",
    QuoteClass.SHORT: "too short to count",
}
_LABELS = {"CORRECT": "right", "INCORRECT": "wrong", "NOT_ATTEMPTED": "not attempted"}


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of an answer; of a quotation its class, and its address in a document if it has one."""

    text: str
    style: str = ""
    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What one model said.

    Attributes:
        verdict: The key of `VERDICTS` that tells most, `verdicts` all of them.
        final: The short answer; None without an answer tag.
        left_out: Characters at the end that are not shown.
        notes: What else there is to know.
    """

    model: str
    verdict: str
    verdicts: tuple[str, ...]
    final: str | None
    said: tuple[Said, ...]
    left_out: int
    kinds: tuple[str, ...]
    notes: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Example:
    """A question under a condition.

    Attributes:
        pair: A key of `PAIRS`; empty when there are not two answers to compare.
        documents: Address, role and title, in the order of the prompt.
    """

    number: int
    item: Item
    condition: str
    golds: tuple[str, ...]
    reason: str
    pair: str
    documents: tuple[tuple[str, str, str], ...]
    views: tuple[View, ...]


def show_examples(chosen: Sequence[Chosen], shelf: Shelf) -> list[Example]:
    """Return examples for the template; their documents are put on the shelf."""
    return [_show_example(number, each, shelf) for number, each in enumerate(chosen, 1)]


def _show_example(number: int, chosen: Chosen, shelf: Shelf) -> Example:
    first = chosen.answers[0]
    documents = tuple(
        (f"d{shelf.add(chunk)}", role.value, name_document(chunk))
        for chunk, role in zip(first.case.documents, first.case.roles, strict=True)
    )
    views = tuple(_show_answer(answer, shelf) for answer in chosen.answers)
    pair = _pair(chosen.answers)
    return Example(number, first.item, first.case.condition, first.case.golds, chosen.reason, pair, documents, views)


def _pair(answers: Sequence[Answer]) -> str:
    right = {answer.model: answer.grade.acc == 1 for answer in answers if answer.grade}
    if MODEL not in right or BASE not in right:
        return ""
    if right[MODEL] == right[BASE]:
        return "both" if right[MODEL] else "neither"
    return "gained" if right[MODEL] else "lost"


def _show_answer(answer: Answer, shelf: Shelf) -> View:
    grade = answer.grade
    verdicts = tuple(_list_verdicts(answer))
    if grade is None:
        return View(answer.model, "missing", verdicts, None, (), 0, (), (), answer.response.error)
    stretches, left_out = mark_answer(answer.response.text, grade.quotes)
    said = [
        Said(each.text, each.style)
        if each.quote < 0
        else _show_quote(each.text, grade.quotes[each.quote], answer, shelf)
        for each in stretches
    ]
    kinds = tuple(dict.fromkeys(quote.kind.value for quote in grade.quotes))
    notes = tuple(_note(answer))
    return View(answer.model, verdicts[-1], verdicts, grade.extracted, tuple(said), left_out, kinds, notes, "")


def _show_quote(text: str, quote: GradedQuote, answer: Answer, shelf: Shelf) -> Said:
    address = ""
    if quote.document is not None:
        address = shelf.address(answer.case.documents[quote.document], quote.spans)
    return Said(text, quote.kind.value, KINDS[quote.kind], address)


def _list_verdicts(answer: Answer) -> Iterator[str]:
    """Yield what is true of an answer, the narrowest last."""
    grade = answer.grade
    if grade is None:
        yield "missing"
    elif grade.acc == 1:
        yield "right"
        if can_ground(answer.case):
            yield "proven" if grade.grounded else "unproven"
    elif grade.refused:
        yield "declined"
    else:
        yield "wrong"
        if grade.misled:
            yield "misled"


def _note(answer: Answer) -> Iterator[str]:
    grade, response = answer.grade, answer.response
    if grade is None:
        return
    if grade.extracted is None:
        told = "the last line would be right" if grade.acc_lenient == 1 else "the last line is not right either"
        yield f"no answer tag; {told}"
    if response.finish == "length":
        yield "cut off at the limit"
    if grade.malformed:
        yield f"{grade.malformed} broken quote mark{'' if grade.malformed == 1 else 's'}"
    if grade.fault:
        yield f"program: {grade.fault}"
    if grade.quotes and all(quote.kind is QuoteClass.SHORT for quote in grade.quotes):
        yield "nothing quoted that counts"
    if answer.judged:
        yield f"judge: {_LABELS.get(answer.judged, answer.judged)}"
    if response.prompt_tokens or response.completion_tokens:
        yield f"{response.prompt_tokens:,} + {response.completion_tokens:,} tokens"
