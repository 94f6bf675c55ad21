"""`raft eval` as a person meets it: killed, interrupted, cut off, run again, in a folder that is not its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from behaving import Student
from exams import ASKED, ask_halls, make_halls, write_halls
from typer.testing import CliRunner, Result

from raft_cli.cli import app, register_commands
from raft_cli.store import read_lines, write_lines

register_commands()
CONDITIONS = "closed,oracle+4"
TOTAL = ASKED * 2 * 2  # of questions, conditions and models
KEY = "sk-right-0123456789abcdef"
REPORT = ["answers.sqlite", "examples.jsonl", "junit.xml", "report.html", "results.json", "summary.md"]


@pytest.fixture
def student(alone: None) -> Iterator[Student]:
    """Serve every behaviour, and write the dataset to `data`."""
    write_halls(Path("data"))
    with Student() as started:
        yield started


def make_command(
    student: Student, *flags: object, model: str = "quotes", base: str = "remembers", out: str = "report"
) -> list[str]:
    given = [str(flag) for flag in flags]
    named = ["--model", student.name(model), *(("--baseline", student.name(base)) if base else ())]
    chosen = [] if "--conditions" in given else ["--conditions", CONDITIONS]
    return ["eval", "data", "-o", out, *named, *chosen, "--baseline-prompt", "plain", *given]


def run(student: Student, *flags: object, code: int = 0, **names: str) -> Result:
    """Run the command in this process, and make sure of how it ends."""
    result = CliRunner().invoke(app, make_command(student, *flags, **names), terminal_width=200)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and (code == 0 or result.stderr)
    return result


class Running:
    """The command under way in a process of its own."""

    def __init__(self, command: list[str]) -> None:
        self.said = Path("said.txt")
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raft_cli", *command], stdout=said, stderr=subprocess.STDOUT, env={**os.environ}
            )

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Look again and again until something is so; fail when the command has ended before, or it takes too long."""
        end = time.monotonic() + 60
        while not reached():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                pytest.fail(f"ended, or waited in vain:\n{self.said.read_text()}")
            time.sleep(0.005)

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return exit code and output."""
        try:
            code = self.process.wait(120)
        finally:
            self.process.kill()
            self.process.wait()
        return code, self.said.read_text()


def read_results(out: str = "report") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(out, "results.json").read_text(encoding="utf-8"))
    return found


def count_kept(out: str = "report") -> int:
    journal = sqlite3.connect(Path(out, "answers.sqlite"))
    try:
        return int(journal.execute("SELECT COUNT(*) FROM replies").fetchone()[0])
    finally:
        journal.close()


def say(result: Result) -> str:
    return " ".join(result.output.split())


# Ended half way


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_after_a_kill_only_what_was_in_flight_is_asked_again(student: Student, share: float) -> None:
    at_once = 4
    command = make_command(student, "--concurrency", at_once)
    student.set(latency=0.05)
    running = Running(command)
    running.wait_until(lambda: student.replies >= share * TOTAL)
    running.process.kill()
    assert running.finish()[0] == -signal.SIGKILL
    before, kept = student.asked(), count_kept()
    assert max(before.values()) == 1 and kept < TOTAL and not Path("report/results.json").exists()
    assert len(before) - at_once <= kept <= len(before)
    student.set(latency=0.0)
    assert run(student, "--concurrency", at_once).exit_code == 0
    asked = student.asked()
    assert len(asked) == TOTAL and max(asked.values()) <= 2
    again = {prompt for prompt, count in asked.items() if count == 2}
    assert len(again) == len(before) - kept <= at_once
    first = read_results()
    assert [first["models"][label]["asked"] + first["models"][label]["replayed"] for label in ("model", "base")] == [
        48
    ] * 2
    student.reset()
    run(student, "--concurrency", at_once)
    assert student.log() == []
    assert read_results()["figures"] == first["figures"] and read_results()["verdict"] == first["verdict"]


@pytest.mark.slow
def test_a_kill_while_writing_leaves_no_report_that_looks_whole(student: Student) -> None:
    run(student)
    expected = read_results()["figures"]
    for name in REPORT[1:]:
        Path("report", name).unlink()
    running = Running(make_command(student))
    running.wait_until(lambda: Path("report/report.html").exists() or Path("report/results.json").exists())
    running.process.kill()
    running.finish()
    if Path("report/results.json").exists():  # written in one go, so whole if there
        assert read_results()["figures"] == expected
    student.reset()
    run(student)
    assert student.log() == [] and read_results()["figures"] == expected
    assert sorted(path.name for path in Path("report").iterdir()) == REPORT


@pytest.mark.slow
def test_ctrl_c_finishes_what_is_in_flight_and_the_same_command_goes_on(student: Student) -> None:
    student.set(latency=0.3)
    running = Running(make_command(student, "--concurrency", 8))
    running.wait_until(lambda: len(student.log()) >= TOTAL // 3)
    running.process.send_signal(signal.SIGINT)
    code, said = running.finish()
    assert code == 130, said
    assert "finishing 8 requests in flight" in said and "kept" in said and "Traceback" not in said
    log = student.log()
    assert all(ticket.replied and not ticket.gone for ticket in log) and count_kept() == len(log) < TOTAL
    assert not Path("report/results.json").exists()
    student.set(latency=0.0)
    run(student)
    assert sum(student.asked().values()) == len(student.asked()) == TOTAL


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_costs_only_what_was_in_flight(student: Student) -> None:
    student.set(latency=0.05)
    running = Running(make_command(student, "--concurrency", 4))
    running.wait_until(lambda: student.replies >= TOTAL // 3)
    student.close()
    student.open()  # at once: each moment of an outage makes the tries rarer, too rare for a test
    code, said = running.finish()
    assert code == 0, said
    asked = student.asked()
    assert len(asked) == TOTAL == count_kept() and sum(asked.values()) <= TOTAL + 4
    assert read_results()["complete"] is True


@pytest.mark.slow
def test_a_server_that_dies_is_waited_for_until_ctrl_c(student: Student) -> None:
    student.set(latency=0.05)
    running = Running(make_command(student, "--concurrency", 4))
    running.wait_until(lambda: student.replies >= TOTAL // 3)
    student.close()
    time.sleep(0.3)
    assert running.process.poll() is None
    running.process.send_signal(signal.SIGINT)
    code, said = running.finish()
    assert code == 130 and "Traceback" not in said, said
    answered = sum(ticket.replied is not None and not ticket.gone for ticket in student.log())
    assert answered - 4 <= count_kept() <= answered < TOTAL
    student.open()
    student.set(latency=0.0)
    student.reset()
    run(student)
    assert TOTAL - answered <= sum(student.asked().values()) == len(student.asked()) <= TOTAL - answered + 4


@pytest.mark.slow
def test_of_two_at_work_in_one_folder_the_second_says_so(student: Student) -> None:
    student.set(latency=0.2)
    running = Running(make_command(student, "--concurrency", 8))
    running.wait_until(lambda: student.replies >= 8)
    second = run(student, code=1)
    assert "another raft process is working in report" in say(second)
    student.set(latency=0.0)
    code, said = running.finish()
    assert code == 0, said
    assert sum(student.asked().values()) == TOTAL


def test_a_server_that_gives_no_more_leaves_what_it_gave(student: Student) -> None:
    student.set(quota=30)
    stopped = say(run(student, "--concurrency", 4, code=3))
    assert "quota" in stopped and "--partial" in stopped and not Path("report/results.json").exists()
    kept = count_kept()
    assert 30 <= kept <= 33
    run(student, "--partial", code=3)
    results = read_results()
    missing = TOTAL - kept
    assert results["complete"] is False and results["figures"]["model"]["closed"]["acc"]["value"] == 1.0
    assert (
        sum(
            results["figures"][label][each]["acc"]["n_missing"]
            for label in ("model", "base")
            for each in CONDITIONS.split(",")
        )
        == missing
    )
    for name in ("summary.md", "report.html"):
        assert "incomplete" in Path("report", name).read_text(encoding="utf-8").lower(), name
    student.set(quota=0)
    student.reset()
    run(student)
    assert sum(student.asked().values()) == missing and read_results()["complete"] is True


# What is asked again


def test_what_is_no_matter_of_the_students_sends_them_nothing(student: Student) -> None:
    run(student, "--conditions", "closed,oracle")
    first = read_results()
    assert sum(student.asked().values()) == len(student.asked()) == TOTAL
    student.reset()
    for flags in (
        (),
        ("--seed", 7),  # of the intervals: nothing is drawn for these two conditions
        ("--fail-under", "model@oracle.acc>=0.9", "--fail-under", "delta@oracle.acc>=-0.02"),
        ("--cluster", "document"),
        ("--conditions", "oracle"),
    ):
        given = flags if "--conditions" in flags else (*flags, "--conditions", "closed,oracle")
        run(student, *given)
        found = read_results()["figures"]
        assert found["model"]["oracle"]["acc"]["value"] == first["figures"]["model"]["oracle"]["acc"]["value"]
    for name in REPORT[1:]:
        Path("report", name).unlink()
    run(student, "--conditions", "closed,oracle")
    assert student.log() == [] and read_results()["figures"] == first["figures"]
    assert sorted(path.name for path in Path("report").iterdir()) == REPORT


def test_own_ways_to_decline_are_counted_and_send_nothing(student: Student) -> None:
    def read_rates() -> tuple[float, float, float]:
        found = read_results()["figures"]["model"]["closed"]
        return tuple(found[name]["value"] for name in ("acc", "refusal_rate", "wrong_rate"))  # type: ignore[return-value]

    run(student, model="echoes", base="")
    assert read_rates() == (0, 0, 1)
    asked = len(student.log())
    run(student, "--refusal-phrase", "QQQQ", "--refusal-phrase", "qq", model="echoes", base="")
    assert read_rates() == (0, 1, 0) and len(student.log()) == asked
    assert read_results()["setting"]["refusal_phrase"] == ["QQQQ", "qq"]
    run(student, "--refusal-phrase", "qq", model="echoes", base="")  # the answer goes on inside the word
    assert read_rates() == (0, 0, 1)
    assert "--refusal-phrase is empty" in run(student, "--refusal-phrase", " ", model="echoes", base="", code=2).stderr


def test_a_gold_that_reads_like_an_own_refusal_is_an_answer(student: Student) -> None:
    gold = ask_halls()[0].gold
    run(student, "--refusal-phrase", gold, model="bare", base="")
    found = read_results()
    assert found["figures"]["model"]["closed"]["refusal_rate"]["value"] == 0 and found["self_check"]["passed"]


def test_a_judge_is_asked_for_itself_alone_and_once(student: Student) -> None:
    run(student)
    student.reset()
    judge = ("--judge", f"judge@{student.url}")
    run(student, *judge)
    asked = student.asked()
    assert asked == student.asked("judge") and len(asked) == sum(asked.values()) == ASKED  # wrong ones of the base
    results = read_results()
    assert results["judge"]["asked"] == ASKED and results["judge"]["failed"] == 0
    assert results["figures"]["model"]["oracle+4"]["judged"]["value"] == 1.0
    assert results["figures"]["base"]["oracle+4"]["judged"]["value"] == 0.0
    student.reset()
    run(student, *judge, "--fail-under", "model@closed.judged>=0.5")
    assert student.log() == [] and read_results()["judge"]["replayed"] == ASKED


def test_another_seed_asks_only_what_has_other_documents(student: Student) -> None:
    run(student, base="")
    student.reset()
    run(student, "--seed", 7, base="")
    asked = student.asked()
    assert 0 < sum(asked.values()) == len(asked) <= ASKED
    assert all(b"<DOCUMENT>" in prompt for prompt in asked)


def test_reports_that_share_their_answers_ask_the_baseline_once(student: Student) -> None:
    shared = ("--answers", "shared/answers.sqlite")
    run(student, *shared, model="quotes", out="one")
    student.reset()
    run(student, *shared, model="bare", out="two")
    assert len(student.asked("bare")) == TOTAL // 2 and not student.asked("remembers")
    assert not Path("two/answers.sqlite").exists()


def test_what_the_baseline_is_asked_to_find_its_best_prompt_is_kept_too(student: Student) -> None:
    flags = ("--baseline-prompt", "auto")
    run(student, *flags, base="needy")
    assert len(student.asked("needy")) == 12 * 2 + TOTAL // 2  # twelve questions for validation, in two ways
    base = read_results()["models"]["base"]
    assert base["prompt"] == "instructed"
    assert [(each["prompt"], each["acc"], each["questions"]) for each in base["tried"]] == [
        ("instructed", 1.0, 12),
        ("plain", 0.0, 12),
    ]
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "instructed" in page and "plain" in page
    student.reset()
    run(student, *flags, base="needy")
    assert student.log() == []
    for name in ("validation", "train"):
        Path(f"data/{name}.jsonl").unlink()
    assert "in the baseline's favour" in say(run(student, *flags, base="needy", out="other"))


# Gates and exit codes


def test_gates_that_are_passed_and_gates_that_are_not(student: Student) -> None:
    passing = ["model@oracle+4.grounded_acc>=0.99", "delta@oracle+4.acc>=0.5", "base@closed.misled_rate<=0"]
    result = run(student, *(word for gate in passing for word in ("--fail-under", gate)))
    assert [gate["passed"] for gate in read_results()["gates"]] == [True] * 3
    assert all(gate in result.stdout for gate in passing)
    failing = run(student, "--fail-under", passing[0], "--fail-under", "base@oracle+4.acc>=0.5", code=4)
    assert "base@oracle+4.acc>=0.5" in failing.stderr and passing[0] not in failing.stderr
    assert [gate["passed"] for gate in read_results()["gates"]] == [True, False]
    junit = Path("report/junit.xml").read_text(encoding="utf-8")
    assert junit.count("<failure") == 1 and junit.count("<testcase") == 4  # also the self-check, and completeness
    undefined = run(student, "--fail-under", "base@oracle+4.citation_precision>=0.1", code=4)
    assert (
        "base@oracle+4.citation_precision>=0.1" in undefined.stderr
    )  # a base that never quotes has none to pass it by
    assert "0 questions" in undefined.stderr or "undefined" in undefined.stderr


def test_a_model_without_a_baseline(student: Student) -> None:
    result = run(student, "--fail-under", "model@oracle+4.acc>=0.9", base="")
    results = read_results()
    assert list(results["models"]) == ["model"] and results["tests"] == [] and results["differences"] == {}
    assert "The model answers 100.0 % of 24 questions at oracle+4." in say(result)
    assert "delta" in run(student, "--fail-under", "delta@oracle+4.acc>=0", base="", code=2).stderr


@pytest.mark.parametrize(
    "gate",
    [
        "modle@oracle+4.acc>=0.5",
        "model@oracle+5.acc>=0.5",
        "model@oracle+4.accuracy>=0.5",
        "model@oracle+4.acc<=0.5",
        "model@oracle+4.acc>=many",
        "model@oracle+4.judged>=0.5",
    ],
)
def test_a_gate_that_cannot_be_is_told_before_anything_is_sent(student: Student, gate: str) -> None:
    result = run(student, "--fail-under", gate, code=2)
    assert "--fail-under" in result.stderr and student.log() == [] and not Path("report").exists()


def test_more_than_one_in_a_hundred_missing_is_no_whole_run(student: Student) -> None:
    result = run(student, model="filtered", code=3)
    assert "16 of 96 answers are missing" in say(result)  # 8 questions under two conditions
    results = read_results()
    assert results["complete"] is False and results["figures"]["model"]["closed"]["acc"]["n_missing"] == 8
    student.reset()
    run(student, model="filtered", code=3)
    assert student.log() == []  # a filter says the same tomorrow


def test_a_model_that_the_server_does_not_know(student: Student) -> None:
    result = run(student, model="nobody", code=1)
    assert "does not exist" in result.stderr and not Path("report/results.json").exists()


def test_few_passages_are_warned_of_and_too_few_for_a_gate(student: Student) -> None:
    result = run(student, "--limit", 10, "--fail-under", "model@oracle+4.acc>=0.1", base="", code=4)
    assert "too few: 10 questions" in result.stderr
    assert "only 10 passages are asked about" in say(result)
    assert read_results()["figures"]["model"]["closed"]["acc"]["by_question"] is True


def test_results_as_json_are_all_that_is_printed(student: Student) -> None:
    result = run(student, "--json", base="")
    assert json.loads(result.stdout)["verdict"] == read_results()["verdict"] and result.stderr == ""


# What must not be


def find_everywhere(words: str) -> list[str]:
    """Return the files here that hold these words."""
    return [str(path) for path in Path().rglob("*") if path.is_file() and words.encode() in path.read_bytes()]


def test_a_wrong_key_is_told_and_stands_nowhere(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    student.set(auth=KEY)
    wrong = "sk-wrong-fedcba9876543210"
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    result = run(student, base="", code=1)
    assert "refuses the key" in result.stderr and "OPENAI_API_KEY" in result.stderr
    assert wrong not in result.output and find_everywhere(wrong) == []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    body = json.dumps({"user": "team-7", "api_key": "hidden-in-the-body"})
    right = run(student, "--extra-body", body, base="")
    assert KEY not in right.output and find_everywhere(KEY) == []
    assert find_everywhere("hidden-in-the-body") == []


def test_a_folder_with_the_report_of_other_models(student: Student) -> None:
    run(student)
    student.reset()
    result = run(student, model="bare", code=2)
    assert "--model was" in result.stderr and "--force" in result.stderr and student.log() == []
    run(student, model="bare", base="", code=2)
    run(student, model="bare", base="", out="report/../report", code=2)
    run(student, "--force", model="bare")
    assert read_results()["models"]["model"]["name"] == student.name("bare")


def test_a_folder_that_is_something_else(student: Student) -> None:
    Path("report").mkdir()
    Path("report/thesis.tex").write_text("mine")
    assert "not empty" in run(student, code=1).stderr
    assert [path.name for path in Path("report").iterdir()] == ["thesis.tex"] and student.log() == []
    assert "is a file" in run(student, out="report/thesis.tex", code=1).stderr


def test_a_split_without_rows(student: Student) -> None:
    Path("data/test.jsonl").write_text("")
    result = run(student, code=1)
    assert "data/test.jsonl: no rows in it" in say(result) and student.log() == [] and not Path("report").exists()
    Path("data/test.jsonl").unlink()
    assert "--split" in run(student, code=1).stderr


def test_compared_with_itself_nothing_has_changed(student: Student) -> None:
    run(student, base="")
    student.reset()
    run(student, "--compare-to", "report", "--answers", "report/answers.sqlite", base="", out="again")
    change = read_results("again")["change"]
    assert student.log() == [] and (change["shared"], change["new"], change["gone"]) == (ASKED, 0, 0)
    values = [each["value"] for metrics in change["differences"].values() for each in metrics.values()]
    assert set(values) <= {0.0, None} and values.count(0.0) > 40
    run(student, "--compare-to", "report/results.json", model="bare", base="", out="other")
    change = read_results("other")["change"]["differences"]
    assert change["oracle+4"]["acc"]["value"] == 0.0 and change["oracle+4"]["grounded_acc"]["value"] == -1.0


def test_another_corpus_is_not_compared_unless_forced(student: Student) -> None:
    run(student, base="")
    student.reset()
    chunks = list(read_lines(Path("data/chunks.jsonl")))
    write_lines(Path("data/chunks.jsonl"), [*chunks, {**chunks[0], "id": "added", "text": make_halls()[0].text[::-1]}])
    result = run(student, "--compare-to", "report", base="", out="other", code=2)
    assert "other passages" in say(result) and student.log() == [] and not Path("other").exists()
    run(student, "--compare-to", "report", "--force", base="", out="other")
    assert read_results("other")["change"]["shared"] == ASKED


def test_prompts_that_are_too_long_for_a_server_are_left_out_for_all(student: Student) -> None:
    flags = ("--conditions", "closed,oracle+8")
    stopped = run(student, *flags, model="narrow", base="quotes", code=1)
    assert "--on-overflow skip" in stopped.stderr and "6 questions" in say(stopped)
    assert not Path("report/results.json").exists()
    student.reset()
    run(student, *flags, "--on-overflow", "skip", model="narrow", base="quotes")
    results = read_results()
    assert not student.asked("narrow") and len(student.log()) == 2 * ASKED  # the base was not asked for nothing before
    assert results["complete"] is True
    for label in ("model", "base"):
        for condition in ("closed", "oracle+8"):
            figure = results["figures"][label][condition]["acc"]
            assert (figure["value"], figure["n"], figure["n_missing"]) == (1.0, 18, 0)
    asked = Counter((row["model"], row["condition"]) for row in read_lines(Path("report/examples.jsonl")))
    assert set(asked.values()) == {18} and len(asked) == 4
    assert ["Left out, too long for a model", "6"] in results["exam"]


def test_markup_of_an_answer_stays_text(student: Student) -> None:
    run(student, model="scripted", base="")
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page and "alert(" in page
    assert "<script>" not in Path("report/summary.md").read_text(encoding="utf-8").replace("\\<", "")
