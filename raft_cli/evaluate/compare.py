"""Put the models of finished reports side by side, on the questions and conditions that all of them share. Pure."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from raft_cli.errors import ConfigError
from raft_cli.evaluate.entrants import ASKING, Entrant
from raft_cli.evaluate.figures import find_primary, share
from raft_cli.evaluate.resample import Pair
from raft_cli.evaluate.results import PRIMARY
from raft_cli.evaluate.seeds import Spread, spread_runs
from raft_cli.evaluate.significance import holm, mcnemar
from raft_cli.evaluate.statistics import DRAWS, Difference, Interval, bootstrap_all, contrast_all, count_discordant

CLOSED = "closed"
COMPARED = (PRIMARY, "grounded_acc", "f1", "citation_precision")
_SEED = 42  # of the intervals alone


@dataclass(frozen=True, slots=True)
class Row:
    """One model under one condition.

    Attributes:
        figures: By metric.
        difference: In `acc` to the model of reference under the same condition; None for that model itself.
        better, worse: Questions that only this model, or only that of reference, answered rightly.
        p: Exact McNemar.
        adjusted: The same after Holm over all rows.
    """

    name: str
    condition: str
    figures: Mapping[str, Interval]
    difference: Difference | None = None
    better: int = 0
    worse: int = 0
    p: float | None = None
    adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models side by side.

    Attributes:
        against: The model of reference.
        conditions: What is shown: without documents, and with them.
        questions: How many all reports share.
        spreads: How far runs of one recipe differ.
    """

    entrants: tuple[Entrant, ...]
    against: str
    conditions: tuple[str, ...]
    questions: int
    rows: tuple[Row, ...]
    spreads: tuple[Spread, ...]
    warnings: tuple[str, ...]


def compare_entrants(
    entrants: Sequence[Entrant],
    *,
    conditions: Sequence[str] = (),
    against: str = "",
    force: bool = False,
    draws: int = DRAWS,
) -> Comparison:
    """Return each model without documents and with them, and how far it is from one of them.

    A difference is one of the same questions under the same condition, so that only the model differs.

    Args:
        conditions: With documents; by default the one that decides in a report.
        against: Name of the model of reference; by default the first.
        force: Compare although test rows or passages differ.

    Raises:
        ConfigError: Data differ, nothing is shared, or a name is unknown.
    """
    reference = _find_reference(entrants, against)
    warnings = [*_check_data(entrants, force=force), *_warn(entrants)]
    chosen = _choose_conditions(entrants, conditions)
    ids = _share_questions(entrants)
    units = [entrants[0].clusters[name] for name in ids]
    rows = [_measure(entrant, condition, ids, units, draws) for entrant in entrants for condition in chosen]
    rows = _test(rows, entrants, reference, ids, units, draws)
    spreads = _spread(entrants, chosen, ids, units, draws)
    largest = max(len(each.stored.ids) for each in entrants)
    if len(ids) < largest:
        warnings.append(f"{len(ids):,} questions are in all reports, of up to {largest:,}; only these are compared")
    return Comparison(
        tuple(entrants), reference.name, tuple(chosen), len(ids), tuple(rows), tuple(spreads), tuple(warnings)
    )


def _find_reference(entrants: Sequence[Entrant], against: str) -> Entrant:
    if len(entrants) < 2:
        raise ConfigError("there is only one model; name two reports, or one that had a --baseline")
    found = next((each for each in entrants if each.name == against), None if against else entrants[0])
    if found is None:
        raise ConfigError(f"--against {against}: there are {', '.join(each.name for each in entrants)}")
    return found


def _check_data(entrants: Sequence[Entrant], *, force: bool) -> Iterator[str]:
    first = entrants[0]
    for each in entrants[1:]:
        pairs = (
            ("test rows", first.stored.data, each.stored.data),
            ("passages", first.stored.corpus, each.stored.corpus),
        )
        if changed := [name for name, one, other in pairs if one != other]:
            told = (
                f"{each.name} ({each.place}) had other {' and other '.join(changed)} than {first.name} ({first.place})"
            )
            if not force:
                raise ConfigError(
                    f"{told}, so a difference would not be one of the models; give --force to compare the questions "
                    "that all have"
                )
            yield told


