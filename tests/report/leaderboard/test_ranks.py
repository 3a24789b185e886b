"""Ranks: against an analytic case and brute force; ties, metrics where less is better, cases without a value."""

import itertools
import math

import numpy as np
import pytest

from ivgbench.metrics import stats
from ivgbench.report.leaderboard.ranks import LEVEL, Standing, closed, shown_better, standings


def better(values, sign=1, weights=None):
    values = np.asarray(values, dtype=float)
    return shown_better(values, np.ones_like(values) if weights is None else np.asarray(weights, float), sign)


def test_constant_differences_are_shown_where_there_are_enough_cases():
    """Of n equal differences the error is 0, and a pair's p is 2 x 2^-n: three pairs need 6 / 2^n <= 0.05."""
    for cases in (6, 7):
        base = np.random.default_rng(0).normal(size=cases)
        shown = better([base + 2, base + 1, base])
        assert shown.sum() == (3 if 6 / 2**cases <= LEVEL else 0)
    assert standings(shown) == [Standing(1, 1), Standing(2, 2), Standing(3, 3)]
    assert standings(better([base + 2, base + 1, base], sign=-1))[0] == Standing(3, 3)


def test_equal_methods_share_a_rank():
    values = np.random.default_rng(1).normal(size=(1, 20)).repeat(4, axis=0)
    assert standings(better(values)) == [Standing(1, 4)] * 4


def test_a_pair_is_judged_by_students_t():
    """Two methods, so that Holm changes nothing: the bootstrap's error is s / sqrt(n) to its own precision."""
    rng = np.random.default_rng(2)
    for shift, expected in ((0.9, True), (0.0, False)):
        difference = rng.normal(shift, 1, 30)
        t = difference.mean() / (difference.std(ddof=1) / math.sqrt(30))
        assert (2 * stats.student_tail(abs(t), 29) <= LEVEL) == expected
        assert better([difference, np.zeros(30)])[0, 1] == expected


def test_pairing_shows_what_intervals_of_their_own_hide():
    easy = np.linspace(0, 100, 24)
    wobble = np.tile([0.5, -0.5], 12)
    assert better([easy + 1 + wobble, easy])[0, 1]
    shuffled = np.random.default_rng(3).permutation(easy)
    assert not better([easy + 1 + wobble, shuffled]).any()


def test_pooled_numbers_are_compared_as_they_are_printed():
    """sum(values) / sum(weights): a case with no weight counts for nothing, whatever stands there."""
    weights = np.ones((2, 20))
    weights[:, ::2] = 0
    values = np.array([0.8, 0.5])[:, None] * weights
    assert better(values, weights=weights)[0, 1]
    assert not better(values[:, :2], weights=weights[:, :2]).any()


def test_a_case_without_a_value_is_left_out_of_its_pairs_only():
    base = np.random.default_rng(4).normal(size=20)
    values = np.array([base + 1, base, base - 1])
    values[0, :18] = np.nan
    shown = better(values)
    assert shown[1, 2] and not shown[0].any() and not shown[:, 0].any()


def test_what_follows_from_shown_orders_is_shown():
    chain = np.zeros((4, 4), dtype=bool)
    chain[0, 1] = chain[1, 2] = chain[2, 3] = True
    assert standings(closed(chain)) == [Standing(n, n) for n in (1, 2, 3, 4)]


def test_methods_without_a_case_in_common_are_ordered_by_way_of_a_third():
    base = np.random.default_rng(6).normal(size=24)
    values = np.array([base + 2, base + 1, base])
    values[0, 12:] = values[2, :12] = np.nan
    shown = better(values)
    assert shown[0, 1] and shown[1, 2] and shown[0, 2]


def test_a_circle_is_a_tie():
    circle = np.zeros((4, 4), dtype=bool)
    circle[0, 1] = circle[1, 2] = circle[2, 0] = circle[2, 3] = True
    shown = closed(circle)
    assert not shown[:3, :3].any() and shown[:3, 3].all()
    assert standings(shown) == [Standing(1, 3)] * 3 + [Standing(4, 4)]


def test_a_tie_is_not_carried_over():
    """A is better than C alone: B is tied with both, and may be first or last."""
    shown = np.zeros((3, 3), dtype=bool)
    shown[0, 2] = True
    assert standings(closed(shown)) == [Standing(1, 2), Standing(1, 3), Standing(2, 3)]


@pytest.mark.parametrize("seed", range(25))
def test_against_brute_force(seed):
    """Greatest and least place in all orders that agree with what is shown."""
    rng = np.random.default_rng(seed)
    size, order = 5, rng.permutation(5)
    shown = np.zeros((size, size), dtype=bool)
    for one, other in itertools.combinations(range(size), 2):
        shown[order[one], order[other]] = rng.random() < 0.3
    pairs = list(zip(*np.nonzero(shown), strict=True))
    allowed = [one for one in itertools.permutations(range(size)) if all(one.index(a) < one.index(b) for a, b in pairs)]
    for method, found in enumerate(standings(closed(shown))):
        places = [1 + one.index(method) for one in allowed]
        assert found == Standing(min(places), max(places))


def test_no_order_is_shown_among_equals_more_often_than_promised():
    rng = np.random.default_rng(5)
    wrong = sum(better(rng.normal(size=(4, 15))).any() for _ in range(60))
    assert wrong <= 7  # of 60 at 5 %: more has a probability of 1 %


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3, 1), (3, 0)])
def test_too_little_to_compare(shape):
    assert not better(np.zeros(shape)).any()
    assert standings(better(np.zeros(shape))) == [Standing(1, shape[0])] * shape[0]
