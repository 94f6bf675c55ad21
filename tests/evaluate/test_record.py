"""results.json and examples.jsonl: every figure and every answer is in them, and they can be read again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import pytest
from evaluated import CONDITIONS, evaluate, failed, gold, quote, right, wrong

from raft_cli.cot import BEGIN, END, TAG
from raft_cli.errors import ConfigError
from raft_cli.evaluate.distractors import Leaks
from raft_cli.evaluate.earlier import Change
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.measure import METRICS
from raft_cli.evaluate.records import Response
from raft_cli.evaluate.reports.record import build_record, list_examples, pack_record, read_earlier, read_record
from raft_cli.evaluate.results import Judged, Position, Results, Retrieval, Steadiness
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.statistics import Difference, Interval
from raft_cli.store import write_json

FIGURE = Interval(0.5, 0.25, 0.75, 24, 24, 0, False)
CHANGED = replace(FIGURE, value=0.125)
CHANGE = Difference(0.125, 0.0, 0.25, 0.04, 0.06, 20, 20, 1, False)


def say(label: str, at: int, condition: str) -> Response:
    """Let the model be right on 18 of 24 with documents, on a document's word, and the base on 12 without."""
    if condition in ("closed", "distract"):
        return wrong()
    if label == "model":
        return wrong() if at < 6 else right(at, cited=at)
    return right(at) if at < 12 else wrong()


@pytest.fixture(scope="module")
def results() -> Results:
    return evaluate(say)


def write(folder: Path, results: Results) -> Path:
    write_json(folder / "results.json", pack_record(build_record(results)))
    return folder


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, float):
        yield value


def test_every_figure_stands_under_model_condition_and_metric(results: Results) -> None:
    record: Any = build_record(results)
    assert set(record["figures"]) == {"model", "base"} and set(record["figures"]["base"]) == set(CONDITIONS)
    assert set(record["figures"]["model"]["oracle"]) == {metric.name for metric in METRICS}
    found = record["figures"]["model"]["oracle+2"]["acc"]
    assert found.pop("lo") < 0.75 < found.pop("hi")
    assert found == {"value": 0.75, "n": 24, "clusters": 24, "n_missing": 0, "by_question": False}
    undefined = record["figures"]["base"]["oracle"]["citation_precision"]
    assert undefined == {
        "value": None, "lo": None, "hi": None, "n": 0, "clusters": 24, "n_missing": 0, "by_question": False
    }  # fmt: skip
    assert record["differences"]["oracle+2"]["acc"]["value"] == 0.25
    assert record["schema"] == 1 and record["hashes"] == {"data": "data-hash", "corpus": "corpus-hash"}


def test_tests_name_their_counts_and_both_p(results: Results) -> None:
    """Right alone: the model on 12 questions, the base on 6; p = 2 · Σ C(18, ≤6) / 2^18 = 0.238."""
    record: Any = build_record(results)
    test = next(test for test in record["tests"] if test["condition"] == "oracle+2")
    assert (test["better"], test["worse"]) == (12, 6)
    assert test["p"] == pytest.approx(2 * (1 + 18 + 153 + 816 + 3060 + 8568 + 18564) / 2**18)
    assert test["adjusted"] == pytest.approx(4 * test["p"])  # four conditions; this is one of the two smallest


def test_models_say_who_they_are_and_how_they_were_asked(results: Results) -> None:
    tuned, base = results.examinees
    base = replace(base, prompt="instructed", tried=(("instructed", 0.5, 40), ("plain", 0.0, 40)), notes=("slow",))
    record: Any = build_record(replace(results, examinees=(tuned, base)))
    assert record["models"]["base"]["tried"] == [
        {"prompt": "instructed", "acc": 0.5, "questions": 40},
        {"prompt": "plain", "acc": 0.0, "questions": 40},
    ]
    assert record["models"]["base"]["identity"] == "base-hash" and record["models"]["base"]["notes"] == ["slow"]
    assert record["models"]["model"]["prompt"] == "plain"


def test_everything_else_that_results_can_hold(results: Results) -> None:
    judged = Judged("j@u", 9, 1, 2, None, human=(0.8, 30), corrected={("model", "oracle"): 0.7})
    record: Any = build_record(
        replace(
            results,
            judged=judged,
            positions=(Position("model", 0.5, FIGURE, FIGURE),),
            steadiness=(Steadiness("model", 0.9, 20, 3.5, 0.06),),
            retrievals=(Retrieval("retrieved@5", FIGURE, FIGURE, FIGURE, {"model": (FIGURE, CHANGED)}),),
            grounded_refusal={"model": 0.6},
            leaks=Leaks(10, 1, 2, 2),
            failures=(Failure("gold", "acc", 1.0, None, 24, "item0003"),),
            gates=(GateResult("model@oracle.acc>=0.9", False, 0.75, 0.9, "acc is 0.750 over 24 questions", True),),
            change=Change({("oracle", "acc"): CHANGE}, 20, 4, 1),
        )
    )
    assert record["judge"]["human"] == {"kappa": 0.8, "labels": 30} and record["judge"]["failed"] == 2
    assert record["judge"]["corrected"] == {"model": {"oracle": 0.7}}
    assert record["positions"][0]["place"] == 0.5 and record["positions"][0]["precision"]["lo"] == 0.25
    assert record["steadiness"][0]["q"] == 3.5
    assert record["retrievals"][0]["right"]["model"]["miss"]["value"] == 0.125
    assert record["leaks"] == {"examined": 10, "answer": 1, "overlap": 2, "alike": 2, "rate": 0.5}
    assert record["self_check"] == {
        "passed": False,
        "failures": [
            {"probe": "gold", "metric": "acc", "expected": 1.0, "found": None, "answers": 24, "example": "item0003"}
        ],
    }
    assert record["gates"][0]["message"] == "acc is 0.750 over 24 questions"
    assert record["change"]["differences"]["oracle"]["acc"]["n_missing"] == 1 and record["change"]["new"] == 4


