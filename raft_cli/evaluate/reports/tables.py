"""Figures of an evaluation as rows of words, for the tables of its page. Computes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from raft_cli.evaluate.figures import DIRECTIONS, JUDGED
from raft_cli.evaluate.measure import BY_NAME, METRICS
from raft_cli.evaluate.reports.words import (
    NOTHING,
    show_difference,
    show_figure,
    show_interval,
    show_number,
    show_p,
    show_seconds,
    show_share,
)
from raft_cli.evaluate.results import PRIMARY, Results, Slice, label_models
from raft_cli.evaluate.statistics import Interval

COSTS = ("prompt_tokens", "answer_tokens", "final_units", "quote_units")
_JUDGED = "answers that the judge calls right"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        texts: How many columns are words, from the left; the others are figures.
        strong: Rows that matter most.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    strong: frozenset[int] = frozenset()


def list_contrasts(results: Results) -> Grid:
    """Return the differences between conditions."""
    rows = [
        (
            each.name,
            each.meaning,
            each.model,
            show_difference(each.difference),
            show_p(each.difference.p),
            f"{each.difference.n:,}",
        )
        for each in results.contrasts
    ]
    return Grid(("contrast", "is", "model", "points", "p", "questions"), tuple(rows), 3)


def list_retrievals(results: Results) -> Grid:
    """Return how well passages were retrieved, and what the models made of it."""
    labels = label_models(results)
    headers = ["condition", "oracle among them, %", "MRR", "nDCG"]
    headers += [f"{label} right, {what}, %" for label in labels for what in ("oracle found", "not found")]
    rows = []
    for each in results.retrievals:
        ends = [end for label in labels for end in each.right.get(label, ())]
        rows.append(
            (
                each.condition,
                show_interval(each.hit, unit=""),
                _show_plain(each.mrr),
                _show_plain(each.ndcg),
                *(show_interval(end, unit="") for end in ends),
            )
        )
    return Grid(tuple(headers), tuple(rows))


def _show_plain(figure: Interval) -> str:
    return NOTHING if figure.value is None else f"{figure.value:.3f}"


def list_steadiness(results: Results) -> Grid:
    """Return whether the place of the oracle matters: Cochran's test."""
    rows = [
        (
            each.model,
            show_share(each.consistent, unit=""),
            NOTHING if each.q is None else f"{each.q:.2f}",
            show_p(each.p),
            f"{each.n:,}",
        )
        for each in results.steadiness
    ]
    return Grid(("model", "same verdict at all places, %", "Cochran's Q", "p", "questions"), tuple(rows))


def list_slices(results: Results, kind: str) -> Grid:
    """Return `acc` over parts of the questions, the models beside each other."""
    labels = label_models(results)
    held = {(each.condition, each.name, each.model): each for each in results.slices if each.kind == kind}
    places = list(dict.fromkeys((condition, name) for condition, name, _ in held))
    several = len({condition for condition, _ in places}) > 1
    rows = []
    for condition, name in places:
        slices = [held.get((condition, name, label)) for label in labels]
        shown = [show_interval(each.figure if each else None, unit="") for each in slices]
        rows.append((*([condition] if several else []), name, *shown, _count(slices)))
    headers = (*(["condition"] if several else []), "part", *(f"{label}, %" for label in labels), "answers")
    strong = frozenset(at for at, row in enumerate(rows) if several and row[0] == results.primary)
    return Grid(headers, tuple(rows), 1 + several, strong)


def _count(slices: Sequence[Slice | None]) -> str:
    counts = [each.figure.n for each in slices if each]
    return " / ".join(f"{count:,}" for count in dict.fromkeys(counts)) or NOTHING


def list_costs(results: Results) -> Grid:
    """Return tokens and words by condition and model."""
    rows = [
        (condition, label, *(_show_mean(results.figures.get((label, condition, name))) for name in COSTS))
        for condition in results.conditions
        for label in label_models(results)
    ]
    return Grid(("condition", "model", *(BY_NAME[name].meaning for name in COSTS)), tuple(rows), 2)


def _show_mean(figure: Interval | None) -> str:
    return show_number(figure.value if figure else None)


def list_asking(results: Results) -> Grid:
    """Return what asking took."""
    rows = [
        (
            each.label,
            f"{each.asked:,}",
            f"{each.replayed:,}",
            show_seconds(each.seconds),
            f"{each.asked / each.seconds:,.1f}" if each.seconds > 0 and each.asked else NOTHING,
        )
        for each in results.examinees
    ]
    return Grid(("model", "asked now", "kept from before", "took", "answers a second"), tuple(rows))


def list_metrics(results: Results, condition: str) -> Grid:
    """Return every figure under a condition: name, meaning, direction, each model, difference."""
    labels = label_models(results)
    meanings = {metric.name: metric.meaning for metric in METRICS} | {JUDGED: _JUDGED}
    rows = []
    for name, direction in DIRECTIONS.items():
        figures = [results.figures.get((label, condition, name)) for label in labels]
        if not any(figures):
            continue
        difference = results.differences.get((condition, name))
        gap = show_number(difference.value) if name in COSTS and difference else show_difference(difference)
        counts = " / ".join(dict.fromkeys(f"{figure.n:,}" for figure in figures if figure))
        shown = [show_figure(name, figure) for figure in figures]
        way = "↑" if direction == "up" else "↓"
        rows.append((name, meanings[name], way, *shown, *([gap] if results.differences else []), counts))
    ends = ("difference",) if results.differences else ()
    return Grid(("figure", "is", "better", *labels, *ends, "answers"), tuple(rows), 3)


def list_change(results: Results) -> Grid:
    """Return what became of the model since an earlier run, the figures that tell most."""
    change = results.change
    found = change.differences if change else {}
    rows = [
        (condition, metric, BY_NAME[metric].meaning, show_difference(found[condition, metric]), show_p(p))
        for condition in results.conditions
        for metric in (PRIMARY, "grounded_acc", "fabrication_rate")
        if (condition, metric) in found and (p := found[condition, metric].p) is not None
    ]
    return Grid(("condition", "figure", "is", "now less earlier, points", "p"), tuple(rows), 3)


def list_judged(results: Results) -> Grid:
    """Return what the judge calls right beside `acc`."""
    corrected = results.judged.corrected if results.judged else None
    rows = []
    for condition in results.conditions:
        for label in label_models(results):
            by = [results.figures.get((label, condition, name)) for name in (PRIMARY, JUDGED)]
            row = [condition, label, *(show_interval(figure, unit="") for figure in by)]
            rows.append((*row, *([show_share(corrected.get((label, condition)), unit="")] if corrected else [])))
    ends = ("corrected, %",) if corrected else ()
    return Grid(("condition", "model", "acc, %", "by the judge, %", *ends), tuple(rows), 2)


def list_tried(results: Results) -> Grid:
    """Return the ways to ask that were tried, on other questions."""
    rows = [
        (each.label, f"{way} (used)" if way == each.prompt else way, show_share(acc, unit=""), f"{count:,}")
        for each in results.examinees
        for way, acc, count in each.tried
    ]
    return Grid(("model", "prompt", "acc, %", "questions"), tuple(rows), 2)
