"""Intervals and tests agree with scipy, with tables worked by hand, and with what they promise over many studies."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raft_cli.evaluate.resample import Pair
from raft_cli.evaluate.significance import (
    cochran_q,
    cohens_kappa,
    find_needed,
    find_smallest,
    find_smallest_clustered,
    holm,
    mcnemar,
)
from raft_cli.evaluate.statistics import (
    Interval,
    bootstrap,
    bootstrap_all,
    compare,
    contrast_all,
    count_discordant,
)


def column(values: list[float]) -> list[Pair]:
    return [(float(value), 1.0) for value in values]


def apart(count: int) -> list[str]:
    return [f"chunk{number}" for number in range(count)]


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=120)
    ours = bootstrap(column(list(values)), apart(120), seed=1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2))
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    assert (ours.n, ours.clusters, ours.missing, ours.by_question) == (120, 120, 0, False)


def test_the_interval_of_a_paired_difference_and_its_error_are_those_of_scipy() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.normal(0.6, 1, 80), draw.normal(0.2, 1, 80)
    ours = compare(column(list(one)), column(list(other)), apart(80), seed=1)
    theirs = stats.bootstrap(
        (one - other,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    )
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.05)
    assert ours.p == pytest.approx(stats.ttest_rel(one, other).pvalue, abs=0.02)


def test_a_ratio_of_sums_weighs_answers_by_their_denominators() -> None:
    quotes: list[Pair] = [(1, 1), (0, 3), (0, 0), None, (2, 4)]
    found = bootstrap(quotes, ["a", "a", "b", "b", "c"], seed=1)
    assert (found.value, found.n, found.missing) == (3 / 8, 3, 1)
    assert found.by_question and found.clusters == 4


def test_answers_of_one_passage_are_drawn_together() -> None:
    """Five equal answers a passage are worth one: the interval is that of the passages alone."""
    verdicts = [float(number % 3 == 0) for number in range(60)]
    alone = bootstrap(column(verdicts), apart(60), seed=1)
    five = bootstrap(column(verdicts * 5), apart(60) * 5, seed=1)
    assert (five.value, five.low, five.high, five.clusters) == (alone.value, alone.low, alone.high, 60)
    assert five.n == 300
    as_if_apart = bootstrap(column(verdicts * 5), apart(300), seed=1)
    assert as_if_apart.high - as_if_apart.low < (five.high or 0) - (five.low or 0)


def simulate(effect: float, seed: int) -> tuple[list[Pair], list[str]]:
    """Return 60 passages of 5 questions, whose chances of a right answer differ from passage to passage around 0.6."""
    draw = np.random.default_rng(seed)
    spread = min(0.4, effect / 2)
    chances = 0.6 + spread * draw.choice([-1.0, 1.0], size=60)
    verdicts = draw.random((60, 5)) < chances[:, None]
    return column(list(verdicts.ravel().astype(float))), [name for name in apart(60) for _ in range(5)]


@pytest.mark.parametrize("effect", [0.0, 0.4, 0.8])
def test_ninety_five_percent_means_ninety_five_percent(effect: float) -> None:
    covered = 0
    for seed in range(1500):
        values, clusters = simulate(effect, seed)
        found = bootstrap(values, clusters, draws=600, seed=seed)
        covered += (found.low or 0) <= 0.6 <= (found.high or 0)
    assert 0.92 <= covered / 1500 <= 0.97


def test_false_alarms_are_five_in_a_hundred() -> None:
    alarms = 0
    for seed in range(600):
        one, clusters = simulate(0.4, 2 * seed)
        other, _ = simulate(0.4, 2 * seed + 1)
        alarms += (compare(one, other, clusters, draws=600, seed=seed).p or 1) < 0.05
    assert 0.03 <= alarms / 600 <= 0.085


def test_many_figures_at_once_are_the_same_as_one_by_one() -> None:
    draw = np.random.default_rng(1)
    clusters = [f"chunk{at % 40}" for at in range(200)]
    columns = [column(list(draw.integers(0, 2, 200).astype(float))) for _ in range(4)]
    columns[2][7] = None
    together = bootstrap_all(columns, clusters, draws=500, seed=9)
    assert together == [bootstrap(each, clusters, draws=500, seed=9) for each in columns]
    assert together[2].missing == 1 and together[2].n == 199
    assert together != bootstrap_all(columns, clusters, draws=500, seed=10)
    differences = contrast_all(
        [[(1, columns[0]), (-1, columns[1])], [(1, columns[2]), (-1, columns[3])]], clusters, draws=500, seed=9
    )
    assert differences[0] == compare(columns[0], columns[1], clusters, draws=500, seed=9)
    assert differences[1] == compare(columns[2], columns[3], clusters, draws=500, seed=9)


def test_a_difference_keeps_to_questions_that_both_answered() -> None:
    one: list[Pair] = [(1, 1)] * 30 + [None, (1, 1)]
    other: list[Pair] = [(0, 1)] * 15 + [(1, 1)] * 15 + [(1, 1), None]
    found = compare(one, other, apart(32), seed=1)
    assert (found.value, found.n, found.missing, found.clusters) == (0.5, 30, 2, 30)


def test_a_difference_of_differences() -> None:
    closed, open_book = column([0, 1] * 20), column([1, 1] * 20)
    base_closed, base_open = column([0, 1] * 20), column([0, 1] * 20)
    found = contrast_all(
        [[(1, open_book), (-1, closed), (-1, base_open), (1, base_closed)]], apart(40), draws=500, seed=1
    )[0]
    assert found.value == 0.5


def test_what_is_not_defined_is_none() -> None:
    assert bootstrap([], [], seed=1) == Interval(None, None, None, 0, 0, 0, False)
    assert bootstrap([None, None], ["a", "b"], seed=1) == Interval(None, None, None, 0, 0, 2, False)
    unquoted = bootstrap([(0, 0)] * 30, apart(30), seed=1)
    assert (unquoted.value, unquoted.low, unquoted.n) == (None, None, 0)
    nothing = compare([], [], [], seed=1)
    assert (nothing.value, nothing.low, nothing.p, nothing.error) == (None, None, None, None)
    half: list[Pair] = [(0, 0)] * 30
    assert compare(half, column([1.0] * 30), apart(30), seed=1).value is None


def test_one_passage_tells_nothing_of_passages() -> None:
    alone = bootstrap([(1, 3)], ["a"], seed=1)
    assert (alone.value, alone.low, alone.high) == (1 / 3, None, None)
    rare: list[Pair] = [(1, 2), (0, 1)] + [(0, 0)] * 98  # in one draw of seven neither is drawn
    found = bootstrap(rare, apart(100), seed=1)
    assert found.value == 1 / 3 and found.low is None
    enough = bootstrap([(1, 2), (0, 1)] * 3 + [(0, 0)] * 94, apart(100), seed=1)
    assert enough.low is not None


def test_all_right_is_not_certain() -> None:
    """The bounds are those of the exact binomial interval, for as many answers as passages."""
    for values, edge in ([1.0] * 120, 40), ([0.0] * 120, 0):
        found = bootstrap(column(values), [f"chunk{at % 40}" for at in range(120)], seed=1)
        exact = stats.binomtest(edge, 40).proportion_ci(method="exact")
        assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    single = bootstrap([(1, 1)], ["a"], seed=1)
    assert (single.value, single.low, single.high) == (1.0, pytest.approx(0.025), 1.0)


def test_two_that_agree_everywhere_may_still_differ_by_what_was_never_seen() -> None:
    verdicts, unseen = column([0, 1] * 30), 1 - 0.025 ** (1 / 60)
    found = compare(verdicts, verdicts, apart(60), seed=1)
    assert (found.value, found.p, found.error) == (0, 1, 0)
    assert (found.low, found.high) == (pytest.approx(-unseen), pytest.approx(unseen))


def test_one_that_is_always_ahead_may_not_always_be() -> None:
    found = compare(column([1] * 60), column([0] * 60), apart(60), seed=1)
    assert (found.value, found.low, found.high) == (1, pytest.approx(0.025 ** (1 / 60)), 1)


def test_equal_shares_in_thirds_differ_by_nothing_and_not_by_noise() -> None:
    """The sum of 1/2 + 1/2 - 3 x 1/3 of one and the same share is not 0 in floating point."""
    for verdicts in (column([1] * 60), column([0, 1, 1] * 20)):
        ends, middle = [(0.5, verdicts)] * 2, [(-1 / 3, verdicts)] * 3
        found = contrast_all([[*ends, *middle]], apart(60), seed=1)[0]
        assert (found.value, found.p, found.error) == (0, 1, 0)
        assert found.low is not None and found.high is not None and found.low < -0.05 < 0.05 < found.high


def test_what_is_no_share_has_no_such_bound() -> None:
    tokens = column([100, 200] * 30)
    found = compare(tokens, tokens, apart(60), seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (1.0, math.inf), (1.0, -1.0), (1.0, 0.0), (math.nan, math.nan)])
def test_what_is_no_number_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError):
        bootstrap([bad, (1.0, 1.0)], ["a", "b"], seed=1)
    with pytest.raises(ValueError):
        compare([(1.0, 1.0)], [bad], ["a"], seed=1)


def test_lengths_have_to_agree() -> None:
    with pytest.raises(ValueError, match="2 answers, but 3 clusters"):
        bootstrap([(1, 1), (1, 1)], apart(3), seed=1)


PAIRS = st.one_of(st.none(), st.just((0.0, 0.0)), st.tuples(st.floats(0, 1), st.just(1.0)))


@given(st.lists(st.tuples(PAIRS, PAIRS, st.sampled_from("abcdefgh"))), st.integers(0, 5))
def test_intervals_hold_their_value_and_mirror(rows: list[tuple[Pair, Pair, str]], seed: int) -> None:
    one, other, clusters = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    found = bootstrap(one, clusters, draws=200, seed=seed)
    assert found.n + found.missing <= len(rows)
    assert (found.value is None) == (found.n == 0)
    if found.value is not None:
        assert -1e-9 <= found.value <= 1 + 1e-9
    there, back = (compare(*pair, clusters, draws=200, seed=seed) for pair in ((one, other), (other, one)))
    assert there.n == back.n and there.missing == back.missing
    if there.value is not None:
        assert there.value == pytest.approx(-(back.value or 0))
    if there.p is not None:
        assert 0 < there.p <= 1 and there.p == pytest.approx(back.p)
        assert there.low == pytest.approx(-(back.high or 0))


def test_discordant_questions_are_counted() -> None:
    one: list[Pair] = [(1, 1), (0, 1), (1, 1), None, (0, 0), (1, 2)]
    other: list[Pair] = [(0, 1), (1, 1), (1, 1), (0, 1), (1, 1), (1, 4)]
    assert count_discordant(one, other) == (2, 1)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial_test(better: int, worse: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_questions_and_of_bad_counts() -> None:
    assert mcnemar(6_000, 4_000) == pytest.approx(stats.binomtest(6_000, 10_000).pvalue)
    assert mcnemar(1, 0) == 1.0 and mcnemar(6, 0) == 2 / 64
    with pytest.raises(ValueError):
        mcnemar(-1, 2)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9, 0.01]) == [1.0, None, 1.0, 0.03]
    assert holm([]) == [] and holm([None]) == [None]
    with pytest.raises(ValueError):
        holm([math.nan])
    with pytest.raises(ValueError):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1))
def test_holm_lies_between_a_p_and_bonferroni(ps: list[float]) -> None:
    for p, adjusted in zip(ps, holm(list(ps)), strict=True):
        assert adjusted is not None and p <= adjusted <= min(1, p * len(ps))


NEEDED = {
    0.03: {0.1: 870, 0.2: 1742, 0.3: 2614},
    0.05: {0.1: 312, 0.2: 626, 0.3: 940},
    0.08: {0.1: 120, 0.2: 243, 0.3: 366},
    0.10: {0.1: None, 0.2: 155, 0.3: 233},
}


@pytest.mark.parametrize(
    ("difference", "discordant", "n"),
    [(difference, share, n) for difference, row in NEEDED.items() for share, n in row.items()],
)
def test_questions_needed_are_those_of_the_table(difference: float, discordant: float, n: int | None) -> None:
    found = find_needed(difference, discordant)
    assert found in ((n, n + 1) if n else (None,))  # the table is rounded, ours goes up
    if found:
        smallest = find_smallest(found, discordant)
        assert smallest == pytest.approx(difference, rel=0.01) and smallest <= difference


def test_power_holds_in_simulated_studies() -> None:
    """At the smallest difference that 300 questions can find, McNemar's test finds it in about 80 % of studies."""
    size = find_smallest(300, 0.2) or 0
    draw = np.random.default_rng(1)
    better, worse, _ = draw.multinomial(300, [0.1 + size / 2, 0.1 - size / 2, 0.8], size=1000).T
    found = sum(mcnemar(int(b), int(c)) < 0.05 for b, c in zip(better, worse, strict=True))
    assert 0.74 <= found / 1000 <= 0.84


