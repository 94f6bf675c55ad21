"""What a page of an evaluation begins with: right answers by condition, and the figures that tell most. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from raft_cli.evaluate.reports.words import (
    NOTHING,
    explain_condition,
    mark_sure,
    show_count,
    show_difference,
    show_interval,
    show_p,
    show_points,
    show_share,
)
from raft_cli.evaluate.results import MODEL, PRIMARY, Results, label_models
from raft_cli.evaluate.statistics import Interval

Whisker = tuple[str, float, float, float]


@dataclass(frozen=True, slots=True)
class Headline:
    """A condition of the headline table.

    Attributes:
        cells: Figure of each model, then difference, p, better and worse where there is a base; at last the
            questions that count, and missing answers.
        whiskers: Of each model its name, and value and ends in per cent.
    """

    condition: str
    meaning: str
    cells: tuple[str, ...]
    whiskers: tuple[Whisker, ...]
    primary: bool


def list_headlines(results: Results) -> tuple[tuple[str, ...], list[Headline]]:
    """Return headers and rows of the headline table: right answers by condition."""
    labels, tests = label_models(results), {test.condition: test for test in results.tests}
    headers = (*labels, *(("difference", "p (Holm)", "better", "worse") if tests else ()), "questions", "missing")
    rows = []
    for condition in results.conditions:
        figures = [results.figures.get((label, condition, PRIMARY)) for label in labels]
        cells = [show_interval(figure, unit="") for figure in figures]
        if tests:
            test = tests.get(condition)
            cells += (
                [
                    show_difference(test.difference),
                    show_p(test.adjusted) + mark_sure(test.adjusted),
                    f"{test.better:,}",
                    f"{test.worse:,}",
                ]
                if test
                else [NOTHING] * 4
            )
        known = [figure for figure in figures if figure]
        asked = tests[condition].difference.n if condition in tests else max((each.n for each in known), default=0)
        cells += [f"{asked:,}", f"{sum(figure.missing for figure in known):,}"]
        whiskers = tuple(
            each for label, figure in zip(labels, figures, strict=True) for each in _draw_whisker(label, figure)
        )
        rows.append(
            Headline(condition, explain_condition(condition), tuple(cells), whiskers, condition == results.primary)
        )
    return headers, rows


def _draw_whisker(label: str, figure: Interval | None) -> list[Whisker]:
    if figure is None or figure.value is None:
        return []
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    value, low, high = (round(100 * each, 2) for each in (figure.value, low, high))
    return [(label, value, low, high)]


def list_tiles(results: Results) -> list[tuple[str, str, str]]:
    """Return the few figures that tell most, with a note: label, figure, note."""
    at = results.primary
    tiles = []
    for each in results.examinees:
        figure = results.figures.get((each.label, at, PRIMARY))
        tiles.append((f"Right answers, {each.label}", *_show_tile(figure, show_share)))
    test = next((test for test in results.tests if test.condition == at), None)
    if test:
        told = _show_ends(test.difference.low, test.difference.high, show_points)
        tiles.append(("Difference, points", show_points(test.difference.value), told))
    grounded = results.figures.get((MODEL, at, "grounded_acc"))
    tiles.append(("Right on an oracle's word, model", *_show_tile(grounded, show_share)))
    cited = results.figures.get((MODEL, at, "citation_precision"))
    chance = results.chances.get(at)
    told = f"quotations of the model; chance {show_share(chance)}" if chance else "quotations of the model"
    tiles.append(("From an oracle", show_share(cited.value if cited else None), told))
    return tiles


def _show_tile(figure: Interval | None, show: Callable[[float | None], str]) -> tuple[str, str]:
    if figure is None or figure.value is None:
        return NOTHING, "not defined"
    return _bind(show(figure.value)), f"{_show_ends(figure.low, figure.high, show)} · {show_count(figure.n, 'answer')}"


def _show_ends(low: float | None, high: float | None, show: Callable[[float | None], str]) -> str:
    return "no interval" if low is None or high is None else _bind(f"95 %: {show(low)}") + _bind(f" to {show(high)}")


def _bind(figure: str) -> str:
    """Keep a figure and its unit on one line."""
    return figure.replace(" %", "\u00a0%")
