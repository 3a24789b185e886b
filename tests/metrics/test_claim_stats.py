"""Holm's correction, bootstrap tails and paired FID/KID against known answers."""

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


def test_tails_of_a_true_null_are_uniform():
    """At a difference of exactly the margin, p <= 0.05 happens in about 5 % of experiments, on either side."""
    rng = np.random.default_rng(2)
    weights = stats.case_weights(96, 1000)
    found = []
    for _ in range(1500):
        values = rng.gamma(2.0, size=96) - rng.gamma(2.0, size=96) + 0.3
        found.append(stats.tails(weights @ values / 96, 0.3))
    above, below = (np.array(found) <= 0.05).mean(0)
    assert 0.035 < above < 0.075 and 0.035 < below < 0.075


def test_case_weights_draw_as_many_cases_as_there_are():
    weights = stats.case_weights(7, 50)
    assert weights.shape == (50, 7) and (weights.sum(1) == 7).all()
    assert np.array_equal(weights, stats.case_weights(7, 50)) and len(np.unique(weights, axis=0)) > 40


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
