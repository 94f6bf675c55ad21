"""Lines with bands over conditions, as places in per cent; the template draws them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from raft_cli.evaluate.reports.words import NOTHING, show_share
from raft_cli.evaluate.results import PRIMARY, Results, label_models
from raft_cli.evaluate.statistics import Interval

Points = Sequence[tuple[float, Interval]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line to draw.

    Attributes:
        style: Its class in the style sheet: `model` or `base`.
        paths: Stretches without a gap, as `x,y x,y …` on a canvas of 1000 by 1000, y downwards.
        bands: The same of the intervals.
        dots: Place in per cent and its figure in words.
        told: All figures in words.
    """

    style: str
    paths: tuple[str, ...]
    bands: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...]
    told: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same places, from 0 to 100 %.

    Attributes:
        ticks: Place in per cent and label.
        chance: Stretches of the line that chance would give.
    """

    title: str
    note: str
    across: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    chance: tuple[str, ...] = ()


def draw_sweep(results: Results) -> list[Chart]:
    """Return `acc` and `grounded_acc` over the number of distractors; nothing with fewer than two such conditions."""
    sizes = {
        name: int(name.partition("+")[2] or 0) for name in results.conditions if name.partition("+")[0] == "oracle"
    }
    names = sorted(sizes, key=lambda name: sizes[name])
    if len(names) < 2:
        return []
    places = dict(zip(names, _spread(len(names)), strict=True))
    ticks = tuple((places[name], str(sizes[name])) for name in names)
    wanted = (
        ("Right answers", "acc", PRIMARY),
        ("Right, on an oracle's word", "grounded_acc", "grounded_acc"),
    )
    return [
        _draw(title, note, "distractors beside the oracle", _collect(results, places, metric), ticks)
        for title, note, metric in wanted
    ]


def draw_positions(results: Results) -> list[Chart]:
    """Return `acc` and citation precision over the place of the oracle; nothing without at least two places."""
    places = sorted({position.place for position in results.positions})
    if len(places) < 2:
        return []
    ticks = tuple((100 * place, {0.0: "first", 1.0: "last"}.get(place, f"{place:g}")) for place in places)
    right, precise = (
        {
            label: [
                (100 * each.place, each.acc if metric == PRIMARY else each.precision)
                for each in results.positions
                if each.model == label
            ]
            for label in label_models(results)
        }
        for metric in (PRIMARY, "citation_precision")
    )
    chances = [(100 * place, results.chances.get(f"pos@{place:g}")) for place in places]
    known = [(place, chance) for place, chance in chances if chance is not None]
    across = "place of the oracle among the documents"
    return [
        _draw("Right answers", PRIMARY, across, right, ticks),
        _draw("Quotations from an oracle", "citation_precision", across, precise, ticks, known),
    ]


def _collect(results: Results, places: Mapping[str, float], metric: str) -> dict[str, list[tuple[float, Interval]]]:
    return {
        label: [
            (place, figure) for name, place in places.items() if (figure := results.figures.get((label, name, metric)))
        ]
        for label in label_models(results)
    }


def _spread(count: int) -> list[float]:
    return [100 * at / (count - 1) for at in range(count)]


def _draw(
    title: str,
    note: str,
    across: str,
    series: Mapping[str, Points],
    ticks: tuple[tuple[float, str], ...],
    chance: Sequence[tuple[float, float]] = (),
) -> Chart:
    names = dict(ticks)
    lines = tuple(_draw_line(label, points, names) for label, points in series.items())
    return Chart(title, note, across, lines, ticks, (_join(chance),) if len(chance) > 1 else ())


def _draw_line(style: str, points: Points, names: Mapping[float, str]) -> Line:
    paths, bands = [], []
    for defined, run in groupby(points, key=lambda point: point[1].value is not None):
        stretch = list(run)
        if defined and len(stretch) > 1:
            paths.append(_join([(x, figure.value or 0.0) for x, figure in stretch]))
    for bounded, run in groupby(points, key=lambda point: point[1].low is not None and point[1].value is not None):
        stretch = list(run)
        if bounded and len(stretch) > 1:
            lower = [(x, figure.low or 0.0) for x, figure in stretch]
            bands.append(_join([*((x, figure.high or 0.0) for x, figure in stretch), *reversed(lower)]))
    dots = tuple(
        (round(x, 2), round(100 - 100 * figure.value, 2), f"{style}, {names[x]}: {show_share(figure.value)}")
        for x, figure in points
        if figure.value is not None
    )
    told = ", ".join(f"{names[x]}: {show_share(figure.value)}" for x, figure in points)
    return Line(style, tuple(paths), tuple(bands), dots, told or NOTHING)


def _join(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{10 * x:.5g},{1000 * (1 - y):.5g}" for x, y in points)
