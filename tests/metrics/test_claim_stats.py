"""Holm's correction, bootstrap tails and paired FID/KID against known answers."""

import math

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.metrics.fid import fid, gaussian
from ivgbench.metrics.kid import kid_xvideo
from ivgbench.metrics.paired_sets import fid_draws, kid_draws


def test_holm_by_hand():
    # 0.01 x 4; 0.02 x 3; 0.03 x 2; 0.5 x 1, made monotone.
    np.testing.assert_allclose(stats.holm([0.02, 0.5, 0.01, 0.03]), [0.06, 0.5, 0.04, 0.06])
    np.testing.assert_allclose(stats.holm([0.4, 0.4, 0.9]), [1, 1, 1])
    with pytest.raises(UserError, match="between 0 and 1"):
        stats.holm([0.1, np.nan])


def test_holm_errs_in_any_of_many_true_nulls_as_rarely_as_promised():
    rng = np.random.default_rng(1)
    wrong = np.mean([(stats.holm(rng.uniform(size=20)) <= 0.05).any() for _ in range(4000)])
    assert 0.038 < wrong < 0.062
    plain = np.mean([(rng.uniform(size=20) <= 0.05).any() for _ in range(1000)])
    assert plain > 0.5


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 19, 20, 95])
@pytest.mark.parametrize("t", [-3.0, 0.0, 0.5, 2.093, 8.0])
def test_the_tail_of_students_t_is_its_integral(freedom, t):
    angles = np.linspace(np.arctan(t / np.sqrt(freedom)), np.pi / 2, 200_001)
    factor = math.gamma((freedom + 1) / 2) / (np.sqrt(np.pi) * math.gamma(freedom / 2))
    density = factor * np.cos(angles) ** (freedom - 1)
    area = ((density[1:] + density[:-1]) / 2 * np.diff(angles)).sum()
    assert stats.student_tail(t, freedom) == pytest.approx(area, abs=1e-9)


def test_tails_and_intervals_by_the_table():
    # t(.975) with 19 degrees of freedom is 2.0930, with 95 it is 1.9853.
    assert stats.interval(3.0, 2.0, 20) == pytest.approx((3 - 2 * 2.0930, 3 + 2 * 2.0930), abs=1e-3)
    assert stats.interval(0.0, 1.0, 96)[1] == pytest.approx(1.9853, abs=1e-3)
    assert stats.tails(3 + 2 * 2.0930, 2.0, 20, 3.0) == pytest.approx((0.025, 0.975), abs=1e-5)
    assert stats.tails(-1.0, 2.0, 20, -1.0) == (0.5, 0.5)


def test_no_p_value_is_below_that_of_equal_signs_and_one_case_says_nothing():
    assert stats.tails(5.0, 0.0, 20, 0.0) == (0.5**20, 1.0) and stats.tails(0.0, 0.0, 20, 0.0) == (1.0, 1.0)
    assert stats.tails(5.0, 1e-9, 5, 0.0)[0] == 0.5**5
    error = stats.standard_error(np.full(10, 3.0), 1)
    assert stats.tails(5.0, error, 1, 0.0) == (1.0, 1.0) and np.isnan(stats.interval(5.0, error, 1)).all()


@pytest.mark.parametrize("cases", [20, 96])
def test_resamples_of_cases_give_the_error_of_their_mean(cases):
    values = np.random.default_rng(0).gamma(2.0, size=cases)
    error = stats.standard_error(stats.case_weights(cases, 20_000) @ values / cases, cases)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(cases), rel=0.02)


@pytest.mark.parametrize(("level", "few"), [(0.05, 0.035), (0.001, 0.0)])
def test_tails_of_a_true_null_are_uniform(level, few):
    """At a difference of exactly the margin p <= level happens as often as promised, far out as well, with 20 cases."""
    rng = np.random.default_rng(2)
    weights = stats.case_weights(20, 1000)
    found = []
    for _ in range(3000):
        values = rng.gamma(2.0, size=20) - rng.gamma(2.0, size=20) + 0.3
        draws = weights @ values / 20
        found.append(stats.tails(values.mean(), stats.standard_error(draws, 20), 20, 0.3))
    above, below = (np.array(found) <= level).mean(0)
    assert few <= above < 1.5 * level + 0.001 and few <= below < 1.5 * level + 0.001


def test_case_weights_draw_as_many_cases_as_there_are():
    weights = stats.case_weights(7, 50)
    assert weights.shape == (50, 7) and (weights.sum(1) == 7).all()
    assert len(np.unique(weights, axis=0)) > 40


def test_case_weights_are_drawn_once_in_blocks_and_never_changed(monkeypatch):
    stats.case_weights.cache_clear()
    monkeypatch.setattr(stats, "BLOCK", 7 * 8)
    weights = stats.case_weights(7, 50)
    assert np.array_equal(weights, np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), 50))
    assert stats.case_weights(7, 50) is weights
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 0


@pytest.fixture
def clips():
    rng = np.random.default_rng(3)
    return [rng.normal(size=(4, 5)) + rng.normal(size=5) for _ in range(12)], rng.normal(size=(60, 5))


def test_fid_draws_are_fids_of_the_drawn_cases(clips):
    x, reference = clips
    cases = np.repeat(np.arange(6), 2)  # two seeds a case
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 1, 1, 1.0]])
    drawn = fid_draws(x, cases, gaussian(reference), weights)
    whole = fid(np.concatenate(x), reference)
    again = fid(np.concatenate([x[0], x[1], x[0], x[1], *x[4:]]), reference)
    np.testing.assert_allclose(drawn, [whole, whole, again])


def test_kid_draws_pair_no_clip_with_its_own_copy(clips):
    x, reference = clips
    videos = np.repeat(np.arange(15), 4)
    drawn = kid_draws(x, range(12), reference, videos, np.ones((1, 12)))
    expected = kid_xvideo(np.concatenate(x), reference, np.repeat(np.arange(12), 4), videos)
    np.testing.assert_allclose(drawn, [expected, expected])


def test_weights_for_other_cases_are_refused(clips):
    with pytest.raises(UserError, match="12 clips of 6 cases, but weights for 5"):
        fid_draws(clips[0], np.repeat(np.arange(6), 2), gaussian(clips[1]), np.ones((1, 5)))
