"""The report of a run: one HTML page of its curves, memory, rows and settings. Reads figures, writes no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.train.reports.curves import Chart, Points, draw, read_points, smooth
from raft_cli.train.reports.facts import Lines, list_data, list_origin, list_settings
from raft_cli.train.units import (
    look_up,
    read_number,
    show_bytes,
    show_loss,
    show_number,
    show_seconds,
    show_value,
)

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_EVALUATIONS = 40
_PARTS = {
    "weights": "Weights of the model",
    "copies": "Copies in other precision",
    "logits": "Output layer",
    "overhead": "Context, kernels, masks",
}
_VALIDATION = (
    ("eval_loss", "validation", "all"),
    ("eval_oracle_loss", "validation, oracle present", "present"),
    ("eval_absent_loss", "validation, oracle absent", "absent"),
)

Tile = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a list of sizes; `width` in per cent of the longest."""

    label: str
    value: str
    width: float
    style: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation, its losses as text."""

    step: str
    epoch: str
    losses: tuple[str, str, str]
    best: bool


def render_report(manifest: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return the report as one self-contained HTML page.

    A manifest without `result` is that of a run that is not finished, and so the page says.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": show_number, "value": show_value}
    steps = max((line["step"] for line in metrics if read_number(line.get("step")) is not None), default=0)
    planned = look_up(manifest, "recipe.steps", steps)
    evaluations = [line for line in metrics if read_number(line.get("eval_loss")) is not None]
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        name=str(look_up(manifest, "base.name", "unnamed base")).rstrip("/").rpartition("/")[2],
        base=look_up(manifest, "base.name", "unnamed base"),
        smoke=bool(look_up(manifest, "base.smoke")),
        method=look_up(manifest, "recipe.method", look_up(manifest, "config.method", "")),
        finished=bool(manifest.get("result")),
        stopped=bool(look_up(manifest, "result.stopped_early")),
        restarts=look_up(manifest, "result.restarts", 0),
        steps=steps,
        planned=planned,
        trained=look_up(manifest, "rows.trained", 0),
        answers=look_up(manifest, "rows.supervised_tokens"),
        tiles=_tiles(manifest, metrics),
        loss=_draw_loss(manifest, metrics, steps),
        course=_draw_course(metrics, steps),
        evaluations=_list_evaluations(evaluations, _find_best(manifest, evaluations)),
        memory=_memory_bars(manifest, metrics),
        on_cpu=look_up(manifest, "recipe.device") == "cpu",
        lengths=_length_bars(manifest),
        overflow=_overflow_bars(manifest),
        data=_keep(list_data(manifest)),
        settings=_keep(list_settings(manifest)),
        more=_keep([(name.replace("_", " "), value) for name, value in look_up(manifest, "config", {}).items()]),
        origin=_keep(list_origin(manifest)),
    )


def _keep(lines: Lines) -> list[tuple[str, str]]:
    return [(label, show_value(value)) for label, value in lines if show_value(value) != "–"]


def _find_best(manifest: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the step of the checkpoint that is kept; while training, of the lowest validation loss so far."""
    best = read_number(look_up(manifest, "result.best_step"))
    if best is None and evaluations:
        best = read_number(min(evaluations, key=lambda line: float(line["eval_loss"])).get("step"))
    return best if evaluations else None


def _draw_loss(manifest: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], steps: float) -> Chart | None:
    trained = read_points(metrics, "loss")
    series: list[tuple[str, str, Points]] = [("training, each step", "raw", trained)]
    if len(trained) > 2:
        series.append(("training, smoothed", "smooth", smooth(trained)))
    series += [(label, style, read_points(metrics, name)) for name, label, style in _VALIDATION]
    marks = [("restart", "restart", at) for at in _find_restarts(metrics)]
    best = _find_best(manifest, [line for line in metrics if read_number(line.get("eval_loss")) is not None])
    if best is not None:
        marks.append((f"{'kept' if manifest.get('result') else 'best so far'}: step {best:,.0f}", "best", best))
    return draw(series, steps=steps, marks=marks, dotted={style for _, _, style in _VALIDATION})


