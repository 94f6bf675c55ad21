"""Finished reports side by side: which models, which questions, which differences, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from evaluated import CONDITIONS, evaluate, right, wrong
from typer.testing import CliRunner, Result

from raft_cli.cli import app, register_commands
from raft_cli.errors import ConfigError
from raft_cli.evaluate.compare import COMPARED, Comparison, Row, compare_entrants
from raft_cli.evaluate.entrants import read_entrants, split_argument
from raft_cli.evaluate.records import Response
from raft_cli.evaluate.reports.comparison import HEADERS, build_comparison, render_comparison
from raft_cli.evaluate.reports.record import build_record
from raft_cli.evaluate.results import Results
from raft_cli.evaluate.seeds import spread_runs
from raft_cli.evaluate.statistics import bootstrap
from raft_cli.store import write_json

register_commands()
KNOWN = {"base": (2, 6), "dsf": (12, 8), "raft": (10, 20)}  # right without documents, and with them


@cache
def examine(tuned: str, *, cited: bool = False, base: bool = True, conditions: Sequence[str] = CONDITIONS) -> Results:
    """Return results in which a model, and the base, are right on the first so many of 24 questions."""

    def say(label: str, at: int, condition: str) -> Response:
        name = tuned if label == "model" else "base"
        if at >= KNOWN[name][condition != "closed"]:
            return wrong()
        return right(at, cited=at if cited and label == "model" and condition != "closed" else None)

    return evaluate(say, base=base, conditions=conditions)


def named(results: Results, model: str, **fields: Any) -> Results:
    """Return results whose tuned model has a hash of its own; the base is the same everywhere."""
    tuned, *rest = results.examinees
    return replace(results, examinees=(replace(tuned, name=model, identity=f"{model}-hash"), *rest), **fields)


def write(path: str, results: Results, **fields: object) -> str:
    Path(path).mkdir(parents=True)
    write_json(Path(path) / "results.json", build_record(results) | fields)
    return path


@pytest.fixture
def reports(alone: None) -> None:
    write("reports/dsf", named(examine("dsf"), "dsf-model"))
    write("reports/raft", named(examine("raft", cited=True), "raft-model"))


def compare(*arguments: str, **settings: Any) -> Comparison:
    return compare_entrants(read_entrants(arguments), draws=500, **settings)


def rows_of(comparison: Comparison) -> dict[tuple[str, str], Row]:
    return {(row.name, row.condition): row for row in comparison.rows}


def test_each_model_without_documents_and_with_them_the_base_once(reports: None) -> None:
    comparison = compare("dsf=reports/dsf", "raft=reports/raft")
    rows = rows_of(comparison)
    assert list(rows) == [
        ("base", "closed"), ("base", "oracle+2"), ("dsf", "closed"), ("dsf", "oracle+2"),
        ("raft", "closed"), ("raft", "oracle+2"),
    ]  # fmt: skip
    assert {key: row.figures["acc"].value for key, row in rows.items()} == {
        ("base", "closed"): 2 / 24, ("base", "oracle+2"): 6 / 24, ("dsf", "closed"): 12 / 24,
        ("dsf", "oracle+2"): 8 / 24, ("raft", "closed"): 10 / 24, ("raft", "oracle+2"): 20 / 24,
    }  # fmt: skip
    assert rows["raft", "oracle+2"].figures["grounded_acc"].value == 20 / 24
    assert rows["dsf", "oracle+2"].figures["grounded_acc"].value == 0.0
    assert rows["raft", "closed"].figures["grounded_acc"].value is None
    assert rows["raft", "oracle+2"].figures["citation_precision"].value == 1.0
    assert rows["dsf", "oracle+2"].figures["citation_precision"].value is None
    assert comparison.questions == 24 and comparison.against == "base" and comparison.warnings == ()


def test_an_interval_is_that_of_the_evaluation(reports: None) -> None:
    """The column of the report, resampled by the passages that the report names."""
    column = [(1.0, 1.0)] * 20 + [(0.0, 1.0)] * 4
    expected = bootstrap(column, [f"chunk{at:04}" for at in range(24)], draws=500, seed=42)
    assert rows_of(compare("raft=reports/raft"))["raft", "oracle+2"].figures["acc"] == expected
    assert expected.low is not None and 0.6 < expected.low < 20 / 24 and not expected.by_question


def test_differences_are_to_the_first_with_the_same_documents(reports: None) -> None:
    rows = rows_of(compare("dsf=reports/dsf", "raft=reports/raft"))
    assert rows["base", "closed"].difference is rows["base", "oracle+2"].difference is None
    raft = rows["raft", "oracle+2"]
    assert raft.difference and raft.difference.value == pytest.approx(14 / 24)
    assert (raft.better, raft.worse, raft.p) == (14, 0, 2 / 2**14)
    # Four tests: p of 14:0, 10:0, 8:0 and 2:0, each times how many are left, none below the one before.
    assert raft.adjusted == 4 * 2 / 2**14
    assert rows["dsf", "closed"].adjusted == 3 * 2 / 2**10
    assert rows["raft", "closed"].adjusted == 2 * 2 / 2**8
    assert rows["dsf", "oracle+2"].p == rows["dsf", "oracle+2"].adjusted == 2 / 2**2


def test_another_model_of_reference_and_other_conditions(reports: None) -> None:
    comparison = compare("dsf=reports/dsf", "raft=reports/raft", against="dsf", conditions=["oracle", "distract"])
    rows = rows_of(comparison)
    assert comparison.conditions == ("closed", "oracle", "distract") and ("raft", "oracle+2") not in rows
    assert rows["dsf", "oracle"].difference is None
    closed = rows["raft", "closed"]
    assert closed.difference and closed.difference.value == pytest.approx(-2 / 24)
    assert (closed.better, closed.worse, closed.p) == (0, 2, 0.5)


def test_a_base_that_is_named_keeps_its_name_and_place(reports: None) -> None:
    comparison = compare("raft=reports/raft", "untuned=reports/dsf:base")
    assert [each.name for each in comparison.entrants] == ["raft", "untuned"] and comparison.against == "raft"
    assert rows_of(comparison)["untuned", "oracle+2"].figures["acc"].value == 6 / 24


def test_a_base_that_is_a_model_of_another_report_is_shown_once(reports: None) -> None:
    alone = examine("raft", base=False)
    (tuned,) = alone.examinees
    write("reports/untuned", replace(alone, examinees=(replace(tuned, identity="base-hash"),)))
    assert [each.name for each in read_entrants(["untuned=reports/untuned", "dsf=reports/dsf"])] == ["untuned", "dsf"]


def test_bases_that_differ_are_told_apart(reports: None) -> None:
    other = named(examine("raft"), "raft-model")
    tuned, base = other.examinees
    write("reports/other", replace(other, examinees=(tuned, replace(base, prompt="instructed"))))
    names = [each.name for each in read_entrants(["dsf=reports/dsf", "raft=reports/other"])]
    assert names == ["base of dsf", "base of raft", "dsf", "raft"]


def test_names_come_from_the_folder_or_before_the_sign(reports: None) -> None:
    assert split_argument("reports/raft") == ("raft", Path("reports/raft"), "model")
    assert split_argument("a=reports/raft") == ("a", Path("reports/raft"), "model")
    assert split_argument("a=reports/raft:base") == ("a", Path("reports/raft"), "base")
    assert split_argument("reports/raft:base") == ("raft:base", Path("reports/raft"), "base")
    assert split_argument("reports/raft/results.json") == ("raft", Path("reports/raft/results.json"), "model")
    Path("lr=3:base").mkdir()
    assert split_argument("lr=3:base") == ("lr=3:base", Path("lr=3:base"), "model")
    for wrong_argument in ("=reports/raft", "raft="):
        with pytest.raises(ConfigError, match="expected NAME=REPORT"):
            split_argument(wrong_argument)


def test_only_questions_and_conditions_of_all_reports_count(reports: None) -> None:
    """Another run had the first 22 questions and one more, and not the condition that decides."""
    few = named(examine("dsf", conditions=("closed", "oracle")), "few-model")
    ids = (*few.stored.ids[:22], "item9999", "item9998")
    write("reports/few", replace(few, stored=replace(few.stored, ids=ids)))
    comparison = compare("raft=reports/raft", "few=reports/few")
    rows = rows_of(comparison)
    assert comparison.questions == 22 and comparison.conditions == ("closed", "oracle")
    assert rows["raft", "oracle"].figures["acc"].value == 20 / 22
    assert rows["few", "closed"].figures["acc"].value == 12 / 22
    assert comparison.warnings == ("22 questions are in all reports, of up to 24; only these are compared",)
    with pytest.raises(ConfigError, match=r"--condition oracle\+2: not asked of few; asked of all: closed, oracle"):
        compare("raft=reports/raft", "few=reports/few", conditions=["oracle+2"])


def test_a_question_that_one_did_not_answer_is_in_no_difference(reports: None) -> None:
    raft = named(examine("raft"), "raft-model")
    columns = {key: (None, *column[1:]) if key[0] == "model" else column for key, column in raft.stored.columns.items()}
    write("reports/lost", replace(raft, stored=replace(raft.stored, columns=columns), complete=False))
    comparison = compare("lost=reports/lost")
    row = rows_of(comparison)["lost", "oracle+2"]
    assert row.figures["acc"].value == 19 / 23 and row.figures["acc"].missing == 1
    assert row.difference and row.difference.n == 23 and row.difference.value == pytest.approx(19 / 23 - 5 / 23)
    assert comparison.warnings == ("reports/lost: over 1 % of its answers are missing",)


def test_a_question_that_one_was_not_asked_is_in_no_difference(reports: None) -> None:
    """Of the 23 others the model is right on 19 and the base on 5; the base's own figure is of 24."""
    results = named(examine("raft"), "raft-model")
    columns = {
        key: ((0.0, 0.0), *column[1:]) if key[0] == "model" else column
        for key, column in results.stored.columns.items()
    }
    write("reports/fewer", replace(results, stored=replace(results.stored, columns=columns)))
    rows = rows_of(compare("fewer=reports/fewer"))
    row = rows["fewer", "oracle+2"]
    assert row.figures["acc"].value == 19 / 23 and rows["base", "oracle+2"].figures["acc"].value == 6 / 24
    assert row.difference and row.difference.value == pytest.approx(19 / 23 - 5 / 23)