def test_what_is_not_finite_is_null(results: Results) -> None:
    broken = dict(results.figures) | {("model", "oracle", "acc"): replace(FIGURE, value=nan, high=inf)}
    record: Any = build_record(replace(results, figures=broken, seconds={"asking": -inf}))
    assert record["figures"]["model"]["oracle"]["acc"]["value"] is None
    assert record["figures"]["model"]["oracle"]["acc"]["hi"] is None and record["seconds"] == {"asking": None}
    assert all(map(isfinite, numbers(record)))


def test_the_file_is_the_record_and_a_later_run_reads_it(results: Results, tmp_path: Path) -> None:
    folder = write(tmp_path / "report", results)
    assert read_record(folder) == json.loads(json.dumps(build_record(results)))
    assert read_earlier(folder) == results.stored == read_earlier(folder / "results.json")
    assert read_record(folder)["clusters"][:2] == ["chunk0000", "chunk0001"]
    long = [line for line in (folder / "results.json").read_text().splitlines() if len(line) > 2000]
    assert [line.split(":")[0].strip() for line in long] == ['"stored"']  # on one line; the rest is indented


def test_examples_tell_each_answer_apart() -> None:
    def speak(label: str, at: int, condition: str) -> Response:
        if condition == "closed":
            return failed() if at == 0 else Response("", "length", 90, 0)
        said = f"It says {BEGIN}{quote(at)}{END} and {BEGIN}a thing that no document says{END}."
        return Response(f"{said}\n{TAG} {gold(at)}" if at else f"{said}\nIt is {gold(at)}.", "stop", 90, 30)

    results = evaluate(speak, conditions=("closed", "oracle+2"))
    examples: list[Any] = list(list_examples(results))
    assert len(examples) == 24 * 2 * 2 == len(json.loads(json.dumps(examples)))
    held = {(each["model"], each["condition"], each["id"]): each for each in examples}

    missing = held["base", "closed", "item0000"]
    assert missing["error"] == "the model gave no answer" and missing["scores"] is missing["extraction"] is None
    assert missing["quotes"] == [] and missing["documents"] == []
    silent = held["model", "closed", "item0001"]
    assert (silent["extraction"], silent["extracted"], silent["finish"]) == ("none", None, "length")
    assert silent["error"] is None and silent["scores"]["acc"] == 0.0

    untagged = held["model", "oracle+2", "item0000"]
    assert (untagged["extraction"], untagged["extracted"], untagged["lenient"]) == ("last line", None, "It is squad0.")
    assert (untagged["scores"]["acc"], untagged["scores"]["acc_lenient"]) == (0.0, 1.0)

    full = held["model", "oracle+2", "item0007"]
    assert (full["extraction"], full["extracted"], full["golds"]) == ("tag", "squad7", ["squad7"])
    assert full["documents"] == [
        {"id": "chunk0025", "role": "random"},
        {"id": "chunk0007", "role": "oracle"},
        {"id": "chunk0024", "role": "random"},
    ]
    assert full["oracle"] == [1] and full["prompt"] == "prompt-model-item0007-oracle+2"
    assert (full["prompt_tokens"], full["completion_tokens"], full["judged"]) == (90, 30, None)
    true, false = full["quotes"]
    (start, end), text = true["spans"][0], results.chunks["chunk0007"].text
    assert (true["class"], true["document"], true["likeness"]) == ("oracle", "chunk0007", 100.0)
    assert text[start:end].rstrip(".") == quote(7).rstrip(".")
    assert (false["class"], false["document"], false["spans"], false["likeness"]) == ("fabricated", None, [], 0.0)
    assert full["scores"]["acc"] == 1.0 and full["scores"]["grounded"] == 0.0
    assert full["output"].endswith(f"{TAG} squad7")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no results.json there"),
        ("{", "is not JSON"),
        ("[]", "schema None, expected 1"),
        ('{"schema": 2}', "schema 2, expected 1"),
        ('{"schema": 1, "data": "d"}', "not whole, clusters, conditions, figures"),
    ],
)
def test_a_report_that_cannot_be_read_says_what_is_the_matter(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(ConfigError, match=told):
        read_record(tmp_path)
    with pytest.raises(ConfigError, match=f"--compare-to .*{told}"):
        read_earlier(tmp_path)


def test_a_report_that_was_stopped_says_how_to_finish_it(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").touch()
    with pytest.raises(ConfigError, match="run it again: its answers are kept"):
        read_record(tmp_path)
    with pytest.raises(ConfigError) as error:
        read_record(tmp_path / "elsewhere")
    assert "run it again" not in str(error.value)


def test_an_earlier_report_with_damaged_columns_is_refused(results: Results, tmp_path: Path) -> None:
    record: Any = build_record(results)
    record["stored"]["columns"]["model"]["oracle"]["acc"].pop()
    write_json(tmp_path / "results.json", record)
    with pytest.raises(ConfigError, match="not one value for each question"):
        read_earlier(tmp_path)
