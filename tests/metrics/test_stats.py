import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    got = stats.mean(values)
    half = 1.96 * values.std() / 20
    assert got.value == pytest.approx(values.mean())
    assert got.low == pytest.approx(values.mean() - half, abs=0.02)
    assert got.high == pytest.approx(values.mean() + half, abs=0.02)
    assert (got.n, got.total) == (400, 400)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        got = stats.mean(rng.normal(0, 1, 60), resamples=500, seed=seed)
        hits += got.low <= 0 <= got.high
    assert 0.88 <= hits / 200 <= 0.99


def test_seed_decides_the_interval_and_not_the_mean():
    values = np.random.default_rng(0).random(20)
    one, same, other = stats.mean(values), stats.mean(values), stats.mean(values, seed=1)
    assert one == same
    assert one.value == other.value
    assert one.low != other.low


def test_what_is_drawn_once_for_many_is_the_same_and_never_changed():
    values, ones = np.random.default_rng(0).random(20), np.ones(20)
    first = stats.mean(values)
    assert stats.ratio(values, ones * 0.5).low == pytest.approx(2 * first.low)  # weighed, on the same draws
    stats.mean(values[:7]), stats.mean(values, resamples=50), stats.mean(values, seed=1)
    assert stats.mean(values) == first == stats.ratio(values, ones)
    drawn = np.random.default_rng(0).integers(0, 20, (stats.RESAMPLES, 20))
    ends = np.percentile(values[drawn].sum(1) / 20, [2.5, 97.5])
    assert (first.low, first.high) == pytest.approx(ends, rel=1e-14)
    with pytest.raises(ValueError, match="read-only"):
        stats._all_counts(20, 10, 0)[0] = 0


@pytest.mark.parametrize(("name", "value"), [("BLOCK", 20 * 64), ("BLOCK", 1), ("KEPT", 0)])
def test_neither_blocks_nor_what_is_kept_change_the_result(monkeypatch, name, value):
    values = np.random.default_rng(0).random(20)
    drawn = values[np.random.default_rng(3).integers(0, 20, (1000, 20))].sum(1) / 20
    stats._all_counts.cache_clear()
    monkeypatch.setattr(stats, name, value)
    got = stats.mean(values, resamples=1000, seed=3)
    assert (got.low, got.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), rel=1e-14)
    assert stats._all_counts.cache_info().currsize == (name != "KEPT")


def test_nan_are_left_out_and_counted():
    got = stats.mean(np.array([1.0, np.nan, 3.0, np.nan]))
    assert (got.value, got.n, got.total) == (2.0, 2, 4)
    empty = stats.mean(np.array([np.nan, np.nan]))
    assert np.isnan(empty.value)
    assert (empty.n, empty.total) == (0, 2)
    assert np.isnan(stats.mean(np.array([])).value)


def test_one_case_has_no_interval():
    got = stats.mean(np.array([3.0]))
    assert got.value == 3
    assert np.isnan(got.low)
    assert np.isnan(got.high)


def test_ratio_pools_and_resamples_both_sums():
    got = stats.ratio(np.array([8.0, 0.0, 1.0]), np.array([10.0, 0.0, 1.0]))
    assert got.value == pytest.approx(9 / 11)
    assert (got.n, got.total) == (2, 3)
    assert 0.8 <= got.low <= got.value <= got.high <= 1
    # A constant ratio has no spread, however the denominators vary; numerators alone would.
    weights = np.arange(1.0, 9.0)
    flat = stats.ratio(0.3 * weights, weights)
    assert flat.low == pytest.approx(0.3)
    assert flat.high == pytest.approx(0.3)


def test_ratio_without_any_denominator_has_no_value():
    got = stats.ratio(np.zeros(4), np.zeros(4))
    assert np.isnan(got.value)
    assert (got.n, got.total) == (0, 4)


def test_ratio_survives_resamples_without_a_denominator():
    got = stats.ratio(np.array([0.5, 1.0, 0, 0, 0]), np.array([1.0, 1.0, 0, 0, 0]))
    assert (got.value, got.low, got.high) == (0.75, 0.5, 1.0)


def test_pairs_cancel_what_they_share():
    rng = np.random.default_rng(0)
    case = rng.normal(0, 10, 50)
    a, b = case + 1 + rng.normal(0, 0.1, 50), case + rng.normal(0, 0.1, 50)
    got = stats.paired_difference(a, b)
    assert got.value == pytest.approx(1, abs=0.1)
    assert 0.9 < got.low < got.high < 1.1
    unpaired = stats.paired_difference(a, b[::-1])
    assert unpaired.high - unpaired.low > 10 * (got.high - got.low)


def test_a_pair_needs_both_sides():
    got = stats.paired_difference(np.array([1.0, np.nan, 3.0]), np.array([0.0, 0.0, np.nan]))
    assert (got.value, got.n, got.total) == (1.0, 1, 3)


def test_wrong_input_is_refused():
    with pytest.raises(UserError, match="same cases"):
        stats.paired_difference(np.zeros(3), np.zeros(2))
    with pytest.raises(UserError, match="2 numerators for 3"):
        stats.ratio(np.zeros(2), np.ones(3))
    with pytest.raises(UserError, match="finite"):
        stats.mean(np.array([1.0, np.inf]))
