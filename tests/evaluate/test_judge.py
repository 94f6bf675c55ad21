"""Which answers need a judge, what its verdicts become, and how far they are believed."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from grading import cite, grade, make_case, make_item, reply
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.chat.judging import Query
from raft_cli.errors import ConfigError
from raft_cli.evaluate.judge import (
    Label,
    agree,
    agree_with_people,
    correct_rates,
    decide,
    find_kappa,
    find_strays,
    make_query,
    read_labels,
    same_family,
)
from raft_cli.evaluate.results import Answer

ITEM = make_item()
CASE = make_case(ITEM)
OTHER_WORDS = "a fiftieth of a second"


def answer(
    said: str | None, verdict: str = "", *, name: str = "item1", model: str = "model", condition: str = "oracle"
) -> Answer:
    """Return an answer `said` after the tag (None: missing), with the verdict on it."""
    item = make_item(name=name)
    case = make_case(item, condition=condition)
    if said is None:
        return Answer(model, item, case, "", reply("", error="no answer"), None)
    graded = grade(cite(answer=said), item, case)
    judged = decide(item, case, graded, {query: verdict} if (query := make_query(item, case, graded)) else {})
    return Answer(model, item, case, "", reply(said), graded, judged)


def ask_about(text: str) -> Query | None:
    return make_query(ITEM, CASE, grade(text))


# Which answers are sent


def test_only_the_short_answer_is_sent() -> None:
    sent = ask_about(cite("The relay K4 opens within 20 ms", answer=OTHER_WORDS))
    assert sent == Query("How fast does K4 open?", ("20 ms",), OTHER_WORDS, "en")
    assert ask_about(f"<think>20 ms, no?</think>First this.\nThen {OTHER_WORDS}") == replace(
        sent, answer=f"Then {OTHER_WORDS}"
    )


def test_the_golds_are_those_of_the_case() -> None:
    counter = replace(CASE, golds=("35 ms", " "), condition="counter")
    sent = make_query(ITEM, counter, grade(cite(answer="20 ms"), ITEM, counter))
    assert sent == Query(ITEM.question, ("35 ms",), "20 ms", "en")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (cite(answer="20 ms"), "CORRECT"),
        (cite(answer="The 20.0 MS."), "CORRECT"),
        ("No tag here.\n20 ms", "CORRECT"),
        (cite(answer=""), "NOT_ATTEMPTED"),
        ("", "NOT_ATTEMPTED"),
        ("<think>20 ms", "NOT_ATTEMPTED"),
    ],
)
def test_what_needs_no_judge(text: str, verdict: str) -> None:
    graded = grade(text)
    assert make_query(ITEM, CASE, graded) is None and decide(ITEM, CASE, graded, {}) == verdict


def test_what_the_judge_did_not_say_is_missing() -> None:
    graded = grade(cite(answer=OTHER_WORDS))
    query = make_query(ITEM, CASE, graded)
    assert query is not None
    assert decide(ITEM, CASE, graded, {}) == ""
    assert decide(ITEM, CASE, graded, {replace(query, answer="x"): "CORRECT"}) == ""
    for verdict in ("CORRECT", "INCORRECT", "NOT_ATTEMPTED"):
        assert decide(ITEM, CASE, graded, {query: verdict}) == verdict


def test_model_and_base_get_one_verdict_for_equal_words_however_they_came_to_them() -> None:
    ways = [cite(answer=OTHER_WORDS), f"Let me think.\n{OTHER_WORDS}", f"Final answer: {OTHER_WORDS}"]
    assert len({ask_about(way) for way in ways}) == 1
    elsewhere = make_case(ITEM, ["Nothing."], oracle=(), condition="distract")
    assert make_query(ITEM, elsewhere, grade(ways[0], ITEM, elsewhere)) == ask_about(ways[0])


# Agreement


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ((20, 5, 10, 15), 0.4),  # Wikipedia's example of Cohen's kappa
        ((45, 15, 25, 15), 0.1304),
        ((10, 0, 0, 10), 1.0),
        ((0, 10, 10, 0), -1.0),
        ((10, 0, 0, 0), None),
        ((0, 0, 0, 3), None),
        ((9, 1, 0, 0), 0.0),
        ((0, 0, 0, 0), None),
    ],
)
def test_kappa(table: tuple[int, int, int, int], kappa: float | None) -> None:
    cells = [(True, True), (True, False), (False, True), (False, False)]
    pairs = [cell for cell, count in zip(cells, table, strict=True) for _ in range(count)]
    found = find_kappa(pairs)
    assert (found is None) == (kappa is None) and (kappa is None or found == pytest.approx(kappa, abs=1e-4))


def test_agreement_is_over_what_the_judge_was_asked_about() -> None:
    asked = [
        answer("it is 20 ms", "CORRECT"),
        answer(OTHER_WORDS, "CORRECT"),
        answer("35 ms", "INCORRECT"),
        answer("within 20 ms", "INCORRECT"),
    ]
    assert agree(asked) == pytest.approx(0.0)
    easy = [answer("20 ms"), answer(""), answer("no idea", ""), answer(None)]
    again = [replace(each, model="base") for each in (asked[0], asked[2])]
    assert agree([*asked, *easy, *again]) == agree(asked)
    assert agree(easy) is None and agree([]) is None


def test_a_missing_tag_is_no_disagreement() -> None:
    item = make_item()
    case = make_case(item)
    untagged = grade("It opens within 20 ms", item, case)
    assert untagged.acc == 0.0 and untagged.em_lenient == 0.0
    answers = [
        Answer("base", item, case, "", reply(""), untagged, "CORRECT"),
        answer("35 ms", "INCORRECT"),
    ]
    assert agree(answers) == 1.0


# Labels of people


def write_labels(path: Path, *rows: Sequence[str], header: str = "id,condition,model,verdict") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]), encoding="utf-8")
    return path


def test_labels_of_a_sheet_and_of_lines_of_json(tmp_path: Path) -> None:
    wanted = {
        ("a", "oracle+4", "model"): "CORRECT",
        ("a", "oracle+4", "base"): "INCORRECT",
        ("b", "closed", "base"): "NOT_ATTEMPTED",
    }
    rows = [
        ("a", "oracle+4", "model", "right"),
        ("a", "oracle+4", "base", "Wrong"),
        ("b", "closed", "base", "not attempted"),
    ]
    plain = write_labels(tmp_path / "plain.csv", *rows, ("c", "closed", "model", ""))
    assert read_labels(plain) == wanted
    excel = tmp_path / "excel.csv"
    lines = [
        "\ufeffVerdict;ID;note;Model;condition",
        *(f'{v};{i};"x;\r\ny";{m};{c}' for i, c, m, v in rows),
        ";;;;",
        "",
    ]
    excel.write_bytes("\r\n".join(lines).encode())
    assert read_labels(excel) == wanted
    objects = [dict(zip(("id", "condition", "model", "verdict"), row, strict=True)) | {"output": "…"} for row in rows]
    unlabelled = {"id": "c", "condition": "closed", "model": "base", "judged": "CORRECT"}
    spoken = tmp_path / "examples.jsonl"
    spoken.write_text("\n".join(map(json.dumps, [*objects, unlabelled])) + "\n\n", encoding="utf-8")
    assert read_labels(spoken) == wanted


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", "id,condition,model\na,closed,base", "x.csv, line 1: the column verdict is missing"),
        ("x.csv", "", "line 1: the column id is missing"),
        ("x.csv", "id,condition,model,verdict\na,closed,base,right\nb,closed,tuned,right", "line 3: model is 'tuned'"),
        ("x.csv", "id,condition,model,verdict\na,closed,base,maybe", "line 2: verdict is 'maybe'"),
        ("x.csv", "id,condition,model,verdict\n,closed,base,right", "line 2: id is missing"),
        ("x.csv", "id,condition,model,verdict\na,,base,right", "line 2: condition is missing"),
        ("x.csv", "id,condition,model,verdict\na,closed,base,", "no verdict in it"),
        ("x.csv", 'id,condition,model,verdict\na,closed,base,"right', "line 2: unexpected end of data"),
        (
            "x.csv",
            "id,condition,model,verdict\na,closed,base,right\n\na,closed,base,CORRECT\na,closed,base,wrong",
            "line 5: INCORRECT, but line 2 says CORRECT",
        ),
        ("x.jsonl", '{"id": "a"}\n{"id": ', "x.jsonl, line 2: no JSON"),
        ("x.jsonl", "[1]", "line 1: no JSON object"),
        ("x.jsonl", '{"id": "a", "condition": "closed", "model": "base", "verdict": true}', "verdict is 'True'"),
    ],
)
def test_faults_of_labels_name_their_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_labels(tmp_path / name)
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


def test_labels_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "x.csv", tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
            read_labels(path)


def test_agreement_with_people_and_labels_of_nothing() -> None:
    answers = [
        answer("it is 20 ms", "CORRECT", name="a"),
        answer("35 ms", "INCORRECT", name="b"),
        answer("20 ms", name="c"),
        answer("40 ms", "", name="d"),
    ]
    labels: dict[Label, str] = {(name, "oracle", "model"): "CORRECT" for name in "acd"}
    labels |= {("b", "oracle", "model"): "NOT_ATTEMPTED", ("b", "oracle", "base"): "CORRECT"}
    assert agree_with_people(answers, labels) == (1.0, 2)
    assert agree_with_people(answers, {}) == (None, 0)
    assert find_strays(answers, labels) == [("b", "oracle", "base")]


# The corrected share


def make_exam(
    *, sensitivity: float, specificity: float, right: int, wrong: int, exact: int, model: str
) -> tuple[list[Answer], dict[Label, str]]:
    """Return answers of a model with the verdicts of a judge of known errors, and what people say of each."""
    answers, labels = [], {}
    truths = [True] * right + [False] * wrong
    for at, truth in enumerate(truths):
        rank = at if truth else at - right
        share = sensitivity * right if truth else (1 - specificity) * wrong
        verdict = "CORRECT" if rank < round(share) else "INCORRECT"
        made = answer(f"wordy {model} {at}", verdict, name=f"q{at}", model=model)
        answers.append(made)
        labels[made.item.id, "oracle", model] = "CORRECT" if truth else "INCORRECT"
    answers += [answer("20 ms", name=f"e{at}", model=model) for at in range(exact)]
    return answers, labels


def test_known_errors_of_a_judge_are_taken_out() -> None:
    tuned, said = make_exam(sensitivity=0.8, specificity=0.7, right=40, wrong=20, exact=40, model="model")
    base, more = make_exam(sensitivity=0.8, specificity=0.7, right=10, wrong=90, exact=0, model="base")
    found = correct_rates([*tuned, *base], said | more)
    assert found is not None and found.keys() == {("model", "oracle"), ("base", "oracle")}
    assert found["model", "oracle"] == pytest.approx(0.8) and found["base", "oracle"] == pytest.approx(0.1)
    raw = sum(each.judged == "CORRECT" for each in tuned) / len(tuned)
    assert raw == pytest.approx(0.78)


def test_a_part_of_the_labels_corrects_the_whole() -> None:
    answers, labels = make_exam(sensitivity=0.75, specificity=0.9, right=400, wrong=600, exact=0, model="model")
    picked = random.Random(1).sample(sorted(labels), 300)
    found = correct_rates(answers, {label: labels[label] for label in picked})
    assert found is not None and found["model", "oracle"] == pytest.approx(0.4, abs=0.06)


def test_what_needs_no_judge_has_none_of_its_errors() -> None:
    answers, labels = make_exam(sensitivity=0.6, specificity=0.9, right=20, wrong=20, exact=0, model="model")
    sure = [
        *(answer("20 ms", name=f"s{at}", condition="closed") for at in range(3)),
        answer("", name="s3", condition="closed"),
        answer(None, name="s4", condition="closed"),
        answer("hm", "", name="s5", condition="closed"),
    ]
    found = correct_rates([*answers, *sure], labels)
    assert found is not None and found["model", "closed"] == 0.75
    ignored = labels | {(each.item.id, "closed", "model"): "INCORRECT" for each in sure}
    assert correct_rates([*answers, *sure], ignored) == found


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "right", "wrong"),
    [(1.0, 1.0, 9, 10), (1.0, 1.0, 30, 0), (1.0, 1.0, 0, 30), (0.5, 0.5, 20, 20), (0.2, 0.5, 20, 20)],
)
def test_what_cannot_be_corrected_is_not(sensitivity: float, specificity: float, right: int, wrong: int) -> None:
    answers, labels = make_exam(
        sensitivity=sensitivity, specificity=specificity, right=right, wrong=wrong, exact=30, model="model"
    )
    assert correct_rates(answers, labels) is None
    assert correct_rates(answers, {}) is None


def test_twenty_labels_are_enough() -> None:
    answers, labels = make_exam(sensitivity=1.0, specificity=1.0, right=10, wrong=10, exact=0, model="model")
    assert correct_rates(answers, labels) == {("model", "oracle"): pytest.approx(0.5)}


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.55, 1), st.floats(0.55, 1), st.integers(0, 20))
def test_a_corrected_share_stays_a_share(right: int, wrong: int, one: float, other: float, exact: int) -> None:
    answers, labels = make_exam(
        sensitivity=one, specificity=other, right=right, wrong=wrong, exact=exact, model="model"
    )
    off = [replace(each, model="base", judged="INCORRECT") for each in answers if each.item.id.startswith("q")]
    for share in (correct_rates([*answers, *off], labels) or {}).values():
        assert 0.0 <= share <= 1.0


# Families


@pytest.mark.parametrize(
    ("judge", "teacher", "same"),
    [
        ("gpt-5@https://api.openai.com/v1", "gpt-4.1-mini", True),
        ("o3-mini", "gpt-4o", True),
        ("openai/gpt-oss-120b@http://localhost:8000/v1", "chatgpt-4o-latest", True),
        ("endpoint:Qwen/Qwen3-32B@http://h/v1", "qwen2.5:7b", True),
        ("deepseek-chat", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True),
        ("qwen-max", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True),
        ("meta-llama/Llama-3.3-70B-Instruct", "codellama-13b", True),
        ("Mixtral-8x7B", "mistral-large-latest", True),
        ("gemini-2.5-pro", "google/gemma-3-27b-it", True),
        ("claude-sonnet-4", "anthropic.claude-3-haiku", True),
        ("my-model@http://one/v1", "my-model@http://two/v1", True),
        ("gpt-5", "claude-sonnet-4", False),
        ("claude-sonnet-4@http://gpt-4.local/v1", "gpt-4o@http://claude/v1", False),
        ("ollama/qwen2:7b", "llama3", False),
        ("dolphin-3", "phi-3-mini", False),
        ("mistral-small", "extractive", False),
        ("my-model", "other-model", False),
        ("foo1", "o1", False),
    ],
)
def test_families_by_name(judge: str, teacher: str, same: bool) -> None:
    assert same_family(judge, teacher) is same and same_family(teacher, judge) is same
