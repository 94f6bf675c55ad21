"""What `raft eval` prints, to a file and in a real terminal."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest
from evaluated import evaluate, failed, right, wrong

from raft_cli.cli.evaluation import show_results
from raft_cli.evaluate.earlier import Change
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.records import Response
from raft_cli.evaluate.reports.record import build_record
from raft_cli.evaluate.results import Judged, Results, Retrieval, Steadiness
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.statistics import Difference, Interval

TESTS = Path(__file__).parent.parent
OUT = Path("reports/raft")
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "[bold]b[/]\x1b]0;title\x07\x1b[2J\r\u202e|\nc :smile:"
FIGURE = Interval(0.5, 0.25, 0.75, 24, 24, 0, False)


def say(label: str, at: int, condition: str) -> Response:
    """Let the model be right on 18 of 24 with documents, on a document's word, and the base on 3 that it is not."""
    if condition in ("closed", "distract"):
        return wrong()
    if label == "model":
        return wrong() if at < 6 else right(at, cited=at)
    return right(at) if at < 3 else wrong("nobody" if at % 2 else "squad25")


@pytest.fixture(scope="module")
def results() -> Results:
    return evaluate(say)


def show(results: Results, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_results(results, OUT, as_json=False)
    return capsys.readouterr().out.splitlines()


def section(lines: list[str], title: str) -> list[str]:
    """Return the lines below a title, up to the next one."""
    start = next(at for at, line in enumerate(lines) if line.startswith(title)) + 1
    stop = next(at for at, line in enumerate([*lines[start:], "end"]) if not line.startswith(" "))
    return lines[start : start + stop]


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_the_first_table_has_both_models_the_difference_and_its_p(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    table = section(show(results, capsys), "Right answers, % (primary: oracle+2)")
    assert cells(table[0]) == ["condition", "model", "base", "Δ, points", "p (Holm)"]
    closed, oracle, primary, distract = map(cells, table[1:5])
    assert [row[0] for row in (closed, oracle, primary, distract)] == ["closed", "oracle", "oracle+2", "distract"]
    assert primary[1].startswith("75.0 [") and primary[2].startswith("12.5 [") and primary[3].startswith("+62.5 [")
    # Right alone: the model on 18, the base on 3; p = 2 · (1 + 21 + 210 + 1330) / 2^21 = 0.00149, times 4.
    assert primary[4] == "0.006*" and closed[4] == "1.000"
    assert table[7] == "  * p below 0.05 by McNemar's test, adjusted for 4 conditions (Holm)"
    assert all(line == line.rstrip() for line in table)


def test_the_table_of_quotations_has_chance_beside_precision(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    table = section(show(results, capsys), "Quotations and grounding, %")
    assert cells(table[0]) == ["condition", "model", "grounded", "citations", "chance", "made up", "quote", "format"]
    rows = {tuple(cells(line)[:2]): cells(line)[2:] for line in table[1:7]}
    model, base = rows["oracle+2", "model"], rows["oracle+2", "base"]
    assert model[0].startswith("75.0 [") and model[1].startswith("100.0 [")
    assert model[2:] == ["33.3", "0.0", "75.0", "100.0"] and base[1:] == ["–", "33.3", "–", "0.0", "100.0"]
    assert rows["distract", "model"] == ["–", "–", "–", "–", "0.0", "100.0"]


def test_what_documents_do_and_other_lines(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    retrieval = Retrieval("retrieved@5", FIGURE, FIGURE, FIGURE, {"model": (FIGURE, replace(FIGURE, value=None))})
    lines = show(
        replace(
            results,
            retrievals=(retrieval,),
            steadiness=(Steadiness("model", 0.875, 24, 3.0, 0.083),),
            grounded_refusal={"base": 0.4},
            judged=Judged("j@u", 9, 0, 2, None, human=(0.8, 30)),
        ),
        capsys,
    )
    gain = cells(section(lines, "When the documents change")[1])
    assert gain[0] == "context_gain" and gain[1].startswith("+75.0 [") and gain[2].startswith("+12.5 [")
    assert gain[3] == "acc(oracle) − acc(closed)"
    assert [cells(line) for line in section(lines, "Steadiness, retrieval, refusal")] == [
        ["Places, model", "same verdict at all for 87.5 % of 24; Cochran's p 0.083"],
        ["retrieved@5", "oracle found for 50.0 % [25.0, 75.0]"],
        ["retrieved@5, model", "50.0 % right where it was found, – where not"],
        ["Refusal, base", "40.0 % (F1 of declining without an oracle only)"],
        ["Judge", "j@u"],
        ["Judge and acc", "kappa –; 2 verdicts missing"],
        ["Judge and people", "kappa 0.80 on 30 labels"],
    ]


def test_five_telling_answers_with_what_is_the_matter(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    told = section(show(results, capsys), "Telling answers (oracle+2)")
    assert len(told) == 5 * 4
    assert told[:4] == [
        "  only the base is right: Which team checks hall 0?",
        "    gold   squad0",
        "    model  nobody at all",
        "    base   squad0",
    ]
    assert told[4:8] == [
        "  only the model is right: Which team checks hall 6?",
        "    gold   squad6",
        "    model  squad6",
        "    base   squad25  (stands in a distractor)",
    ]


def test_gates_change_notes_and_where_it_all_lies(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    change = Change({("oracle", "acc"): Difference(-0.125, -0.25, 0.0, None, None, 20, 20, 0, False)}, 20, 4, 1)
    gates = (
        GateResult("model@oracle.acc>=0.7", True, 0.75, 0.7, "acc is 0.750 over 24 questions", True),
        GateResult("model@oracle.em>=0.9", False, 0.75, 0.9, "em is 0.750 over 24 questions", True),
        GateResult("model@oracle.judged>=0.9", False, None, 0.9, "undefined: no answer counts for it", False),
    )
    lines = show(replace(results, gates=gates, change=change, warnings=("mind this",)), capsys)
    assert section(lines, "Gates") == [
        "  passed  model@oracle.acc>=0.7  (acc is 0.750 over 24 questions)",
        "  FAILED  model@oracle.em>=0.9  (em is 0.750 over 24 questions)",
        "  warns   model@oracle.judged>=0.9  (undefined: no answer counts for it)",
    ]
    changed = section(lines, "Since the earlier run, points (20 questions in both, 4 new, 1 gone)")
    assert cells(changed[1]) == ["oracle", "−12.5 [−25.0, 0.0]", "–"] and len(changed) == 2
    assert lines[-8:] == [
        "note: mind this",
        "",
        "RAFT helps.",
        "  look at it    reports/raft/report.html",
        "  all figures   reports/raft/results.json",
        "  all answers   reports/raft/examples.jsonl",
        "  for a CI run  reports/raft/summary.md",
        "  next          raft compare reports/raft OTHER-REPORT",
    ]


def test_a_failed_self_check_comes_before_everything(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    lines = show(replace(results, failures=(Failure("gold", "acc", 1.0, None, 1, "item0003"),)), capsys)
    assert lines[0] == "The self-check failed: no figure below is to be believed"
    assert lines[1] == "  gold: acc is –, must be 1.000 over 1 answer; first at question item0003"
    many = tuple(Failure(f"probe{at}", "acc", 1.0, 0.5, 24, "") for at in range(12))
    assert show(replace(results, failures=many), capsys)[10:12] == [
        "  probe9: acc is 0.500, must be 1.000 over 24 answers",
        "  and 2 more figures, all of them in summary.md",
    ]
    assert show(results, capsys)[0] == "Evaluation"


def test_a_model_alone_with_answers_missing(capsys: pytest.CaptureFixture[str]) -> None:
    lost = evaluate(lambda label, at, condition: failed() if at < 2 else right(at), base=False, conditions=("closed",))
    lines = show(lost, capsys)
    assert lines[0] == "Evaluation (incomplete)"
    assert lines[4] == "  Missing    2 of 24 answers (8.3 %), scored nowhere"
    assert cells(section(lines, "Right answers, %")[0]) == ["condition", "model"]
    assert not any(line.startswith(("Quotations", "When", "Telling", "Gates", "Since")) for line in lines)


def test_text_of_others_reaches_no_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = evaluate(lambda label, at, condition: right(at) if label == "model" else wrong(HOSTILE))
    item = replace(hostile.items[0], question=HOSTILE)
    models = tuple(replace(each, name=HOSTILE) for each in hostile.examinees)
    changed = replace(hostile, items=(item, *hostile.items[1:]), examinees=models, warnings=(HOSTILE,), data=HOSTILE)
    show_results(changed, OUT, as_json=False)
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\r\u202e") and out.count("[bold]b[/]]0;title[2J | c :smile:") >= 5
    assert "    base   [bold]b[/]]0;title[2J | c :smile:\n" in out


def test_json_is_the_record(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    show_results(results, OUT, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(build_record(results)))


CODE = """
import sys
sys.path[:0] = sys.argv[1:]
from pathlib import Path
from evaluated import evaluate, right, wrong
from raft_cli.cli.evaluation import show_results
show_results(evaluate(lambda label, at, condition: right(at) if at % (5 if label == "model" else 3) else wrong()),
    Path("out"), as_json=False)
"""


def show_in_terminal(columns: int) -> list[str]:
    """Return what a terminal of that width is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-c", CODE, str(TESTS)]
    with subprocess.Popen(command, stdout=theirs, env={**environment, "TERM": "xterm-256color"}) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return b"".join(parts).decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [70, 80, 140])
def test_tables_fit_the_terminal(columns: int) -> None:
    """Where a row is too long, intervals go below their figures; a column that only explains goes first."""
    sent = show_in_terminal(columns)
    assert any("\x1b[1m" in line for line in sent)
    lines = [ESCAPE.sub("", line) for line in sent]
    table = lines[lines.index("Right answers, % (primary: oracle+2)") + 1 :]
    table = table[: table.index("  [ ] 95 % intervals, from resampling whole passages")]
    assert all(len(line) <= columns for line in table)
    assert len(table) == 1 + 4 * (2 if columns == 70 else 1)
    row = next(line for line in table if line.split()[0] == "oracle").split()
    assert row[:2] == ["oracle", "79.2"] and ("[" in "".join(row)) == (columns > 70)
    contrast = next(line for line in lines if line.lstrip().startswith("context_gain"))
    assert ("acc(oracle)" in contrast) == (columns == 140)
