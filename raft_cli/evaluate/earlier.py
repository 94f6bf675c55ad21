"""Compare a run with an earlier one by what each answer added to each figure, kept in its `results.json`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raft_cli.errors import ConfigError
from raft_cli.evaluate.resample import Pair
from raft_cli.evaluate.statistics import DRAWS, Difference, contrast_all

SCHEMA = 1
Key = tuple[str, str, str]  # model, condition, metric


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run keeps so that a later one can be compared with it.

    Attributes:
        data: SHA-256 of the test rows.
        corpus: SHA-256 of the passages.
        ids: Of the questions; each column has one value for each of them, in this order.
    """

    data: str
    corpus: str
    ids: tuple[str, ...]
    columns: Mapping[Key, tuple[Pair, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one model since an earlier run.

    Attributes:
        differences: Now less earlier, by condition and metric, for those that both runs have.
        shared: Questions of both runs; only these are compared.
        new: Questions that the earlier run did not have.
        gone: Questions that this run does not have.
    """

    differences: dict[tuple[str, str], Difference]
    shared: int
    new: int
    gone: int


def store(stored: Stored) -> dict[str, Any]:
    """Return the JSON object that stands for it in `results.json`."""
    columns: dict[str, dict[str, dict[str, object]]] = {}
    for (model, condition, metric), column in stored.columns.items():
        columns.setdefault(model, {}).setdefault(condition, {})[metric] = list(column)
    return {
        "schema": SCHEMA,
        "data": stored.data,
        "corpus": stored.corpus,
        "ids": list(stored.ids),
        "columns": columns,
    }


def read_stored(record: object, *, place: str) -> Stored:
    """Read what `store` made.

    Args:
        place: The file it comes from, for messages.

    Raises:
        ConfigError: It is something else, or of another schema.
    """
    if not isinstance(record, Mapping) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, Mapping) else None
        raise ConfigError(
            f"--compare-to {place}: not the results of a run that this version can compare with (schema "
            f"{found}, expected {SCHEMA}); run that evaluation again, its answers are kept"
        )
    try:
        ids = tuple(str(each) for each in record["ids"])
        columns = {
            (str(model), str(condition), str(metric)): tuple(_read_pair(pair) for pair in column)
            for model, conditions in record["columns"].items()
            for condition, metrics in conditions.items()
            for metric, column in metrics.items()
        }
        stored = Stored(str(record["data"]), str(record["corpus"]), ids, columns)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"--compare-to {place}: damaged ({type(error).__name__}: {error})") from error
    if any(len(column) != len(ids) for column in columns.values()):
        raise ConfigError(f"--compare-to {place}: damaged (a figure has not one value for each question)")
    return stored


def _read_pair(value: Any) -> Pair:  # noqa: ANN401 - a JSON value
    if value is None:
        return None
    above, below = value
    return float(above), float(below)


def check_comparable(now: Stored, earlier: Stored, *, place: str, force: bool) -> None:
    """Refuse to compare runs over other data; the columns of `now` may still be empty, so that it can stand early.

    Raises:
        ConfigError: Data or corpus differ and `force` is not given, or no question is in both.
    """
    pairs = (("test rows", now.data, earlier.data), ("passages", now.corpus, earlier.corpus))
    changed = [name for name, one, other in pairs if one != other]
    if changed and not force:
        raise ConfigError(
            f"--compare-to {place}: that run had other {' and other '.join(changed)}, so a difference would not be one "
            "of the models; give --force to compare the questions that both have"
        )
    if not set(now.ids) & set(earlier.ids):
        raise ConfigError(f"--compare-to {place}: no question is in both runs")


def compare_to(
    now: Stored,
    earlier: Stored,
    clusters: Mapping[str, str],
    *,
    place: str,
    model: str = "model",
    force: bool = False,
    draws: int = DRAWS,
    seed: int,
) -> Change:
    """Return how the figures of `model` changed, paired by question.

    Args:
        clusters: By question of this run, the passage that it is about.

    Raises:
        ConfigError: As `check_comparable`.
    """
    check_comparable(now, earlier, place=place, force=force)
    known = set(earlier.ids)
    shared = [each for each in now.ids if each in known]
    keys = [key for key in now.columns if key[0] == model and key in earlier.columns]
    contrasts = [[(1.0, _align(now, key, shared)), (-1.0, _align(earlier, key, shared))] for key in keys]
    differences = contrast_all(contrasts, [clusters[each] for each in shared], draws=draws, seed=seed)
    return Change(
        differences={key[1:]: difference for key, difference in zip(keys, differences, strict=True)},
        shared=len(shared),
        new=len(now.ids) - len(shared),
        gone=len(earlier.ids) - len(shared),
    )


def _align(stored: Stored, key: Key, ids: Sequence[str]) -> list[Pair]:
    held = dict(zip(stored.ids, stored.columns[key], strict=True))
    return [held[each] for each in ids]
