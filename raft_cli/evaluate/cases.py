"""Build what models are asked: each question under each condition, its documents in order. Pure."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from statistics import fmean

from raft_cli.corpus.search import LexicalIndex
from raft_cli.data import Chunk, Role
from raft_cli.errors import DatasetError
from raft_cli.evaluate.conditions import Condition
from raft_cli.evaluate.counter import Swaps
from raft_cli.evaluate.distractors import Distractors, Leaks, Search
from raft_cli.evaluate.records import Case, Item

_DEPTH = 50  # of retrieval at least: how ties are broken must not depend on how many passages are asked for


@dataclass(frozen=True, slots=True)
class CaseSet:
    """What models are asked.

    Attributes:
        cases: Question by question, in the order of the conditions, so that neighbours share the beginning of a prompt.
        left_out: Why, for each condition that no question could be asked under.
        chances: For each condition the share of its documents that are an oracle, which is how often a quote from a
            random document comes from one; None where there are no documents.
        warnings: What a person should be told.
    """

    cases: tuple[Case, ...]
    conditions: tuple[str, ...]
    left_out: Mapping[str, str]
    chances: Mapping[str, float | None]
    leaks: Leaks
    warnings: tuple[str, ...]

    def without(self, names: Collection[str]) -> "CaseSet":
        """Return the cases of all other questions; a condition under which none of these is asked goes too."""
        cases = tuple(case for case in self.cases if case.item_id not in names)
        chances = _find_chances(cases)
        lost = [name for name in self.conditions if name not in chances]
        told = {name: f"{name} left out: the questions asked under it are too long for a model" for name in lost}
        return replace(
            self,
            cases=cases,
            conditions=tuple(name for name in self.conditions if name in chances),
            left_out={**self.left_out, **told},
            chances=chances,
            warnings=(*self.warnings, *told.values()),
        )


def search_lexically(chunks: Mapping[str, Chunk]) -> Search:
    """Return the lexical search over all passages, headings included."""
    names = list(chunks)
    index = LexicalIndex([" ".join([*chunk.heading, chunk.text]) for chunk in chunks.values()])
    return lambda query, top: [names[at] for at in index.search(query, top)]


def build_cases(
    items: Sequence[Item],
    chunks: Mapping[str, Chunk],
    conditions: Sequence[Condition],
    *,
    seed: int,
    distractors_trained: int,
    search: Search,
    run: Mapping[str, Sequence[str]] | None = None,
    pool: Sequence[Item] = (),
) -> CaseSet:
    """Return every question under every condition that it can be asked under.

    A question without enough safe distractors, or whose answer cannot be swapped, is left out of that condition alone.

    Args:
        distractors_trained: Beside the oracle in a row of training: `distract` has as many documents as such a row.
        search: Finds hard distractors, and the passages of `retrieved@K` by the question alone.
        run: What another retriever found for each question, in place of `search` for `retrieved@K`.
        pool: Questions whose answers `counter` puts in; by default those that are asked.

    Raises:
        DatasetError: There is no question, or no condition is left.
    """
    if not items:
        raise DatasetError("nothing can be asked: there is no question")
    builder = _Builder(
        chunks=chunks,
        conditions=conditions,
        trained=distractors_trained,
        search=search,
        run=run,
        pool=Distractors(chunks, search, seed=seed),
        swaps=Swaps(pool or items, seed=seed),
        seed=seed,
    )
    cases = [case for item in items for case in builder.build(item)]
    asked = Counter(case.condition for case in cases)
    left_out = {each.name: builder.explain(each) for each in conditions if not asked[each.name]}
    if not cases:
        raise DatasetError("nothing can be asked: " + "; ".join(left_out.values()))
    return CaseSet(
        cases=tuple(cases),
        conditions=tuple(each.name for each in conditions if asked[each.name]),
        left_out=left_out,
        chances=_find_chances(cases),
        leaks=builder.pool.leaks,
        warnings=(*left_out.values(), *builder.warn(asked, len(items))),
    )


def _find_chances(cases: Sequence[Case]) -> dict[str, float | None]:
    shares: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        shares[case.condition] += [len(case.oracle) / len(case.documents)] if case.documents else []
    return {name: fmean(each) if each else None for name, each in shares.items()}


@dataclass(slots=True)
class _Builder:
    """Makes the cases of one question after another; `unfilled` counts those that retrieval gave too few passages."""

    chunks: Mapping[str, Chunk]
    conditions: Sequence[Condition]
    trained: int
    search: Search
    run: Mapping[str, Sequence[str]] | None
    pool: Distractors
    swaps: Swaps
    seed: int
    unfilled: Counter[str] = field(default_factory=Counter)

    def build(self, item: Item) -> Iterator[Case]:
        """Yield the question under each condition that it can be asked under."""
        draw = random.Random(f"{self.seed}:eval-place:{item.id}")
        placed = sorted(((draw.random(), self.chunks[name]) for name in item.oracle_ids), key=itemgetter(0))
        most = max((self._count(condition, item) for condition in self.conditions), default=0)
        drawn = self.pool.choose(item, most) if most else []
        retrieved = [each.size for each in self.conditions if each.kind == "retrieved"]
        found = self._retrieve(item, max(_DEPTH, *retrieved)) if retrieved else []
        for condition in self.conditions:
            count = self._count(condition, item)
            if condition.kind == "closed":
                yield _make_case(condition, item, [])
            elif condition.kind == "retrieved" and condition.size <= len(self.chunks):
                self.unfilled[condition.name] += len(found) < condition.size
                yield _make_case(condition, item, found[: condition.size])
            elif condition.kind == "counter":
                if swapped := self.swaps.swap(item, [chunk for _, chunk in placed]):
                    oracle = [(chunk, Role.ORACLE) for chunk in swapped[0]]
                    yield _make_case(condition, item, oracle, golds=(swapped[1],))
            elif condition.kind == "distract" and count <= len(drawn):
                yield _make_case(condition, item, drawn[:count])
            elif condition.kind in ("oracle", "pos") and count <= len(drawn):
                yield _make_case(condition, item, _interleave(drawn[:count], placed, condition.place))

    def _count(self, condition: Condition, item: Item) -> int:
        """Return how many distractors a condition asks for."""
        if condition.kind == "distract":
            return self.trained + len(item.oracle_ids)
        return condition.size if condition.kind in ("oracle", "pos") else 0

    def _retrieve(self, item: Item, top: int) -> list[tuple[Chunk, Role]]:
        names = self.search(item.question, top) if self.run is None else self.run[item.id][:top]
        return [(self.chunks[name], Role.ORACLE if name in item.oracle_ids else Role.HARD) for name in names]

    def explain(self, condition: Condition) -> str:
        """Return why no question could be asked under a condition."""
        if condition.kind == "counter":
            return f"{condition.name} left out: no answer stands in its passage where another of its kind could stand"
        if condition.kind == "retrieved":
            return f"{condition.name} left out: the corpus has only {len(self.chunks)} passages"
        wanted = self.trained + 1 if condition.kind == "distract" else condition.size
        return (
            f"{condition.name} left out: of the {len(self.chunks)} passages too few are safe as distractors, "
            f"it needs {wanted} for each question"
        )

    def warn(self, asked: Mapping[str, int], total: int) -> Iterator[str]:
        """Yield what was done under a condition for a part of the questions only."""
        for condition in self.conditions:
            name, number = condition.name, asked[condition.name]
            if 0 < number < total and condition.kind == "counter":
                yield f"{name}: asked of {number} of {total} questions, those whose answer could be swapped"
            elif 0 < number < total:
                yield f"{name}: asked of {number} of {total} questions; the others have too few safe distractors"
            if few := self.unfilled[name]:
                yield f"{name}: for {few} of {total} questions fewer passages were found"


def _interleave(
    drawn: Sequence[tuple[Chunk, Role]], placed: Sequence[tuple[float, Chunk]], place: float | None
) -> list[tuple[Chunk, Role]]:
    """Return distractors in their order with each oracle at its fraction of the row, or all of them at `place`."""
    size = len(drawn)
    slots = [int(part * (size + 1)) if place is None else int(place * size + 0.5) for part, _ in placed]
    documents: list[tuple[Chunk, Role]] = []
    for at in range(size + 1):
        documents += [(chunk, Role.ORACLE) for slot, (_, chunk) in zip(slots, placed, strict=True) if slot == at]
        documents += drawn[at : at + 1]
    return documents


def _make_case(
    condition: Condition, item: Item, documents: Sequence[tuple[Chunk, Role]], golds: tuple[str, ...] = ()
) -> Case:
    return Case(
        item_id=item.id,
        condition=condition.name,
        documents=tuple(chunk for chunk, _ in documents),
        roles=tuple(role for _, role in documents),
        oracle=tuple(at for at, (_, role) in enumerate(documents) if role is Role.ORACLE),
        golds=golds or item.golds,
    )
