"""Every row lands in exactly one group, and no group is over its budget."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.train.data.pack import batch_rows, measure_fill, pack_rows

LENGTHS = st.lists(st.integers(1, 120), max_size=60)
BUDGET = st.integers(1, 200)


@given(LENGTHS, BUDGET)
def test_packs_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    packs = pack_rows(lengths, budget)
    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    assert all(pack == sorted(pack) for pack in packs) and packs == sorted(packs)
    for pack in packs:
        assert len(pack) == 1 or sum(lengths[row] for row in pack) <= budget
    assert packs == pack_rows(np.array(lengths, dtype=np.int64), budget)


@given(LENGTHS, BUDGET)
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = batch_rows(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batch == sorted(batch) for batch in batches) and batches == sorted(batches)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget
    assert batches == batch_rows(np.array(lengths, dtype=np.int64), budget)


def fill_best(lengths: list[int], budget: int) -> list[list[int]]:
    """Pack by looking at every bin: what `pack_rows` does faster."""
    bins: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        left = [(budget - sum(lengths[each] for each in held), at) for at, held in enumerate(bins)]
        at = min((pair for pair in left if pair[0] >= lengths[row]), default=(0, -1))[1]
        if at < 0:
            bins.append([])
        bins[at].append(row)
    return bins


@given(LENGTHS, st.integers(120, 400))
def test_packs_are_those_of_best_fit_decreasing(lengths: list[int], budget: int) -> None:
    ours, slow = pack_rows(lengths, budget), fill_best(lengths, budget)
    sums = [sorted(sum(lengths[row] for row in pack) for pack in packs) for packs in (ours, slow)]
    assert sums[0] == sums[1]


def test_a_row_above_the_budget_is_alone() -> None:
    assert pack_rows([5, 30, 5], 10) == [[0, 2], [1]]
    assert batch_rows([5, 30, 5], 10) == [[0, 2], [1]]


def test_nothing_makes_no_groups() -> None:
    assert pack_rows([], 10) == batch_rows([], 10) == []
    assert measure_fill([], [], packed=True, budget=10) == 1.0


def test_the_fill_is_against_the_budget_or_the_padding() -> None:
    assert measure_fill([[0, 1], [2]], [4, 4, 5], packed=True, budget=10) == pytest.approx(13 / 20)
    assert measure_fill([[0], [1]], [30, 5], packed=True, budget=10) == pytest.approx(35 / 40)
    assert measure_fill([[0, 1], [2]], [4, 2, 5], packed=False, budget=10) == pytest.approx(11 / 13)


def test_many_rows_are_packed_well_and_at_once() -> None:
    rng = random.Random("lengths")
    lengths = [int(rng.gauss(2620, 180)) for _ in range(20_000)]
    assert measure_fill(pack_rows(lengths, 16_384), lengths, packed=True, budget=16_384) > 0.95
    assert measure_fill(batch_rows(lengths, 16_384), lengths, packed=False, budget=16_384) > 0.99
