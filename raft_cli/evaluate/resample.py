"""Resample clusters of answers: per-cluster sums, drawn with replacement. Pure; knows no figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

# What one answer adds to a ratio of sums: numerator and denominator, (0, 0) where the figure does not apply to it,
# None where the answer is missing (the model or the judge failed).
Pair = tuple[float, float] | None
Column = Sequence[Pair]

FEWEST_CLUSTERS = 20
_CELLS = 2_000_000  # in a block of weights: 16 MB


def tabulate(column: Column, length: int) -> "Floats":
    """Return a column as rows of numerator and denominator, NaN where missing."""
    import numpy as np

    if len(column) != length:
        raise ValueError(f"{len(column)} answers, but {length} clusters")
    table = np.array([pair or (0.0, 0.0) for pair in column], dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(table).all():
        raise ValueError("a numerator or denominator is not finite")
    if (table[:, 1] < 0).any() or table[table[:, 1] == 0, 0].any():
        raise ValueError("a denominator is negative, or is 0 beside a numerator")
    table[np.array([pair is None for pair in column], dtype=np.bool_)] = np.nan
    return table


def choose_units(labels: "Whole") -> "tuple[Whole, bool]":
    """Return what is resampled, numbered from 0 without gaps, and whether it is questions."""
    import numpy as np

    names, units = np.unique(labels, return_inverse=True)
    if len(names) < FEWEST_CLUSTERS:
        return np.arange(len(labels)), len(labels) > 0
    return units, False


def sum_units(table: "Floats", units: "Whole") -> "Floats":
    """Return the sums of each unit: (units, numerator and denominator of each term in turn)."""
    import numpy as np

    flat = table.reshape(len(table), table.shape[1] * 2)
    sums = np.zeros((int(units.max()) + 1 if len(units) else 0, table.shape[1] * 2))
    np.add.at(sums, units, flat)
    return sums


def draw_sums(sums: "Floats", draws: int, seed: int) -> "Floats":
    """Return the sums over `draws` samples of as many units, drawn with replacement."""
    import numpy as np

    count = len(sums)
    if not count:
        return np.zeros((draws, sums.shape[1]))
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // count)
    parts = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        picks = generator.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights = np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(weights.astype(np.float64) @ sums)
    return np.concatenate(parts)