def test_the_smallest_difference_from_an_error() -> None:
    assert find_smallest_clustered(0.02) == pytest.approx(0.056, abs=2e-4)
    assert find_smallest_clustered(None) is None
    draw = np.random.default_rng(2)
    verdicts = draw.choice([1, -1, 0], p=[0.1, 0.1, 0.8], size=400)
    found = compare(column(list((verdicts > 0) * 1.0)), column(list((verdicts < 0) * 1.0)), apart(400), seed=1)
    assert find_smallest_clustered(found.error) == pytest.approx(
        find_smallest(400, float((verdicts != 0).mean())), rel=0.06
    )


def test_too_few_questions_can_find_nothing() -> None:
    assert find_smallest(5, 0.2) is None
    assert find_smallest(0, 0.2) is None and find_smallest(300, 0.0) is None
    assert find_needed(0.2, 0.1) is None and find_needed(0.0, 0.1) is None


def test_cochran_q_by_hand() -> None:
    """Three treatments of six patients, worked by hand: columns 5, 3, 1; rows 2 2 2 1 1 1; Q = 6 x 8 / 12."""
    table = [[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]
    found = cochran_q([[bool(each) for each in row] for row in table])
    assert found is not None
    assert found[0] == pytest.approx(4.0)
    assert found[1] == pytest.approx(stats.chi2.sf(4.0, 2))


def test_cochran_q_of_two_conditions_is_mcnemar_without_correction() -> None:
    table = [[True, False]] * 15 + [[False, True]] * 5 + [[True, True]] * 40
    found = cochran_q(table)
    assert found is not None and found[0] == pytest.approx((15 - 5) ** 2 / 20)


@given(st.integers(2, 9), st.floats(0, 60))
def test_the_tail_of_chi_squared_is_that_of_scipy(width: int, value: float) -> None:
    from raft_cli.evaluate.significance import _chi_squared_tail

    assert _chi_squared_tail(value, width - 1) == pytest.approx(stats.chi2.sf(value, width - 1), rel=1e-9, abs=1e-15)


def test_cochran_q_without_disagreement() -> None:
    assert cochran_q([]) is None and cochran_q([[True, True], [False, False]]) is None and cochran_q([[True]]) is None
    with pytest.raises(ValueError):
        cochran_q([[True], [True, False]])


def test_kappa_by_hand() -> None:
    one = ["right"] * 20 + ["right"] * 5 + ["wrong"] * 10 + ["wrong"] * 15
    other = ["right"] * 20 + ["wrong"] * 5 + ["right"] * 10 + ["wrong"] * 15
    assert cohens_kappa(one, other) == pytest.approx(0.4)
    assert cohens_kappa(one, one) == 1.0
    assert cohens_kappa([], []) is None and cohens_kappa(["right"], ["right"]) is None
    assert cohens_kappa(["right", "wrong"], ["wrong", "right"]) == -1.0
    with pytest.raises(ValueError):
        cohens_kappa(["right"], [])