def _warn(entrants: Sequence[Entrant]) -> Iterator[str]:
    first = entrants[0]
    for each in entrants:
        for flag, value in each.deciding.items():
            if value != first.deciding[flag]:
                shown, other = value or "not set", first.deciding[flag] or "not set"
                what = "were asked otherwise" if flag in ASKING.values() else "read other documents"
                yield f"{flag} was {shown} for {each.name} and {other} for {first.name}: they {what}"
    for place in dict.fromkeys(each.place for each in entrants):
        for fault in next(each for each in entrants if each.place == place).faults:
            yield f"{place}: {fault}"


def _choose_conditions(entrants: Sequence[Entrant], wanted: Sequence[str]) -> list[str]:
    """Return the condition without documents if all have it, and those with documents."""
    held = {each.name: each.conditions for each in entrants}
    shared = [name for name in entrants[0].conditions if all(name in names for names in held.values())]
    for condition in wanted:
        if lacking := [name for name, names in held.items() if condition not in names]:
            raise ConfigError(
                f"--condition {condition}: not asked of {', '.join(lacking)}; asked of all: "
                f"{', '.join(shared) or 'none'}"
            )
    documented = [name for name in shared if name != CLOSED]
    chosen = list(wanted) or ([find_primary(documented)] if documented else [])
    chosen = [CLOSED] * (CLOSED in shared) + [name for name in chosen if name != CLOSED]
    if not chosen:
        asked = "; ".join(f"{name}: {', '.join(names)}" for name, names in held.items())
        raise ConfigError(f"there is no condition under which all were asked ({asked})")
    return list(dict.fromkeys(chosen))


def _share_questions(entrants: Sequence[Entrant]) -> list[str]:
    known = [set(each.stored.ids) for each in entrants]
    ids = [name for name in entrants[0].stored.ids if all(name in names for names in known)]
    if not ids:
        raise ConfigError("no question is in all of these reports")
    return ids


def _pick(entrant: Entrant, condition: str, metric: str, ids: Sequence[str]) -> list[Pair]:
    column = entrant.stored.columns.get((entrant.label, condition, metric))
    if column is None:
        return [(0.0, 0.0)] * len(ids)
    held = dict(zip(entrant.stored.ids, column, strict=True))
    return [held[name] for name in ids]


def _measure(entrant: Entrant, condition: str, ids: Sequence[str], units: Sequence[str], draws: int) -> Row:
    columns = [_pick(entrant, condition, metric, ids) for metric in COMPARED]
    found = bootstrap_all(columns, units, draws=draws, seed=_SEED)
    return Row(entrant.name, condition, dict(zip(COMPARED, found, strict=True)))


def _test(
    rows: Sequence[Row],
    entrants: Sequence[Entrant],
    reference: Entrant,
    ids: Sequence[str],
    units: Sequence[str],
    draws: int,
) -> list[Row]:
    """Return the rows with their differences to the model of reference."""
    held = {each.name: each for each in entrants}
    pairs = {
        at: share([_pick(each, row.condition, PRIMARY, ids) for each in (held[row.name], reference)])
        for at, row in enumerate(rows)
        if row.name != reference.name
    }
    terms = [[(1.0, one), (-1.0, other)] for one, other in pairs.values()]
    differences = dict(zip(pairs, contrast_all(terms, units, draws=draws, seed=_SEED), strict=True))
    discordant = {at: count_discordant(one, other) for at, (one, other) in pairs.items()}
    ps = {at: mcnemar(*counts) if differences[at].n else None for at, counts in discordant.items()}
    adjusted = dict(zip(ps, holm(list(ps.values())), strict=True))
    return [
        replace(
            row,
            difference=differences[at],
            better=discordant[at][0],
            worse=discordant[at][1],
            p=ps[at],
            adjusted=adjusted[at],
        )
        if at in pairs
        else row
        for at, row in enumerate(rows)
    ]


def _spread(
    entrants: Sequence[Entrant], conditions: Sequence[str], ids: Sequence[str], units: Sequence[str], draws: int
) -> Iterator[Spread]:
    groups = dict.fromkeys(each.group for each in entrants if each.group)
    for name, condition in itertools.product(groups, conditions):
        columns = [_pick(each, condition, PRIMARY, ids) for each in entrants if each.group == name]
        if (found := spread_runs(name, condition, columns, units, draws=draws, seed=_SEED)) is not None:
            yield found
