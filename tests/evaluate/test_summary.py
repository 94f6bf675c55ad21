"""What the Markdown summary, the JUnit file and the choice of examples say, and that they survive hostile text."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from evaluated import evaluate, failed, gold, right, wrong

from raft_cli.cot import TAG
from raft_cli.errors import ConfigError
from raft_cli.evaluate.earlier import Change
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.records import Response
from raft_cli.evaluate.reports import words
from raft_cli.evaluate.reports.junit import render_junit
from raft_cli.evaluate.reports.summary import render_summary
from raft_cli.evaluate.reports.telling import pick_telling
from raft_cli.evaluate.results import Results
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.statistics import Difference, Interval

HOSTILE = "a|b <script>alert(1)</script>\n`c` *d* [e](f)\x1b[31m \x00\u202eg\ufffe"
FAILURE = Failure("gold", "acc", 1.0, 0.5, 24, "item0003")
GATES = (
    GateResult("model@oracle.acc>=0.7", True, 0.75, 0.7, "acc is 0.750 over 24 questions", True),
    GateResult("delta@oracle.acc>=0.5", False, 0.1, 0.5, "the lower end of +0.250 is +0.100 over 24 questions", True),
    GateResult("model@oracle.judged>=0.9", False, None, 0.9, "undefined: no answer counts for it", False),
)


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


def interval(value: float | None, low: float | None = None, high: float | None = None) -> Interval:
    return Interval(value, low, high, 24, 24, 0, False)


def difference(value: float | None, low: float | None = None, high: float | None = None) -> Difference:
    return Difference(value, low, high, None, None, 24, 24, 0, False)


def lines_of(text: str, beginning: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(beginning)]


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (interval(0.64, 0.596, 0.6824), "64.0 % [59.6, 68.2]"),
        (interval(1.0, 0.964, 1.0), "100.0 % [96.4, 100.0]"),
        (interval(0.5), "50.0 %"),
        (interval(None), "–"),
        (None, "–"),
        (interval(-0.00001, -0.2, 0.1), "0.0 % [−20.0, 10.0]"),
    ],
)
def test_a_share_is_in_per_cent_and_an_undefined_one_a_dash(figure: Interval | None, shown: str) -> None:
    assert words.show_interval(figure) == shown


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (difference(0.434, 0.382, 0.488), "+43.4 [+38.2, +48.8]"),
        (difference(-0.052, -0.1, 0.0), "−5.2 [−10.0, 0.0]"),
        (difference(0.0004, -0.0004, 0.02), "0.0 [0.0, +2.0]"),
        (difference(0.1), "+10.0"),
        (difference(None), "–"),
    ],
)
def test_a_difference_is_in_points_with_a_sign(figure: Difference, shown: str) -> None:
    assert words.show_difference(figure) == shown


def test_small_figures_of_other_kinds() -> None:
    assert [words.show_p(p) for p in (None, 0.0, 0.00099, 0.001, 0.04996, 1.0)] == [
        "–", "<0.001", "<0.001", "0.001", "0.050", "1.000"
    ]  # fmt: skip
    assert [words.mark_sure(p) for p in (None, 0.049, 0.05)] == ["", "*", ""]
    assert words.show_figure("answer_tokens", interval(1234.56)) == "1,234.6"
    assert words.show_figure("acc", interval(0.5)) == "50.0 %" and words.show_figure("final_units", None) == "–"
    assert [words.show_seconds(each) for each in (0.04, 9.96, 59.7, 3599.0, 7325.0)] == [
        "0.0 s", "10 s", "1 min 00 s", "59 min 59 s", "2 h 02 min"
    ]  # fmt: skip


def test_each_condition_in_words() -> None:
    names = "closed oracle oracle+1 oracle+4 distract retrieved@5 pos@0 pos@0.25 pos@1 counter".split()
    assert [words.explain_condition(name) for name in names] == [
        "no documents",
        "the oracle alone",
        "the oracle and 1 distractor",
        "the oracle and 4 distractors",
        "distractors only, the oracle missing",
        "5 passages that a search found",
        "the oracle first among 8 distractors",
        "the oracle 25 % down among 8 distractors",
        "the oracle last among 8 distractors",
        "the oracle with another answer put in",
    ]
    with pytest.raises(ConfigError, match="no condition 'open'"):
        words.explain_condition("open")


def test_text_of_others_is_one_line_without_controls() -> None:
    assert (
        words.clean_text("a\n\tb\x1b[2J\x00\x9b\u202e\u2066c\ud800\uffff 中文 \U0001f600") == "a b[2Jc 中文 \U0001f600"
    )
    assert words.shorten("one two three", 9) == "one two…" and words.shorten("one two", 7) == "one two"
    assert words.escape_markdown("a|b <i> `x` *y* [z](u) \\") == r"a\|b &lt;i&gt; \`x\` \*y\* \[z\](u) \\"


def test_the_table_of_figures_has_both_models_and_the_test(results: Results) -> None:
    text = render_summary(results)
    assert "| condition | model, % | base, % | Δ, points | p (Holm) |" in text
    (row,) = lines_of(text, "| **oracle+2**")
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[0] == "**oracle+2**<br>the oracle and 2 distractors"
    assert cells[1].startswith("75.0 [") and cells[2].startswith("50.0 [") and cells[3].startswith("+25.0 [")
    assert cells[4] == "0.952"  # 4 · 0.238, McNemar of 12 and 6
    (nothing,) = lines_of(text, "| closed")
    assert nothing.split(" | ")[1].startswith("0.0 [0.0, ") and nothing.endswith("] | 1.000 |")
    assert nothing.split(" | ")[3].startswith("0.0 [")
    assert "adjusted for 4 conditions (Holm)" in text and "\\*" not in row


def test_a_difference_that_is_sure_has_a_star() -> None:
    sure = evaluate(lambda label, at, condition: right(at) if label == "model" else wrong())
    row = lines_of(render_summary(sure), "| **oracle+2**")[0]
    assert " | +100.0 [" in row and row.endswith("] | <0.001 \\* |")


def test_the_table_of_quotations_is_of_conditions_with_documents(results: Results) -> None:
    text = render_summary(results)
    table = text.partition("## Quotations")[2].partition("##")[0]
    rows = {
        tuple(line.strip("| ").split(" | ")[:2]): line.strip("| ").split(" | ")[2:] for line in lines_of(table, "|")
    }
    assert ("closed", "model") not in rows and len(rows) == 2 + 3 * 2
    grounded, precision, fabricated, quoting, formatted, chance = rows["oracle+2", "model"]
    assert grounded.startswith("75.0 [") and precision.startswith("100.0 [") and fabricated.startswith("0.0 [")
    assert quoting.startswith("75.0 [") and formatted.startswith("100.0 [") and chance == "33.3"
    assert rows["oracle+2", "base"][1:3] == ["–", "–"] and rows["distract", "model"][0] == "–"


def test_contrasts_gates_change_and_notes(results: Results) -> None:
    change = Change({("oracle", "acc"): difference(0.125, 0.0, 0.25)}, 20, 4, 1)
    text = render_summary(replace(results, gates=GATES, change=change, warnings=("mind *this*",)))
    (gain,) = lines_of(text, "| context\\_gain | acc(oracle) − acc(closed) | +75.0 [")
    assert gain.count("|") == 5 and " | +50.0 [" in gain
    assert [line.split(" | ")[0] for line in lines_of(text.partition("## Gates")[2], "| ")[1:4]] == [
        "| passed", "| FAILED", "| warns"
    ]  # fmt: skip
    assert "20 questions in both, 4 new, 1 gone" in text and "| oracle | +12.5 [0.0, +25.0] | – |" in text
    assert "\n- mind \\*this\\*\n" in text and "Self-check passed" in text


def test_a_failed_self_check_comes_first(results: Results) -> None:
    text = render_summary(replace(results, failures=(FAILURE,)))
    assert text.index("no figure here is to be believed") < text.index("## Right answers")
    assert "| gold | acc | 1.000 | 0.500 | 24 | item0003 |" in text and "Self-check passed" not in text


def test_a_run_without_base_or_with_answers_missing() -> None:
    alone = evaluate(lambda label, at, condition: failed() if at < 2 else right(at), base=False, conditions=("closed",))
    text = render_summary(alone)
    assert "| condition | model, % |\n" in text and "Δ" not in text and "## Quotations" not in text
    assert "- **Incomplete**: 2 of 24 answers, scored nowhere" in text
    assert "| **closed**<br>no documents | 100.0 [" in text


def test_hostile_names_do_not_break_the_summary(results: Results) -> None:
    gate = GateResult(HOSTILE, False, None, 0.0, HOSTILE, True)
    hostile = replace(
        results, data=HOSTILE, verdict=HOSTILE, warnings=(HOSTILE,), gates=(gate,),
        examinees=tuple(replace(each, name=HOSTILE) for each in results.examinees),
        failures=(replace(FAILURE, probe=HOSTILE, example=HOSTILE),),
    )  # fmt: skip
    text = render_summary(hostile)
    assert "<script" not in text and not any(mark in text for mark in "\x1b\x00\u202e\ufffe")
    assert all(line.replace("\\|", "").count("|") in (0, 4, 5, 6, 7, 9) for line in text.splitlines())
    assert r"a\|b &lt;script&gt;alert(1)&lt;/script&gt; \`c\` \*d\* \[e\](f)\[31m g" in text


def test_junit_has_a_test_for_each_gate_and_for_the_run(results: Results) -> None:
    root = ElementTree.fromstring(render_junit(replace(results, gates=GATES)))
    (suite,) = root
    counts = {"tests": "5", "failures": "1", "errors": "0", "skipped": "1", "time": "2.500"}
    assert {name: suite.get(name) for name in counts} == counts == {name: root.get(name) for name in counts}
    assert [(case.get("classname"), case.get("name"), [told.tag for told in case]) for case in suite] == [
        ("raft.eval.run", "self-check", []),
        ("raft.eval.run", "completeness", []),
        ("raft.eval.gates", "model@oracle.acc>=0.7", []),
        ("raft.eval.gates", "delta@oracle.acc>=0.5", ["failure"]),
        ("raft.eval.gates", "model@oracle.judged>=0.9", ["skipped"]),
    ]
    assert suite[3][0].get("message") == "the lower end of +0.250 is +0.100 over 24 questions"
    assert suite[4][0].get("message") == "undefined: no answer counts for it"


def test_junit_fails_for_the_self_check_and_for_missing_answers() -> None:
    lost = evaluate(lambda label, at, condition: failed() if at == 3 else right(at), conditions=("closed", "oracle"))
    (suite,) = ElementTree.fromstring(render_junit(replace(lost, failures=(FAILURE,))))
    check, complete = suite
    assert check[0].tag == complete[0].tag == "failure" and suite.get("failures") == "2"
    assert check[0].text == "gold: acc is 0.500, expected 1.000 over 24 answers; first at question item0003"
    assert complete[0].get("message") == "4 of 96 answers are missing"


def test_junit_holds_nothing_that_xml_forbids(results: Results) -> None:
    gate = GateResult(HOSTILE, False, None, 0.0, HOSTILE, True)
    text = render_junit(replace(results, gates=(gate,), failures=(replace(FAILURE, example=HOSTILE),)))
    (suite,) = ElementTree.fromstring(text)
    assert suite[2].get("name") == suite[2][0].get("message") == ("a|b <script>alert(1)</script> `c` *d* [e](f)[31m g")
    text.encode("utf-8")


def telling_of(results: Results, count: int = 5) -> list[tuple[str, str]]:
    return [(telling.item.id, telling.right) for telling in pick_telling(results, count)]


def test_telling_questions_are_lost_and_won_in_turn(results: Results) -> None:
    """The base alone is right on 0 to 5, the model alone on 12 to 23."""
    assert telling_of(results) == [
        ("item0000", "base"), ("item0012", "model"), ("item0001", "base"), ("item0013", "model"), ("item0002", "base")
    ]  # fmt: skip
    assert len(telling_of(results, 100)) == 18
    telling = pick_telling(results, 1)[0]
    assert telling.base and telling.base.item.id == telling.model.item.id == "item0000"
    assert telling.model.case.condition == "oracle+2"


def test_what_tells_most_comes_first() -> None:
    """First a word of a distractor, then a plain fault against proof, then without; no answer and half of one last."""
    faults = {
        0: Response("", "stop", 1, 1),
        1: Response(f"It is {gold(1)}", "stop", 1, 1),
        2: wrong(),
        3: Response(f"{TAG} nobody", "length", 1, 1),
        4: wrong(gold(25)),
        5: wrong(),
    }

    def speak(label: str, at: int, condition: str) -> Response:
        if at in faults and condition == "oracle+2":
            return faults[at] if label == "base" else right(at, cited=at if at == 5 else None)
        return right(at)

    found = [name for name, _ in telling_of(evaluate(speak))]
    assert found == ["item0004", "item0005", "item0002", "item0000", "item0003"]


def test_a_second_question_of_a_passage_waits(results: Results) -> None:
    same = {name: "p" if at < 4 else name for at, name in enumerate(results.clusters)}
    lost = [name for name, won in telling_of(replace(results, clusters=same), 100) if won == "base"]
    assert lost == ["item0000", "item0004", "item0005", "item0001", "item0002", "item0003"]


def test_without_a_base_what_went_wrong_is_told() -> None:
    alone = evaluate(lambda label, at, condition: wrong() if at in (3, 9) else right(at), base=False)
    assert telling_of(alone) == [("item0003", ""), ("item0009", "")]
    assert pick_telling(alone, 5)[0].base is None
