"""Lines of a chart from figures by step: thinned, smoothed, scaled, with ticks. Pure; knows no HTML."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from raft_cli.train.units import read_number, show_number

Points = Sequence[tuple[float, float]]

MOST = 600  # points of a line: more than a screen shows
_TICKS = 4
_FEW = 60


@dataclass(frozen=True, slots=True)
class Line:
    """A line to draw.

    Attributes:
        style: Its class in the style sheet.
        path: Corners as `x,y x,y …` on a canvas of 1000 by 1000, y downwards.
        dots: Places of its points in per cent, where they are few enough to be shown.
        count: Points it was made from.
    """

    label: str
    style: str
    path: str
    dots: tuple[tuple[float, float], ...]
    count: int
    last: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis; `place` in per cent, from the left or from the top."""

    label: str
    place: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a step; `late` when its label belongs on the left of it."""

    label: str
    style: str
    place: float
    late: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same steps."""

    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    lowest: float
    highest: float


def read_points(metrics: Iterable[Mapping[str, Any]], name: str) -> Points:
    """Return (step, figure) of the lines that hold a finite figure of that name; of a repeated step the last."""
    found: dict[float, float] = {}
    for line in metrics:
        step, value = read_number(line.get("step")), read_number(line.get(name))
        if step is not None and value is not None:
            found[step] = value
    return sorted(found.items())


def smooth(points: Points) -> Points:
    """Return running means, whose reach grows with the number of points; no reach back before the first."""
    reach = min(50.0, max(3.0, len(points) / 15))
    keep = 1 - 2 / (reach + 1)
    mean = weight = 0.0
    smoothed = []
    for step, value in points:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        smoothed.append((step, mean / weight))
    return smoothed


def thin(points: Points, most: int = MOST) -> Points:
    """Return at most `most` of the points: first, last, and the lowest and highest of each stretch between."""
    if len(points) <= most:
        return points
    inner = points[1:-1]
    stretches = (most - 2) // 2
    borders = [len(inner) * at // stretches for at in range(stretches + 1)]
    kept = [points[0]]
    for start, end in pairwise(borders):
        part = inner[start:end]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def draw(
    series: Sequence[tuple[str, str, Points]],
    *,
    steps: float,
    marks: Sequence[tuple[str, str, float]] = (),
    zero: bool = False,
    dotted: Collection[str] = (),
) -> Chart | None:
    """Return a chart of the lines (label, style, points) from step 0 to `steps`; None when there is no point.

    Args:
        marks: Label, style and step.
        zero: Whether the scale begins at zero.
        dotted: Styles of lines that show each of their points, while these are few; a single point always shows.
    """
    values = [value for _, _, points in series for _, value in points]
    if not values:
        return None
    low, high, ticks = _scale(0.0 if zero else min(values), max(values))
    end = max(steps, *(step for _, _, points in series for step, _ in points), 1.0)

    def place(step: float, value: float) -> tuple[float, float]:
        return round(100 * step / end, 3), round(100 * (high - value) / (high - low), 3)

    lines = []
    for label, style, points in series:
        if points:
            places = [place(*point) for point in thin(points)]
            path = " ".join(f"{10 * x:.6g},{10 * y:.6g}" for x, y in places)
            shown = tuple(places) if len(places) <= (_FEW if style in dotted else 1) else ()
            lines.append(Line(label, style, path, shown, len(points), points[-1][1]))
    return Chart(
        lines=tuple(lines),
        across=tuple(Tick(show_number(step), 100 * step / end) for step in _step_ticks(end)),
        up=tuple(Tick(label, place(0, value)[1]) for label, value in ticks),
        marks=tuple(Mark(label, style, 100 * at / end, at > end / 2) for label, style, at in marks if at <= end),
        lowest=min(values),
        highest=max(values),
    )


def _round_up(width: float) -> float:
    """Return the least of 1, 2, 2.5, 5, 10 times a power of ten that is not below `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= width * (1 - 1e-9))


def _scale(low: float, high: float) -> tuple[float, float, list[tuple[str, float]]]:
    """Return where an axis begins and ends, both on ticks, and its ticks."""
    if high - low < 1e-12 * max(1.0, abs(high)) or high == low:
        spare = abs(high) / 10 or 1.0
        low, high = (low - spare, high + spare) if low else (0.0, spare)
    width = _round_up((high - low) / _TICKS)
    first, last = math.floor(low / width + 1e-9), math.ceil(high / width - 1e-9)
    digits = max(0, -math.floor(math.log10(width)) + (1 if str(f"{width:e}").startswith("2.5") else 0))
    ticks = [(_label(at * width, digits), at * width) for at in range(first, last + 1)]
    return first * width, last * width, ticks


def _label(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    return f"{value:.1e}".replace("e-0", "e-") if digits > 4 else f"{value:,.{digits}f}"


def _step_ticks(end: float) -> list[float]:
    width = max(1.0, _round_up(end / 6))
    width = width if width == round(width) else math.ceil(width)
    ticks = [at * width for at in range(int(end // width) + 1)]
    return [at for at in ticks if at <= end - width / 2 or at == end] + ([] if ticks[-1] == end else [end])
