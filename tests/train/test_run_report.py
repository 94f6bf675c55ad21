"""The report of a run is one safe page, whatever is known of the run, and its curves keep their extremes."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import make_manifest, make_metrics

from raft_cli.train.reports.curves import MOST, draw, read_points, smooth, thin
from raft_cli.train.reports.report import render_report, show_tokens
from raft_cli.train.units import look_up, show_bytes, show_number, show_seconds, show_value

EVIL = '<script>alert("1")</script>'
VOID = {"meta"}
DRAWN = {"line", "polyline", "circle", "rect"}


class Page(HTMLParser):
    """Reads a page and checks that its tags close and that it asks for nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.lines: dict[str, str] = {}
        self.marks: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe", "base", "object", "form")
        held = dict(attrs)
        assert not {"src", "style", "srcset"} & set(held) and not [name for name in held if name.startswith("on")]
        if tag == "polyline":
            self.lines[str(held["class"]).removeprefix("curve ")] = str(held["points"])
        if tag == "line" and str(held.get("class", "")).startswith("mark"):
            self.marks.append(str(held["class"]).removeprefix("mark "))
        self.ids += [held["id"]] if held.get("id") else []  # type: ignore[list-item]
        self.links += [str(held["href"]).removeprefix("#")] if "href" in held else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(manifest: dict[str, Any], metrics: list[dict[str, Any]]) -> Page:
    text = render_report(manifest, metrics)
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "")
    page = Page(text)
    assert set(page.links) <= set(page.ids) and len(page.ids) == len(set(page.ids))
    return page


def test_a_finished_run_with_all_its_curves() -> None:
    page = read(make_manifest(), make_metrics(900))
    for said in (
        "Tuned on 9,802 rows with method lora in 900 steps .",
        "It was stopped and taken up again once.",
        "kept: step 600",
        "600 (kept)",
        "61.0 GiB planned 56.0 GiB",
        "Weights of the model 14.0 GiB",
        "Output layer 2.0 GiB",
        "Real peak 61.0 GiB",
        "12,111 tokens a second",
        "too-long 17",
        "oracle absent 1.1",
    ):
        assert said in page.words, said
    assert set(page.lines) == {"raw", "smooth", "all", "present", "absent"}
    assert page.marks == ["best"] and "not finished" not in page.words


def test_names_from_outside_are_text() -> None:
    page = read(
        make_manifest(
            base={"name": f"x/{EVIL}"},
            data={"path": EVIL, "files": {EVIL: "ab"}, "dataset": {"teacher": EVIL}},
            rows={"overflow": {EVIL: 3}},
            config={"system": EVIL},
            versions={EVIL: EVIL},
        ),
        make_metrics(3),
    )
    assert page.words.count("alert(") >= 6


def test_a_run_that_is_not_finished_says_so() -> None:
    page = read(make_manifest(result=None), make_metrics(37))
    assert "Training report · not finished" in page.words and "Not finished: step 37 of 900" in page.words
    assert "best so far" in page.words and "kept" not in page.words
    nothing = read(make_manifest(result=None), [])
    assert "There are no figures yet." in nothing.words and "No step is done yet." in nothing.words


def test_without_validation_it_says_that_nothing_is_known() -> None:
    page = read(make_manifest(result={"best_step": 20, "eval": {}}), make_metrics(20, evaluations=0))
    assert set(page.lines) == {"raw", "smooth"} and page.marks == []
    assert "nothing here tells whether it learnt or memorised" in page.words and "Evaluations" not in page.words


def test_one_step_is_a_dot() -> None:
    text = render_report(make_manifest(), make_metrics(1, evaluations=0))
    assert text.count('<circle class="dot raw"') == 1 and "in <strong>1 step</strong>" in text


def test_thousands_of_steps_stay_a_small_page() -> None:
    metrics = make_metrics(20_000)
    metrics[7_000]["loss"] = 9.75
    text = render_report(make_manifest(), metrics)
    page = Page(text)
    assert len(text) < 120_000
    assert all(len(points.split()) <= MOST for points in page.lines.values())
    heights = [float(point.split(",")[1]) for point in page.lines["raw"].split()]
    assert min(heights) == pytest.approx(1000 * (10 - 9.75) / 10, abs=10)


def test_restarts_are_marked() -> None:
    metrics = make_metrics(30)
    trained = [line for line in metrics if "loss" in line]
    trained[9]["restarted"] = True
    manifest = make_manifest(result={"best_step": 20})
    assert read(manifest, metrics).marks == ["restart", "best"]
    again = [*metrics, {**trained[14]}, {**trained[15]}]
    assert read(manifest, again).marks == ["restart", "restart", "best"]


