"""What must not be asked twice, counted wrongly, or found out too late in an examination."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from behaving import Student
from evaluated import evaluate, failed, right, wrong
from exams import make_corpus, make_item, make_row, word, write_folder, write_halls
from typer.testing import CliRunner, Result

from raft_cli.chat.journal import Journal
from raft_cli.cli import app, register_commands
from raft_cli.config.evaluate import EvalConfig
from raft_cli.errors import DatasetError
from raft_cli.evaluate.cases import CaseSet, build_cases, search_lexically
from raft_cli.evaluate.compare import compare_entrants
from raft_cli.evaluate.conditions import parse_conditions
from raft_cli.evaluate.entrants import read_entrants
from raft_cli.evaluate.folder import ANSWERS, PAGE, SUMMARY, check_folder, open_answers
from raft_cli.evaluate.items import read_exam
from raft_cli.evaluate.prepare import Prepared, prepare_exam
from raft_cli.evaluate.records import Response
from raft_cli.evaluate.results import MODEL
from raft_cli.evaluate.selfcheck import choose_probed
from raft_cli.evaluate.sitting import _without
from raft_cli.evaluate.verdict import tell_verdict
from raft_cli.store import write_lines

register_commands()
NAMES = {"DATA": "data", "--model": "run", "--baseline": ""}


@pytest.fixture
def student(alone: None) -> Iterator[Student]:
    write_halls(Path("data"))
    with Student() as started:
        yield started


def run(student: Student, *flags: object, code: int = 0, model: str = "quotes", base: str = "remembers") -> Result:
    command = ["eval", "data", "-o", "report", "--model", student.name(model), "--baseline", student.name(base)]
    result = CliRunner().invoke(app, [*command, *map(str, flags)], terminal_width=200)
    assert result.exit_code == code, result.output
    return result


def read_results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("report/results.json").read_text(encoding="utf-8"))
    return found


def prepare(folder: Path, **settings: Any) -> Prepared:
    return prepare_exam(folder, EvalConfig(model="endpoint:a@http://localhost:1/v1", **settings))


# More questions


def write_long(folder: Path, count: int = 24) -> Path:
    """Write questions of which only one has a long reference."""
    chunks = list(make_corpus(30).values())
    rows = [
        make_row(f"t{at:02}", f"How long is {at}?", [chunks[at]], chunks[at + 3 : at + 5], final=f"{at + 40} minutes")
        for at in range(count)
    ]
    rows[7]["cot_answer"] = "Word after word. " * 200 + rows[7]["cot_answer"]
    return write_folder(folder, test=rows, chunks=chunks)


def test_a_limit_changes_neither_the_length_of_answers_nor_what_counter_puts_in(tmp_path: Path) -> None:
    folder = write_long(tmp_path)
    few, every = (prepare(folder, conditions="oracle,counter", limit=limit) for limit in (6, 0))
    assert len(few.exam.items) == 6 and few.exam.pool == every.exam.pool and len(every.exam.pool) == 24
    assert set(few.cases.cases) <= set(every.cases.cases)


def test_more_questions_ask_only_what_is_new(student: Student) -> None:
    rows = [json.loads(line) for line in Path("data/test.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = {item.id for item in read_exam(Path("data"), limit=6, seed=42).items}
    long = next(row for row in rows if row["id"] not in asked)
    long["cot_answer"] = "Word after word. " * 400 + long["cot_answer"]
    Path("data/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    flags = ("--conditions", "closed,oracle,counter", "--baseline-prompt", "plain")
    run(student, *flags, "--limit", 6)
    first = student.asked()
    run(student, *flags, "--limit", 0)
    assert max(student.asked().values()) == 1
    bodies = [json.loads(body) for body in student.asked()]
    repeated = Counter((body["model"], str(body["messages"])) for body in bodies)
    assert max(repeated.values()) == 1 and len(first) < len(bodies)


# Questions left out


def test_what_is_left_out_leaves_chances_and_conditions(tmp_path: Path) -> None:
    chunks = make_corpus(8)
    listed = list(chunks.values())
    items = [make_item(0, listed[0], gold="40 minutes"), make_item(1, *listed[1:3], gold="41 minutes")]
    wanted = parse_conditions(["closed", "oracle+1", "oracle+4"])
    found = build_cases(items, chunks, wanted, seed=1, distractors_trained=2, search=search_lexically(chunks))
    assert found.chances["oracle+1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    left = found.without({items[0].id})
    assert left.chances["oracle+1"] == pytest.approx(2 / 3) and left.conditions == found.conditions
    assert {case.item_id for case in left.cases} == {items[1].id}
    only = replace(
        found, cases=tuple(each for each in found.cases if each.item_id == items[0].id or each.condition == "closed")
    )
    left = only.without({items[0].id})
    assert left.conditions == ("closed",) and set(left.left_out) == {"oracle+1", "oracle+4"}
    assert left.warnings[-1].startswith("oracle+4 left out: ")


def test_a_condition_that_nobody_is_left_under_decides_nothing(tmp_path: Path) -> None:
    prepared = prepare(write_long(tmp_path), conditions="closed,oracle,oracle+4", limit=0)
    first = prepared.exam.items[0].id
    cases: CaseSet = prepared.cases
    kept = tuple(each for each in cases.cases if each.item_id == first or each.condition != "oracle+4")
    left = _without(replace(prepared, cases=replace(cases, cases=kept)), {first})
    assert prepared.primary == "oracle+4" and left.primary == "oracle"
    assert any(warning.startswith("oracle+4 left out") for warning in left.warnings)


# The self-check of a large run


def test_the_self_check_of_a_large_run_looks_at_every_condition(tmp_path: Path) -> None:
    prepared = prepare(write_long(tmp_path), conditions="closed,oracle,oracle+1,oracle+4", limit=0)
    chosen = choose_probed(prepared.exam.items, prepared.cases.cases, 24)
    asked = Counter(case.condition for case in chosen)
    assert asked == dict.fromkeys(("closed", "oracle", "oracle+1", "oracle+4"), 6)
    assert choose_probed(prepared.exam.items, prepared.cases.cases, 10_000) == list(prepared.cases.cases)


# The folder


def test_a_report_that_was_ended_at_its_last_files_is_written_again(tmp_path: Path) -> None:
    out = tmp_path / "report"
    out.mkdir()
    (out / PAGE).write_text("")
    (out / (SUMMARY + ".part")).write_text("")
    check_folder(out, NAMES, force=False)
    (out / "thesis.md").write_text("")
    with pytest.raises(DatasetError, match="no report of raft eval"):
        check_folder(out, NAMES, force=False)


def test_a_folder_with_one_file_of_a_common_name_is_no_report(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text("mine")
    with pytest.raises(DatasetError, match="no report of raft eval"):
        check_folder(tmp_path, NAMES, force=False)


def test_a_report_that_cannot_be_written_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot write"):
        open_answers(tmp_path / "file" / "report", str(tmp_path / "shared.sqlite"), in_flight=1)
    journal = open_answers(tmp_path / "report", str(tmp_path / "shared.sqlite"), in_flight=1)
    assert isinstance(journal, Journal)
    journal.close()
    assert not list((tmp_path / "report").iterdir()) and not (tmp_path / "report" / ANSWERS).exists()


# What is said of a difference


def test_shares_are_told_over_the_questions_that_both_answered() -> None:
    """The base knows just what the model could not answer, so over its own questions it would look better."""

    def say(label: str, at: int, condition: str) -> Response:
        if label == MODEL:
            return failed() if at < 8 else right(at)
        return right(at) if at < 8 else wrong()

    told = tell_verdict(evaluate(say))
    assert "the model answers 100.0 %, the base 0.0 % of 16 questions (+100.0 points" in told


def test_too_few_questions_are_not_called_no_difference() -> None:
    def say(label: str, at: int, condition: str) -> Response:
        return right(at) if label == MODEL else wrong()

    assert tell_verdict(evaluate(say, count=1)).startswith("Too few questions to tell: at oracle+2 the model")
    assert "of 1 question (" in tell_verdict(evaluate(say, count=1))
    assert tell_verdict(evaluate(lambda label, at, condition: right(at))).startswith("No difference was found")


def test_nothing_is_said_of_a_smallest_difference_that_the_test_cannot_find() -> None:
    """Three of ten questions, all to one side, have p = 0.25: no bootstrap error makes that a finding."""
    found = evaluate(lambda label, at, condition: right(at) if label == MODEL or at > 2 else wrong(), count=10)
    test = next(test for test in found.tests if test.condition == "oracle+2")
    assert (test.better, test.worse, test.smallest) == (3, 0, None) and test.difference.error
    assert tell_verdict(found).startswith(("Too few", "The model may be ahead"))


# Before anything is paid


def test_a_gate_that_cannot_be_passed_is_told_before_anything_is_asked(student: Student) -> None:
    gate = "model@oracle+99.acc>=0.5"
    told = run(student, "--conditions", "closed,oracle+99", "--fail-under", gate, code=2)
    assert "oracle+99 left out" in " ".join(told.stderr.split()) and not student.asked()


def test_an_earlier_run_that_was_asked_otherwise_is_told(student: Student) -> None:
    flags = ("--conditions", "oracle,oracle+1", "--baseline-prompt", "plain")
    run(student, *flags)
    Path("report").rename("before")
    run(student, *flags, "--compare-to", "before")
    assert not [each for each in read_results()["warnings"] if "compare-to" in each]
    Path("report/results.json").unlink()
    run(student, *flags, "--compare-to", "before", "--seed", 7, "--max-tokens", 99)
    told = [each for each in read_results()["warnings"] if "compare-to" in each]
    assert len(told) == 2 and "--seed was 42 there and is 7 here" in told[0] and "--max-tokens was not set" in told[1]


def test_further_fields_of_requests_are_sent_when_latency_is_taken_too(student: Student) -> None:
    flags = ("--conditions", "oracle", "--baseline-prompt", "plain", "--limit", 4, "--latency-probe", 2)
    run(student, *flags, "--extra-body", '{"top_k": 7, "secret_token": "tok-0123456789"}')
    bodies = [json.loads(body) for body in student.asked()]
    assert any(body.get("stream") for body in bodies) and all(body["top_k"] == 7 for body in bodies)
    assert not [path for path in Path("report").iterdir() if b"tok-0123456789" in path.read_bytes()]


@pytest.mark.parametrize("foreign", ['{"data": "x", "prompt": ["y"], "base": "z"}', '{"settings": ["x"]}', "[]"])
def test_a_manifest_of_another_tool_tells_nothing_and_breaks_nothing(tmp_path: Path, foreign: str) -> None:
    folder, model = write_long(tmp_path / "data"), tmp_path / "model"
    model.mkdir()
    for place in (folder, model):
        (place / "manifest.json").write_text(foreign)
    prepared = prepare_exam(folder, EvalConfig(model=str(model), conditions="oracle"))
    assert prepared.teacher == "" and prepared.asking.system == ""


# Questions on which the baseline's prompt is found


def prepare_both(folder: Path, **settings: Any) -> Prepared:
    return prepare(folder, baseline="endpoint:b@http://localhost:1/v1", **settings)


def test_trials_of_foreign_rows_have_passages_of_their_own(tmp_path: Path) -> None:
    """Without chunks.jsonl each split brings its own passages; a search over those of the exam finds others."""
    texts = [chunk.text for chunk in make_corpus(90).values()]
    for name, first in (("test", 0), ("validation", 30), ("train", 60)):
        rows = [
            {
                "question": f"Who checks hall {first + at}?",
                "gold_final_answer": word(first + at),
                "context": "".join(
                    f"<DOCUMENT>{texts[first + step]}</DOCUMENT>" for step in (at, (at + 7) % 30, (at + 11) % 30)
                ),
            }
            for at in range(30)
        ]
        write_lines(tmp_path / f"{name}.jsonl", rows)
    prepared = prepare_both(tmp_path)
    assert prepared.primary == "oracle+4" and prepared.trials is not None and len(prepared.trials.cases) == 30
    assert not prepared.trials.items.keys() & {item.id for item in prepared.exam.items}


def test_where_no_other_question_can_be_asked_so_the_exam_finds_the_best_way(tmp_path: Path) -> None:
    write_halls(tmp_path)
    rows = tmp_path / "validation.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    prepared = prepare_both(tmp_path, conditions="counter")  # which needs a second answer of its kind
    assert prepared.trials is not None and set(prepared.trials.cases) <= set(prepared.cases.cases)
    assert any("in the baseline's favour" in warning for warning in prepared.warnings)


# Reports side by side


def test_a_base_that_was_asked_otherwise_is_another_base_and_a_note_says_so(student: Student) -> None:
    flags = ("--conditions", "oracle+1", "--baseline-prompt", "plain")
    for name, more in (("a", ()), ("b", ("--system", "Be short.")), ("c", ())):
        run(student, *flags, *more)
        Path("report").rename(name)
    alike = read_entrants(["x=a", "z=c"])
    assert [each.name for each in alike] == ["base", "x", "z"] and not compare_entrants(alike, draws=100).warnings
    entrants = read_entrants(["x=a", "y=b"])
    assert [each.name for each in entrants] == ["base of x", "base of y", "x", "y"]
    told = compare_entrants(entrants, draws=100).warnings
    assert "--system was Be short. for y and not set for base of x: they were asked otherwise" in told
