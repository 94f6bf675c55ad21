"""An evaluation whose every answer is scripted, so that each of its figures can be told beforehand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fakes import BEGIN, END, make_chunks

from raft_cli.cot import TAG
from raft_cli.data import Chunk, Role
from raft_cli.evaluate.distractors import Leaks
from raft_cli.evaluate.earlier import Stored
from raft_cli.evaluate.figures import compare_models, compare_primary, estimate_all, find_primary, tabulate_answers
from raft_cli.evaluate.records import Case, Item, Response
from raft_cli.evaluate.results import BASE, MODEL, Answer, Examinee, Results
from raft_cli.evaluate.robustness import contrast_conditions, slice_questions
from raft_cli.evaluate.score import grade_response

Say = Callable[[str, int, str], Response]
CONDITIONS = ("closed", "oracle", "oracle+2", "distract")


def gold(number: int) -> str:
    return f"squad{number}"


def quote(number: int) -> str:
    """Return what the passage of a question says of its answer."""
    return f"hall {number} is checked by {gold(number)} every week."


def right(number: int, *, cited: int | None = None) -> Response:
    """Return the right answer, on the word of a passage where one is cited."""
    said = "" if cited is None else f"It says {BEGIN}{quote(cited)}{END}.\n"
    return Response(f"{said}{TAG} {gold(number)}", "stop", 100, 10)


def wrong(answer: str = "nobody at all") -> Response:
    return Response(f"{TAG} {answer}", "stop", 100, 10)


def failed() -> Response:
    return Response("", "missing", 0, 0, error="the model gave no answer")


def evaluate(
    say: Say, *, count: int = 24, conditions: Sequence[str] = CONDITIONS, base: bool = True, **fields: Any
) -> Results:
    """Return the results of an exam of `count` questions, each about a passage of its own.

    Args:
        say: What a model answers, by its label, the number of the question and the condition.
        fields: Of the results, in place of those that come out.
    """
    chunks = make_chunks(f"The pump of {quote(at)} Its filter is washed by hand." for at in range(count + 2))
    items = [_make_item(at, chunks[at]) for at in range(count)]
    labels = [MODEL, BASE] if base else [MODEL]
    answers = [
        _answer(say(label, at, condition), label, item, _make_case(item, condition, chunks, at))
        for label in labels
        for condition in conditions
        for at, item in enumerate(items)
    ]
    return _sum_up(items, {chunk.id: chunk for chunk in chunks}, tuple(conditions), labels, answers, fields)


def _make_item(at: int, chunk: Chunk) -> Item:
    question = f"Which team checks hall {at}?"
    return Item(
        id=f"item{at:04}",
        question=question,
        golds=(gold(at),),
        type="general",
        kind="factoid",
        language="en",
        reference="",
        quotes=(),
        oracle_ids=(chunk.id,),
        source=chunk.source,
        seen=False,
    )


def _make_case(item: Item, condition: str, chunks: Sequence[Chunk], at: int) -> Case:
    oracle, others = chunks[at], [chunks[-1], chunks[-2]]
    documents = {"closed": [], "oracle": [oracle], "oracle+2": [others[0], oracle, others[1]], "distract": others}
    shown = tuple(documents[condition])
    roles = tuple(Role.ORACLE if chunk is oracle else Role.RANDOM for chunk in shown)
    places = tuple(at for at, chunk in enumerate(shown) if chunk is oracle)
    return Case(item.id, condition, shown, roles, places, item.golds)


def _answer(response: Response, label: str, item: Item, case: Case) -> Answer:
    grade = None if response.error else grade_response(item, case, response)
    return Answer(label, item, case, f"prompt-{label}-{item.id}-{case.condition}", response, grade)


def _sum_up(
    items: Sequence[Item],
    corpus: Mapping[str, Chunk],
    conditions: tuple[str, ...],
    labels: Sequence[str],
    answers: Sequence[Answer],
    fields: dict[str, Any],
) -> Results:
    units = {item.id: item.oracle_ids[0] for item in items}
    table = tabulate_answers(answers, units, judged=False, seed=1)
    figures, differences = estimate_all(table), compare_models(table)
    primary = find_primary(conditions)
    missing = sum(answer.grade is None for answer in answers)
    results = Results(
        data="data",
        setting={"model": "run", "seed": 42, "retrieved": ""},
        versions={"python": "3.11.9"},
        exam=(("Questions", str(len(items))),),
        items=tuple(items),
        chunks=corpus,
        conditions=conditions,
        primary=primary,
        examinees=tuple(Examinee(each, f"{each}-name", f"{each}-hash", "plain", (), 5, 0, 1.5) for each in labels),
        answers=tuple(answers),
        figures=figures,
        differences=differences,
        tests=tuple(compare_primary(table, differences, conditions)),
        contrasts=tuple(contrast_conditions(table, labels, conditions)),
        slices=tuple(slice_questions(table, items, labels, conditions, primary)),
        positions=(),
        steadiness=(),
        retrievals=(),
        grounded_refusal={},
        chances={name: {"oracle": 1.0, "oracle+2": 1 / 3}.get(name) for name in conditions},
        leaks=Leaks(),
        failures=(),
        judged=None,
        gates=(),
        change=None,
        stored=Stored("data-hash", "corpus-hash", table.ids, table.columns),
        clusters=units,
        complete=missing <= 0.01 * len(answers),
        verdict="RAFT helps.",
        warnings=(),
        seconds={"asking": 2.0, "grading": 0.5},
    )
    return replace(results, **fields)