@pytest.mark.parametrize(
    ("field", "told"),
    [("data", "other test rows than base"), ("corpus", "other passages than base")],
)
def test_other_data_are_refused_unless_forced(reports: None, field: str, told: str) -> None:
    raft = named(examine("raft"), "other-model")
    changed: dict[str, Any] = {field: "another"}
    write("reports/other", replace(raft, stored=replace(raft.stored, **changed)))
    with pytest.raises(ConfigError, match=rf"other \(reports/other\) had {told} \(reports/dsf\).*--force"):
        compare("dsf=reports/dsf", "other=reports/other")
    assert any(told in warning for warning in compare("dsf=reports/dsf", "other=reports/other", force=True).warnings)


def test_what_speaks_against_a_report_is_told(reports: None) -> None:
    raft = named(examine("raft"), "other-model")
    setting = {**raft.setting, "seed": 7}
    write("reports/other", replace(raft, setting=setting), self_check={"passed": False, "failures": []})
    assert compare("dsf=reports/dsf", "other=reports/other").warnings == (
        "--seed was 7 for other and 42 for base: they read other documents",
        "reports/other: its self-check failed: its figures are not to be believed",
    )


def test_what_cannot_be_compared_says_why(reports: None) -> None:
    write("alone", named(examine("raft", base=False), "raft-model"))
    write("open", named(examine("raft", base=False, conditions=("oracle",)), "open-model"))
    write("other/raft", named(examine("dsf"), "other-model"))
    write("shut", named(examine("raft", base=False, conditions=("closed",)), "shut-model"))
    for arguments, told in (
        (["raft=alone"], "only one model"),
        (["raft=alone:base"], "had no --baseline, so there is no alone:base"),
        (["other/raft", "reports/raft"], "two models are called 'raft'; give each a name"),
        (["a=reports/raft", "a=reports/raft"], "'a' names one model twice"),
        (["raft=nowhere"], "nowhere: no results.json there"),
        (["a=open", "b=shut"], r"no condition under which all were asked \(a: oracle; b: closed\)"),
    ):
        with pytest.raises(ConfigError, match=told):
            compare(*arguments)
    with pytest.raises(ConfigError, match="--against gpt: there are base, dsf"):
        compare("dsf=reports/dsf", against="gpt")


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("stored", {"schema": 9}, r"^reports/bad: not the results of a run"),
        ("clusters", ["one"], r"^reports/bad: damaged \(ValueError"),
        ("models", {"model": {}}, r"^reports/bad: damaged \(KeyError"),
    ],
)
def test_a_damaged_report_is_named(reports: None, part: str, value: object, told: str) -> None:
    write("reports/bad", examine("raft"), **{part: value})
    with pytest.raises(ConfigError, match=told):
        read_entrants(["bad=reports/bad"])


