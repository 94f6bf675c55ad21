"""Figures as people read them: bytes, seconds, counts, shares; and a place in a manifest that may lack it. Pure."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

Figures = list[tuple[str, list[tuple[str, str]]]]  # titled groups of labels and values


def look_up(record: Mapping[str, Any], path: str, default: Any = None) -> Any:  # noqa: ANN401 - a JSON value
    """Return the value at `path` (`result.eval.eval_loss`), or `default` where it is missing or null."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return default if value is None else value


def read_number(value: object) -> float | None:
    """Return `value` as a number, or None where it is none or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def show_bytes(size: float) -> str:
    """Write a size in GiB, MiB or KiB."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):,.1f} GiB"
    return f"{size / (1 << 20):,.0f} MiB" if size >= 1 << 20 else f"{size / (1 << 10):,.0f} KiB"


def show_seconds(seconds: float) -> str:
    """Write a duration in two units at most, in minutes alone from ten on."""
    if seconds < 59.5:
        return f"{round(seconds, 1):g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min"


def show_number(value: float) -> str:
    """Write a number with the digits that matter: `1,234`, `12.3`, `0.0123`, `1.2e-05`."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def show_share(value: object) -> str | None:
    """Write a share (0 to 1) in per cent; None where there is none."""
    number = read_number(value)
    return None if number is None else f"{100 * number:.1f}".removesuffix(".0") + " %"


def show_loss(value: object) -> str:
    """Write a loss, or a dash where there is none."""
    number = read_number(value)
    return "–" if number is None else f"{number:.4f}"


def show_value(value: object) -> str:
    """Write a setting."""
    if value is None or value == "" or value == [] or value == ():
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