@pytest.mark.parametrize("missing", ["base", "data", "rows", "config", "recipe", "plan", "prompt", "versions", "raft"])
def test_it_survives_missing_parts(missing: str) -> None:
    assert "Loss" in read(make_manifest(**{missing: None}), make_metrics(5)).words


def test_it_survives_missing_and_odd_figures() -> None:
    assert "unnamed base" in read({}, []).words
    lines = [
        {"step": 1},
        {"loss": 1.0},
        {"step": 2, "loss": None},
        {"step": 3, "loss": float("nan")},
        {"step": 4, "loss": 2},
    ]
    page = read(make_manifest(result={"eval": None, "best_step": None, "peak_memory": None}), lines)
    assert list(page.lines) == ["raw"] and "Learning rate" not in page.words.replace("Learning rate, schedule", "")


def test_a_smoke_model_and_a_cpu_are_named() -> None:
    page = read(make_manifest(base={"smoke": True}, recipe={"device": "cpu"}), make_metrics(5))
    assert "Its figures mean nothing." in page.words and "the process really held" in page.words


POINTS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000).map(lambda values: list(enumerate(values)))


@given(POINTS)
def test_thinning_keeps_order_and_extremes(points: list[tuple[float, float]]) -> None:
    thinned = thin(points, 100)
    values = [value for _, value in points]
    kept = [value for _, value in thinned]
    assert len(thinned) <= max(100, min(len(points), 100)) and set(thinned) <= set(points)
    assert [step for step, _ in thinned] == sorted({step for step, _ in thinned})
    assert (min(kept), max(kept)) == (min(values), max(values))
    assert thinned[0] == points[0] and thinned[-1] == points[-1]


@given(POINTS)
def test_every_point_is_on_the_canvas_and_every_tick_beside_it(points: list[tuple[float, float]]) -> None:
    chart = draw([("a", "raw", points)], steps=0)
    assert chart
    places = [float(part) for point in chart.lines[0].path.split() for part in point.split(",")]
    assert all(-0.01 <= place <= 1000.01 for place in places)
    assert all(-0.01 <= tick.place <= 100.01 for tick in (*chart.up, *chart.across))
    assert 2 <= len(chart.up) <= 7 and 1 <= len(chart.across) <= 9


@given(POINTS)
def test_smoothing_stays_between_the_extremes(points: list[tuple[float, float]]) -> None:
    values = [value for _, value in points]
    smoothed = smooth(points)
    assert [step for step, _ in smoothed] == [step for step, _ in points]
    spare = 1e-6 * max(map(abs, values)) + 1e-300  # below that nothing is exact
    assert all(min(values) - spare <= value <= max(values) + spare for _, value in smoothed)


def test_the_last_of_a_repeated_step_counts() -> None:
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": True, "loss": 4.0}]
    assert read_points(lines, "loss") == [(1, 3.0), (2, 1.0)]
    assert draw([("a", "raw", [])], steps=3) is None


def test_figures_are_written_for_people() -> None:
    assert [show_bytes(size) for size in (5 << 10, 5 << 20, 3 << 29)] == ["5 KiB", "5 MiB", "1.5 GiB"]
    assert [show_seconds(each) for each in (3.21, 3, 42, 59.7, 61, 725, 3599.7, 7384)] == [
        "3.2 s",
        "3 s",
        "42 s",
        "1 min 00 s",
        "1 min 01 s",
        "12 min",
        "1 h 00 min",
        "2 h 03 min",
    ]
    assert [show_number(each) for each in (1234, 12.34, 0.01234, 1e-5, 1234.5)] == [
        "1,234",
        "12.3",
        "0.0123",
        "1e-05",
        "1,234",
    ]
    assert [show_tokens(each) for each in (980, 12_400, 26_400_000)] == ["980", "12.4\u00a0k", "26.4\u00a0M"]
    assert [show_value(each) for each in (None, True, 1e-4, 12_000, ["a", "b"], "")] == [
        "–",
        "yes",
        "0.0001",
        "12,000",
        "a, b",
        "–",
    ]
    assert look_up({"a": {"b": None}}, "a.b", 3) == 3 and look_up({"a": 1}, "a.b.c") is None


def test_no_colour_is_the_only_difference_between_the_lines() -> None:
    style = render_report(make_manifest(), [])
    dashes = re.findall(r"\.(?:all|present|absent) \{[^}]*\}", style)
    assert len({re.search(r"stroke-dasharray: [^;]*", rule)[0] if "dash" in rule else "" for rule in dashes}) == 3  # type: ignore[index]