def test_the_markdown_table_has_a_row_a_model_and_condition(reports: None) -> None:
    comparison = compare("dsf=reports/dsf", "raft=reports/raft")
    raft = replace(comparison.entrants[2], model="a|b <i>")
    text = render_comparison(replace(comparison, entrants=(*comparison.entrants[:2], raft), warnings=("mind <this>",)))
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == "| model | documents | right, % | grounded, % | F1, % | citations, % | Δ, points | p (Holm) |"
    assert lines[1].startswith("| base | none | 8.3 [") and lines[1].endswith(" | – | – |")
    assert lines[6].startswith("| raft | oracle+2 | 83.3 [") and lines[6].endswith("| &lt;0.001\\* |")
    assert "- raft: a\\|b &lt;i&gt;, asked plain (reports/raft)" in text and "- mind &lt;this&gt;" in text
    assert "oracle+2: the oracle and 2 distractors" in text and tuple(HEADERS) == COMPARED


def test_runs_of_one_name_have_a_spread_of_their_own(reports: None) -> None:
    comparison = compare("r=reports/dsf", "r=reports/raft")
    assert [each.name for each in comparison.entrants] == ["base", "r 1", "r 2"]
    closed, shown = comparison.spreads
    assert (closed.name, closed.condition, closed.runs, shown.condition) == ("r", "closed", 2, "oracle+2")
    # right of 24: 8 and 20, so 14 in the mean; on 8 questions both, on 12 one of two
    assert shown.mean.value == pytest.approx(14 / 24) and (shown.low, shown.high) == pytest.approx((8 / 24, 20 / 24))
    assert shown.deviation == pytest.approx(12 / 24 / 2**0.5)
    halves = [(1.0, 1.0)] * 8 + [(0.5, 1.0)] * 12 + [(0.0, 1.0)] * 4
    units = [comparison.entrants[0].clusters[name] for name in comparison.entrants[0].stored.ids]
    assert shown.mean == bootstrap(halves, units, draws=500, seed=42)
    text = render_comparison(comparison)
    assert "## Runs of one recipe: right answers, %" in text and "| r | oracle+2 | 2 | 58.3 [" in text
    assert "| ± 35.4 | 33.3 to 83.3 |" in text and "what another seed changes" in text