def _find_restarts(metrics: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the steps at which training went on after a stop: lines that say so, or step back."""
    found = []
    before = -1.0
    for line in metrics:
        step = read_number(line.get("step"))
        if step is None or "loss" not in line:
            continue
        if line.get("restarted") or step <= before:
            found.append(step)
        before = step
    return found


def _draw_course(metrics: Sequence[Mapping[str, Any]], steps: float) -> list[tuple[str, str, Chart]]:
    """Return title, note and chart of what went with the loss."""
    wanted = (
        ("Learning rate", "", "learning_rate", True),
        ("Norm of the gradient", "before it is cut to its limit", "grad_norm", True),
        ("Throughput", "tokens a second, prompts included, over all devices", "tokens_per_second", True),
    )
    drawn = []
    for title, note, name, zero in wanted:
        chart = draw([(title.lower(), "smooth", read_points(metrics, name))], steps=steps, zero=zero)
        if chart:
            drawn.append((title, note, chart))
    return drawn


def _list_evaluations(evaluations: Sequence[Mapping[str, Any]], best: float | None) -> list[Evaluation]:
    stride = -(-len(evaluations) // _EVALUATIONS) or 1
    last = len(evaluations) - 1
    return [
        Evaluation(
            show_value(line.get("step")),
            f"{epoch:.2f}" if (epoch := read_number(line.get("epoch"))) is not None else "–",
            (show_loss(line.get("eval_loss")), *(show_loss(line.get(name)) for name, _, _ in _VALIDATION[1:])),  # type: ignore[arg-type]
            line.get("step") == best,
        )
        for at, line in enumerate(evaluations)
        if at % stride == 0 or at == last or line.get("step") == best
    ]


def _find_peak(manifest: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> float:
    return max(
        read_number(look_up(manifest, "result.peak_memory")) or 0,
        *(read_number(line.get("memory")) or 0 for line in metrics),
        0,
    )


def _memory_bars(manifest: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> list[Bar]:
    plan = look_up(manifest, "plan.memory", {})
    sizes = {name: size for name, value in plan.items() if (size := read_number(value))}
    total, peak = sizes.pop("total", None) or sum(sizes.values()), _find_peak(manifest, metrics)
    longest = max(total, peak)
    bars = [
        Bar(_PARTS.get(name, name.capitalize()), show_bytes(size), 100 * size / longest, "part")
        for name, size in sizes.items()
    ]
    if total:
        bars.append(Bar("Planned, in all", show_bytes(total), 100 * total / longest, "sum"))
    if peak:
        bars.append(Bar("Real peak", show_bytes(peak), 100 * peak / longest, "real"))
    return bars


def _length_bars(manifest: Mapping[str, Any]) -> list[Bar]:
    lengths = look_up(manifest, "rows.percentiles", {})
    known = {"50": "Median", "95": "95 % are no longer than", "99": "99 % are no longer than", "max": "Longest"}
    values = {label: read_number(lengths.get(name)) for name, label in known.items()}
    most = max((value for value in values.values() if value), default=0)
    return [Bar(label, f"{value:,.0f}", 100 * value / most) for label, value in values.items() if value]


def _overflow_bars(manifest: Mapping[str, Any]) -> list[Bar]:
    counts = {str(reason): int(count) for reason, count in look_up(manifest, "rows.overflow", {}).items() if count}
    most = max(counts.values(), default=1)
    return [Bar(reason, f"{count:,}", 100 * count / most) for reason, count in counts.items()]


def _tiles(manifest: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> list[Tile]:
    losses, trained = read_points(metrics, "eval_loss"), read_points(metrics, "loss")
    tiles: list[Tile] = []
    if losses:
        step, best = min(losses, key=lambda point: point[1])
        note = f"at step {step:,.0f}; {losses[0][1]:.4f} at step {losses[0][0]:,.0f}"
        tiles.append(("Lowest validation loss", f"{best:.4f}", note))
    if trained:
        tiles.append(
            ("Training loss", f"{smooth(trained)[-1][1]:.4f}", f"mean of the last steps; first {trained[0][1]:.4f}")
        )
    tokens, seconds = read_points(metrics, "tokens"), read_points(metrics, "seconds")
    if tokens:
        tiles.append(("Tokens", show_tokens(tokens[-1][1]), "prompts included"))
    if seconds:
        estimate = read_number(look_up(manifest, "plan.seconds"))
        tiles.append(("Time", show_seconds(seconds[-1][1]), f"planned {show_seconds(estimate)}" if estimate else ""))
    speed = read_number(look_up(manifest, "result.tokens_per_second")) or (
        tokens[-1][1] / seconds[-1][1] if tokens and seconds and seconds[-1][1] else None
    )
    if speed:
        tiles.append(("Throughput", f"{speed:,.0f}", "tokens a second"))
    if peak := _find_peak(manifest, metrics):
        planned = read_number(look_up(manifest, "plan.memory.total"))
        tiles.append(("Peak memory", show_bytes(peak), f"planned {show_bytes(planned)}" if planned else ""))
    return tiles


def show_tokens(count: float) -> str:
    """Write a number of tokens short: `980`, `12.4 k`, `26.4 M`, `1.2 G`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            scale = 1e3 if unit == "k" else size
            return f"{count / scale:,.1f}\u00a0{unit}"
    return f"{count:,.0f}"
