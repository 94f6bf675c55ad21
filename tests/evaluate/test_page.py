"""The page of an evaluation: whole, safe whatever stands in it, honest about what is not there."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from fakes import make_chunk
from grading import cite, make_case, make_item, reply
from results_made import CONDITIONS, QUICK, behave, make_results

from raft_cli.cot import BEGIN, END
from raft_cli.evaluate.distractors import Leaks
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.measure import METRICS
from raft_cli.evaluate.records import Case, Item, QuoteClass, Response
from raft_cli.evaluate.reports.bars import stack_declined, stack_lengths, stack_pairs, stack_quotes
from raft_cli.evaluate.reports.browser import show_examples
from raft_cli.evaluate.reports.charts import draw_positions, draw_sweep
from raft_cli.evaluate.reports.choice import Chosen, choose_examples
from raft_cli.evaluate.reports.headline import list_headlines, list_tiles
from raft_cli.evaluate.reports.marks import mark_answer
from raft_cli.evaluate.reports.page import render_page
from raft_cli.evaluate.reports.shelf import Shelf
from raft_cli.evaluate.reports.tables import list_metrics, list_slices
from raft_cli.evaluate.results import Answer, Results
from raft_cli.evaluate.score import grade_response
from raft_cli.evaluate.selfcheck import Failure
from raft_cli.evaluate.statistics import Interval

VOID = {"meta", "input", "br", "link", "img", "hr"}
CLOSED = {"rect", "line", "circle", "polyline", "polygon"}  # of SVG, written as <rect …/>
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">"\'><!--'


class Reader(HTMLParser):
    """Notes elements that do not close, ids, links, classes, attributes and text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.script = ""
        self.feed(page)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in CLOSED:
            self.faults.append(f"<{tag}/>")

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids.update(value or "" for name, value in attrs if name == "id")
        if len({name for name, _ in attrs}) < len(attrs):
            self.faults.append(f"twice the same attribute on {tag}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> in {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.script += data
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render_page(results)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


@pytest.fixture(scope="module")
def few() -> Results:
    return make_results(questions=6, conditions=("oracle", "oracle+1"), judge=False)


def check_whole(page: str) -> Reader:
    """Assert what holds for every page: balanced, each id once, each link leads somewhere, nothing is loaded."""
    read = Reader(page)
    assert read.faults == []
    assert [name for name, count in read.ids.items() if count > 1] == []
    targets = {value for tag, name, value in read.attributes if (tag, name) == ("a", "href")}
    assert all(value.startswith("#") and value[1:] in read.ids for value in targets)
    loading = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background"}
    outward = [each for each in read.attributes if each[1] in loading and not each[2].startswith("#")]
    assert outward == []
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style and re.findall(r"url\(([^)]*)\)", style) == ["#hatch", "#grid"]
    assert read.tags["link"] == read.tags["iframe"] == read.tags["img"] == 0
    return read


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    check_whole(page)
    assert page.count("<script>") == 1 and page.isascii() is False
    page.encode("utf-8")


def test_the_policy_lets_only_the_one_script_run(page: str, read: Reader) -> None:
    policy = next(
        value for tag, name, value in read.attributes if (tag, name) == ("meta", "content") and "src" in value
    )
    digest = base64.b64encode(hashlib.sha256(read.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert read.script.strip() and not [name for _, name, _ in read.attributes if name.startswith("on")]
    assert not re.search(r"fetch\(|XMLHttp|innerHTML|eval\(|https?:", read.script)


def test_every_section_is_there(read: Reader) -> None:
    wanted = set(
        "overview sweep positions quotes distract length contrasts retrieval parts judge gates change cost figures "
        "examples documents exam".split()
    )
    assert wanted <= set(read.ids)
    assert {f"#{name}" for name in wanted} <= {value for _, name, value in read.attributes if name == "href"}


def test_the_verdict_and_the_figures_stand_on_it(results: Results, read: Reader) -> None:
    assert results.verdict in read.said
    for name, meaning in ((metric.name, metric.meaning) for metric in METRICS):
        assert name in read.said and meaning in read.said
    assert "Cohen's kappa with people 0.81 over 40 labels" in read.said
    assert "1 of 288 answers of the model" in read.said and "1 gate not passed" in read.said
    assert "worked (used) 55.0 40 base instructed 40.0 40" in read.said  # the ways to ask that were tried
    assert "Qwen/Qwen2.5-7B-Instruct" in read.said and "distractors are few" in read.said


def test_the_headline_has_every_figure_of_a_test(results: Results) -> None:
    headers, rows = list_headlines(results)
    assert headers == ("model", "base", "difference", "p (Holm)", "better", "worse", "questions", "missing")
    row = next(row for row in rows if row.condition == "oracle+4")
    test = next(test for test in results.tests if test.condition == "oracle+4")
    assert row.primary and row.meaning == "the oracle and 4 distractors"
    assert row.cells[4:] == (str(test.better), str(test.worse), "23", "1")
    assert row.cells[0].startswith(f"{100 * (results.figures['model', 'oracle+4', 'acc'].value or 0):.1f} [")
    assert [each[0] for each in row.whiskers] == ["model", "base"]
    assert list_tiles(results)[2][1].startswith("+")


def test_a_script_in_any_text_stays_text() -> None:
    def say(label: str, item: Item, case: Case) -> Response:
        said = behave(label, item, case)
        return replace(said, text=said.text + EVIL if said.text else "", error=said.error and EVIL)

    made = make_results(questions=6, conditions=("oracle", "oracle+1"), say=say, names=(EVIL, f"b/{EVIL}"))
    chunks = {name: replace(chunk, title=EVIL, source=f"{EVIL}.md") for name, chunk in made.chunks.items()}
    answers = [
        replace(
            answer,
            item=replace(answer.item, question=EVIL, kind=EVIL, source=EVIL, golds=(EVIL,)),
            case=replace(
                answer.case,
                golds=(EVIL,),
                documents=tuple(replace(chunks[each.id], text=EVIL + each.text) for each in answer.case.documents),
            ),
        )
        for answer in made.answers
    ]
    hostile = replace(
        made, data=EVIL, verdict=EVIL, answers=tuple(answers), warnings=(EVIL,), setting={EVIL: EVIL},
        exam=((EVIL, EVIL),), versions={EVIL: EVIL}, failures=(Failure(EVIL, "acc", 1.0, None, 3, EVIL),),
        gates=(GateResult(EVIL, False, None, 0.5, EVIL, True),),
        slices=tuple(replace(each, name=EVIL) for each in made.slices),
    )  # fmt: skip
    read = check_whole(render_page(hostile))
    assert read.tags["script"] == 1 and "alert" not in read.script
    assert read.said.count("alert(1)") > 100


def test_marks_that_html_has_no_place_for_are_shown_as_such(few: Results) -> None:
    page = render_page(replace(few, verdict="a\x00b\x1bc\ud800d\ufffee\u202ef", data="x\ty"))
    page.encode("utf-8")
    assert "a\ufffdb\ufffdc\ufffdd\ufffde\u202ef" in page and "x\ty" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff]", page)


def test_without_a_base_nothing_is_compared() -> None:
    alone = make_results(questions=6, conditions=("oracle", "oracle+1", "distract"), baseline=False, judge=False)
    read = check_whole(render_page(alone))
    assert "no baseline was given" in read.said and "McNemar" not in read.said
    assert "models disagree" not in read.said and list_headlines(alone)[0] == ("model", "questions", "missing")
    assert "Question by question" not in read.said and stack_pairs(alone) == []
    assert "Judge none was asked (--judge)" in read.said and "judge" not in read.ids


def test_one_condition_draws_no_line() -> None:
    single = replace(make_results(questions=4, conditions=("closed",), judge=False), gates=(), change=None)
    read = check_whole(render_page(single))
    absent = {"sweep", "positions", "distract", "contrasts", "retrieval", "judge", "gates", "change", "documents"}
    assert not absent & set(read.ids)
    for told in ("it was not moved", "the condition distract was not asked", "No documents were shown", "none was set"):
        assert told in read.said


def test_nothing_but_missing_answers_is_said_so() -> None:
    made = make_results(
        questions=4, conditions=("oracle", "oracle+1", "distract"), say=lambda *_: Response("", "", 0, 0, "no server")
    )
    read = check_whole(render_page(replace(made, leaks=Leaks())))
    assert "Incomplete: 12 of 12 answers of the model" in read.said and "Nothing is known" in read.said
    assert "No answer: no server" in read.said and "no quotation that counts" in read.said
    assert (
        not re.search(r"(?<!\d)0\.0\b", read.said.split("What was examined")[0])
        and "nan" not in read.said.lower().split()
    )


def test_no_quotation_at_all_leaves_precision_undefined() -> None:
    made = make_results(
        questions=4, conditions=("oracle", "oracle+1"), say=lambda _, item, __: reply(f"<ANSWER>: {item.golds[0]}")
    )
    read = check_whole(render_page(made))
    assert read.said.count("no quotation that counts") == 4
    row = next(row for row in list_metrics(made, "oracle").rows if row[0] == "citation_precision")
    assert row[3:5] == ("–", "–")


def test_a_failed_self_check_is_loud(few: Results) -> None:
    failed = replace(few, failures=(Failure("gold", "acc", 1.0, None, 24, "item0003"),), complete=False)
    read = Reader(render_page(failed))
    assert "The self-check failed: no figure here is to be believed" in read.said
    assert ("div", "role", "alert") in read.attributes and "gold acc 1.000 – 24 item0003" in read.said
    assert "Evaluation report · incomplete" in read.said
    assert "Passed: the gold" in Reader(render_page(few)).said


def test_lines_go_through_their_figures(results: Results) -> None:
    right, grounded = draw_sweep(results)
    assert [label for _, label in right.ticks] == ["0", "1", "2", "4", "8"]
    assert [line.style for line in right.lines] == ["model", "base"]
    for line in right.lines:
        value = results.figures[line.style, "oracle+8", "acc"].value
        assert value is not None and line.dots[-1][:2] == (100.0, pytest.approx(100 - 100 * value, abs=0.01))
        assert len(line.paths) == len(line.bands) == 1
    assert grounded.note == "grounded_acc"
    places = draw_positions(results)
    assert [label for _, label in places[1].ticks] == ["first", "0.5", "last"]
    assert places[1].chance == ("0,888.89 500,888.89 1000,888.89",)  # one oracle among nine documents


def test_a_figure_that_is_not_defined_breaks_the_line(results: Results) -> None:
    gap = {("model", "oracle+2", "acc"): Interval(None, None, None, 0, 24, 24, False)}
    line = draw_sweep(replace(results, figures=dict(results.figures) | gap))[0].lines[0]
    assert len(line.paths) == 2 and len(line.dots) == 4 and "2: –" in line.told


def test_bars_add_up(results: Results) -> None:
    bars = stack_quotes(results)
    assert len(bars) == 2 * len(CONDITIONS)
    for bar in bars:
        assert not bar.parts or sum(part.width for part in bar.parts) == pytest.approx(100, abs=0.01)
    model = next(bar for bar in bars if (bar.label, bar.model) == ("oracle+4", "model"))
    precise = sum(part.width for part in model.parts if part.style in ("oracle", "shared"))
    assert precise == pytest.approx(100 * (results.figures["model", "oracle+4", "citation_precision"].value or 0), 1e-4)
    assert model.mark == pytest.approx(20)
    assert [sum(part.count for part in bar.parts) for bar in stack_declined(results)] == [24, 24]
    assert all(sum(part.count for part in bar.parts) == 24 for bar in stack_pairs(results) if bar.label == "oracle")
    counts = [part.count for _, bars in stack_lengths(results) for bar in bars for part in bar.parts]
    assert sum(counts) == 47  # of 48 one is missing


def test_slices_stand_side_by_side(results: Results) -> None:
    grid = list_slices(results, "chunk")
    assert grid.headers == ("condition", "part", "model, %", "base, %", "answers") and grid.texts == 2
    assert len(grid.rows) == 2 * len(CONDITIONS) and len(grid.strong) == 2


def test_examples_tell_most_first_and_say_how_many(results: Results, read: Reader) -> None:
    chosen = choose_examples(results)
    assert len(chosen) == 150
    assert Counter(each.reason for each in chosen)["disagree"] == 60 and chosen[0].reason == "disagree"
    assert {each.reason for each in chosen} >= {"disagree", "misquoted", "misled", "sampled"}
    assert len({answer.case.condition for answer in chosen[0].answers}) == 1
    assert chosen[0].answers[0].case.condition == results.primary
    assert {each.answers[0].case.condition for each in chosen if each.reason == "disagree"} == set(CONDITIONS)
    keys = [(each.answers[0].item.id, each.answers[0].case.condition) for each in chosen]
    assert len(set(keys)) == len(keys) and chosen == choose_examples(results)
    assert "300 of 576 answers" in read.said


def test_few_examples_are_shown_whole(few: Results) -> None:
    assert len(choose_examples(few)) == 12
    assert "24 of 24 answers" in Reader(render_page(few)).said


def test_the_page_stays_small_however_long_the_documents_are(few: Results) -> None:
    long = {chunk.id: replace(chunk, text=chunk.text + "汉<&" * 40_000) for chunk in few.chunks.values()}
    answers = [
        replace(each, case=replace(each.case, documents=tuple(long[chunk.id] for chunk in each.case.documents)))
        for each in few.answers
    ]
    grown = replace(few, answers=tuple(answers))
    assert 0 < len(choose_examples(grown)) < 12
    page = render_page(grown)
    assert len(page.encode()) < 4_000_000
    assert all(page.count(f'id="d{number}"') == 1 for number in range(1, 3))


def answer(
    text: str, texts: tuple[str, ...] = ("The relay K4 opens within 20 ms, when cold.", "Other words.")
) -> Answer:
    item = make_item()
    case = make_case(item, texts)
    return Answer("model", item, case, "hash", reply(text), grade_response(item, case, reply(text)))


def show(text: str) -> tuple[Shelf, list[tuple[str, str, str]]]:
    """Return the shelf, and the stretches of the answer: text, style, address."""
    shelf = Shelf()
    (example,) = show_examples([Chosen((answer(text),), "sampled")], shelf)
    return shelf, [(each.text, each.style, each.address) for each in example.views[0].said]


def test_a_quotation_leads_to_its_words() -> None:
    shelf, said = show(cite("opens within 20 ms", "it was never said by anyone", answer="20 ms"))
    assert said == [
        ("It says ", "", ""),
        ("opens within 20 ms", "oracle", "d1p0"),
        (". It says ", "", ""),
        ("it was never said by anyone", "fabricated", ""),
        (".\n<ANSWER>: 20 ms", "", ""),
    ]
    first, _ = shelf.show()
    assert [(piece.text, piece.places, piece.first) for piece in first.pieces] == [
        ("The relay K4 ", (), ()),
        ("opens within 20 ms", (0,), (0,)),
        (", when cold.", (), ()),
    ]


def test_quotations_may_overlap_and_repeat() -> None:
    shelf, said = show(cite("relay K4 opens within", "opens within 20 ms", "relay K4 opens within", answer="20 ms"))
    assert [address for _, style, address in said if style] == ["d1p0", "d1p1", "d1p0"]
    first, _ = shelf.show()
    assert [(piece.text, piece.places) for piece in first.pieces] == [
        ("The ", ()),
        ("relay K4 ", (0,)),
        ("opens within", (0, 1)),
        (" 20 ms", (1,)),
        (", when cold.", ()),
    ]
    assert shelf.places == 2


def test_what_was_not_read_is_told_apart() -> None:
    thought = f"<think>maybe {BEGIN}opens within 20 ms{END}</think>"
    shown, left_out = mark_answer(f"{thought}{cite('opens within 20 ms', answer='20 ms')}<|im_end|>more", answer(
        cite("opens within 20 ms", answer="20 ms")
    ).grade.quotes)  # fmt: skip  # type: ignore[union-attr]
    assert (shown[0].text, shown[0].style) == (thought, "unread") and (shown[-1].style, left_out) == ("unread", 0)
    assert [each.text for each in shown if each.quote == 0] == ["opens within 20 ms"]


def test_broken_marks_and_endless_answers_are_shown_as_they_are() -> None:
    _, said = show(f"{BEGIN}{BEGIN}opens within 20 ms{END} and {END} so\n<ANSWER>: 20 ms")
    assert [style for _, style, _ in said] == [""] and said[0][0].count("##") == 8
    _, said = show(f"{BEGIN}{BEGIN}opens within 20 ms{END} so\n<ANSWER>: 20 ms")
    assert said[0] == (BEGIN, "", "")
    assert ("opens within 20 ms", "oracle", "d1p0") in said
    shown, left_out = mark_answer("word " * 10_000, ())
    assert sum(len(each.text) for each in shown) == 12_000 and left_out == 38_000


def test_a_counterfactual_document_is_another_one() -> None:
    shelf = Shelf()
    assert (shelf.add(make_chunk("a")), shelf.add(make_chunk("b")), shelf.add(make_chunk("a"))) == (1, 2, 1)


def test_every_class_of_quotation_has_its_look(page: str) -> None:
    style = page[page.index("<style>") : page.index("</style>")]
    for kind in QuoteClass:
        assert f".q.{kind.value}" in style
        assert kind is QuoteClass.SHORT or f".p-{kind.value}" in style


def test_filters_offer_what_occurs(page: str, read: Reader) -> None:
    values = {value for tag, name, value in read.attributes if (tag, name) == ("option", "value")}
    assert {"oracle+4", "model", "base", "misled", "declined", "lost", "gained", "altered", "manual1.md"} <= values
    shown = {value for _, name, value in read.attributes if name == "data-v"}
    assert {"right proven", "wrong misled", "declined", "missing"} <= shown
    hidden = [each for each in read.attributes if each[:2] == ("form", "hidden")]
    assert hidden  # it comes with the script


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("runs/qwen-raft/", "qwen-raft"),
        ("Qwen/Qwen2.5-7B", "Qwen2.5-7B"),
        ("endpoint:org/qwen@http://host:8000/v1", "qwen"),
        ("/", "/"),
    ],
)
def test_the_title_is_the_short_name(few: Results, name: str, title: str) -> None:
    named = replace(few, examinees=(replace(few.examinees[0], name=name), *few.examinees[1:]))
    assert f"<title>{title}: evaluation report</title>" in render_page(named)


def test_each_language_is_marked(page: str) -> None:
    assert 'lang="zh">第' in unescape(page) and 'dir="auto"' in page


def test_quick_conditions_are_enough() -> None:
    read = check_whole(render_page(make_results(questions=4, conditions=QUICK)))
    assert {"sweep", "distract", "contrasts"} <= set(read.ids) and "positions" not in read.ids