def test_a_question_that_one_run_did_not_answer_is_in_no_spread(reports: None) -> None:
    columns = [[(1.0, 1.0), None, (0.0, 1.0), (1.0, 1.0)], [(0.0, 1.0), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0)]]
    found = spread_runs("r", "oracle", columns, ["a", "b", "c", "d"], draws=100, seed=1)
    assert found is not None and found.mean.n == 2 and found.mean.value == 0.75 and (found.low, found.high) == (0.5, 1)
    assert spread_runs("r", "oracle", [column[1:3] for column in columns], ["b", "c"], draws=100, seed=1) is None


def raft(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments], terminal_width=200)


def test_the_command_prints_both_tables_and_writes_the_file(reports: None) -> None:
    result = raft("dsf=reports/dsf", "raft=reports/raft", "-o", "out/table.md", "--against", "dsf")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Models" and lines[-1] == "written to out/table.md"
    (row, others) = (line.split() for line in lines if line.startswith("  raft  ") and "oracle+2" in line)
    assert row[:3] == ["raft", "oracle+2", "83.3"] and row[5] == "+50.0" and row[-1] == "0.002*"
    assert others[:3] == ["raft", "oracle+2", "83.3"] and others[-3] == "100.0"
    assert Path("out/table.md").read_text() == render_comparison(
        compare_entrants(read_entrants(["dsf=reports/dsf", "raft=reports/raft"]), against="dsf")
    )


def test_the_command_prints_the_spread_of_runs(reports: None) -> None:
    result = raft("r=reports/dsf", "r=reports/raft")
    lines = result.stdout.splitlines()
    at = lines.index("Runs of one recipe: right answers, %")
    assert result.exit_code == 0 and lines[at + 1].split()[:3] == ["model", "documents", "runs"]
    assert lines[at + 3].split()[:4] == ["r", "oracle+2", "2", "58.3"] and lines[at + 3].endswith("33.3 to 83.3")
    record = json.loads(raft("r=reports/dsf", "r=reports/raft", "--json").stdout)
    assert [each["runs"] for each in record["spreads"]] == [2, 2]


def test_the_command_prints_json(reports: None) -> None:
    result = raft("raft=reports/raft", "--json", "--condition", "oracle, distract")
    record = json.loads(result.stdout)
    assert record == json.loads(
        json.dumps(
            build_comparison(compare_entrants(read_entrants(["raft=reports/raft"]), conditions=["oracle", "distract"]))
        )
    )
    assert record["models"]["raft"] == {
        "name": "raft-model", "identity": "raft-model-hash", "prompt": "plain", "report": "reports/raft"
    }  # fmt: skip
    assert record["conditions"] == ["closed", "oracle", "distract"] and record["rows"][0]["difference"] is None


def test_the_command_refuses_in_one_message(reports: None) -> None:
    for arguments, told in (
        (["nowhere", "reports/raft"], "no results.json there"),
        (["reports/raft", "-o", "table.html"], "give a name that ends in .md"),
    ):
        result = raft(*arguments)
        assert result.exit_code == 2 and told in result.stderr and result.stdout == ""
    assert not Path("table.html").exists()


def test_help_has_an_example() -> None:
    assert "Example: raft compare dsf=" in " ".join(raft("--help").stdout.split())
