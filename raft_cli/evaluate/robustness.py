"""What a model does when its documents change: more of them, other places, none, retrieved ones. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from raft_cli.evaluate.figures import Key, Table, share
from raft_cli.evaluate.measure import measure_grounded_refusal
from raft_cli.evaluate.records import Case, Item
from raft_cli.evaluate.resample import Column, Pair
from raft_cli.evaluate.results import Contrast, Position, Retrieval, Slice, Steadiness
from raft_cli.evaluate.significance import cochran_q
from raft_cli.evaluate.statistics import Interval

_SOURCES = 40  # documents in the table, those with the most questions


def contrast_conditions(table: Table, models: Sequence[str], conditions: Sequence[str]) -> list[Contrast]:
    """Return the differences between conditions that this run can tell, for each model."""
    named = list(_name_contrasts(conditions))
    kept = [(model, *each) for model in models for each in named]
    sums = [
        [(weight, column) for weight, condition in terms if (column := table.pick(model, condition)) is not None]
        for model, _, _, terms in kept
    ]
    found = table.contrast(sums)
    return [Contrast(model, name, meaning, each) for (model, name, meaning, _), each in zip(kept, found, strict=True)]


def _name_contrasts(conditions: Sequence[str]) -> Iterator[tuple[str, str, list[tuple[float, str]]]]:
    """Yield name, meaning and terms of each."""
    there = set(conditions)
    sizes = [int(name.partition("+")[2]) for name in conditions if name.startswith("oracle+")]
    if {"oracle", "closed"} <= there:
        yield "context_gain", "acc(oracle) − acc(closed)", [(1, "oracle"), (-1, "closed")]
    for size in sizes if "oracle" in there else ():
        yield (
            f"distraction_{size}",
            f"acc(oracle) − acc(oracle+{size})",
            [(1, "oracle"), (-1, f"oracle+{size}")],
        )
    for size in sizes:
        if f"retrieved@{size + 1}" in there:
            meaning = f"acc(oracle+{size}) − acc(retrieved@{size + 1})"
            yield f"retrieval_gap_{size + 1}", meaning, [(1, f"oracle+{size}"), (-1, f"retrieved@{size + 1}")]
    if {"closed", "distract"} <= there:
        yield "interference", "acc(closed) − acc(distract)", [(1, "closed"), (-1, "distract")]
    places = [name for name in conditions if name.startswith("pos@")]
    ends, middle = (
        [name for name in places if _place(name) in (0, 1)],
        [name for name in places if 0 < _place(name) < 1],
    )
    if len(ends) == 2 and middle:
        terms = [(0.5, name) for name in ends] + [(-1 / len(middle), name) for name in middle]
        yield "mid_drop", "acc(oracle at an end) − acc(oracle between)", terms


def _place(condition: str) -> float:
    return float(condition.partition("@")[2])


def slice_questions(
    table: Table, items: Sequence[Item], models: Sequence[str], conditions: Sequence[str], primary: str
) -> list[Slice]:
    """Return `acc` over parts of the questions: by passage seen in training or not everywhere, else under `primary`."""
    held = {item.id: item for item in items}
    parts: list[tuple[str, str, str, set[str]]] = []
    for kind, wanted in (
        ("chunk", conditions),
        ("source", [primary]),
        ("language", [primary]),
        ("question", [primary]),
    ):
        groups: dict[str, set[str]] = defaultdict(set)
        for item in held.values():
            groups[_name_part(kind, item)].add(item.id)
        if len(groups) < 2 and kind != "source":
            continue
        largest = sorted(groups, key=lambda name: (-len(groups[name]), name))[:_SOURCES]
        parts += [(kind, name, condition, groups[name]) for condition in wanted for name in largest]
    kept = [
        (kind, name, model, condition, table.keep(column, names.__contains__))
        for kind, name, condition, names in parts
        for model in models
        if (column := table.pick(model, condition)) is not None
    ]
    found = table.estimate([column for *_, column in kept])
    return [
        Slice(kind, name, model, condition, figure)
        for (kind, name, model, condition, _), figure in zip(kept, found, strict=True)
    ]


def _name_part(kind: str, item: Item) -> str:
    if kind == "chunk":
        return "seen in training" if item.seen else "unseen in training"
    return {"source": item.source, "language": item.language, "question": item.kind or "other"}[kind]


def follow_oracle(
    figures: dict[Key, Interval], table: Table, models: Sequence[str], conditions: Sequence[str]
) -> tuple[list[Position], list[Steadiness]]:
    """Return what the place of the oracle does to each model, and whether that is more than chance."""
    places = sorted((name for name in conditions if name.startswith("pos@")), key=_place)
    positions = [
        Position(model, _place(name), figures[model, name, "acc"], figures[model, name, "citation_precision"])
        for model in models
        for name in places
    ]
    if len(places) < 2:
        return positions, []
    steady = []
    for model in models:
        columns = share([column for name in places if (column := table.pick(model, name)) is not None])
        rows = [row for row in zip(*columns, strict=True) if all(pair and pair[1] for pair in row)]
        verdicts = [[bool(pair and pair[0]) for pair in row] for row in rows]
        test = cochran_q(verdicts) if verdicts else None
        same = sum(len(set(row)) == 1 for row in verdicts)
        share_same = same / len(verdicts) if verdicts else None
        steady.append(Steadiness(model, share_same, len(verdicts), *(test or (None, None))))
    return positions, steady


def measure_retrieval(
    table: Table, items: Sequence[Item], cases: Sequence[Case], models: Sequence[str]
) -> list[Retrieval]:
    """Return how well passages were retrieved (hit@k, MRR, nDCG@k), and `acc` where they hold an oracle or not."""
    oracles = {item.id: len(item.oracle_ids) for item in items}
    by_condition: dict[str, dict[str, Case]] = defaultdict(dict)
    for case in cases:
        if case.condition.startswith("retrieved@"):
            by_condition[case.condition][case.item_id] = case
    found = []
    for condition, held in by_condition.items():
        columns: list[Column] = [
            [(measured(held[name], oracles[name]), 1.0) if name in held else (0.0, 0.0) for name in table.ids]
            for measured in (_hit, _reciprocal, _gain)
        ]
        hits = {name for name, case in held.items() if case.oracle}
        misses = held.keys() - hits
        for model in models:
            column: Sequence[Pair] = table.pick(model, condition) or [(0.0, 0.0)] * len(table.ids)
            columns += [table.keep(column, hits.__contains__), table.keep(column, misses.__contains__)]
        hit, mrr, ndcg, *rest = table.estimate(columns)
        right = {model: (rest[2 * at], rest[2 * at + 1]) for at, model in enumerate(models)}
        found.append(Retrieval(condition, hit, mrr, ndcg, right))
    return found


def _hit(case: Case, oracles: int) -> float:
    return float(bool(case.oracle))


def _reciprocal(case: Case, oracles: int) -> float:
    return 1 / (case.oracle[0] + 1) if case.oracle else 0.0


def _gain(case: Case, oracles: int) -> float:
    """Return nDCG with relevance 0 or 1 (Järvelin and Kekäläinen, 2002)."""
    best = sum(1 / math.log2(at + 2) for at in range(min(oracles, len(case.documents))))
    return sum(1 / math.log2(at + 2) for at in case.oracle) / best if best else 0.0


def measure_refusals(table: Table, models: Sequence[str], primary: str) -> dict[str, float]:
    """Return F1 of grounded refusal, of `primary` and `distract`, by model: of those that declined anything."""
    found = {}
    for model in models:
        sums = []
        for condition, metric in ((primary, "over_refusal"), ("distract", "refusal_rate")):
            pairs = [pair for pair in table.pick(model, condition, metric) or () if pair]
            sums.append((sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)))
        declined = any(refused for refused, _ in sums)
        if declined and (value := measure_grounded_refusal(*sums)) is not None:
            found[model] = value
    return found
