import sys

import numpy as np
import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.metrics import fid
from ivgbench.metrics.fid import _congruence, against, from_moments, gaussian, interval


def made_up(rows, dimension, seed=0, shift=0.0):
    """Features as an encoder has them: correlated, a falling spectrum, not negative."""
    mix = np.linalg.qr(np.random.default_rng(99).standard_normal((dimension, dimension)))[0]
    spread = (1.0 + np.arange(dimension)) ** -0.7
    drawn = np.random.default_rng(seed).standard_normal((rows, dimension)) * spread
    return np.maximum(drawn @ mix + 0.2 + shift, 0)


def by_eigenvalues(x, y):
    """The textbook formula: eigenvalues of the product of the covariances."""
    one, two = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(one @ two).astype(complex)).real.sum()
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(one) + np.trace(two) - 2 * root


class Unchanged(torch.nn.Module):
    """torchmetrics' feature extractor for features that are there already."""

    num_features = 1

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("rows", "others", "dimension"), [(500, 700, 270), (300, 300, 64), (40, 60, 128), (500, 300, 300), (300, 300, 300)]
)
def test_three_libraries_agree(rows, others, dimension):
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = made_up(rows, dimension), made_up(others, dimension, seed=1, shift=0.05)
    ours = fid(x, y)
    statistics = [fid_features_to_statistics(torch.from_numpy(one)) for one in (x, y)]
    assert ours == pytest.approx(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID], rel=1e-5)
    Unchanged.num_features = dimension
    theirs = FrechetInceptionDistance(feature=Unchanged(), normalize=True).set_dtype(torch.float64)
    theirs.update(torch.from_numpy(x), real=True)
    theirs.update(torch.from_numpy(y), real=False)
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-5)
    assert ours == pytest.approx(by_eigenvalues(x, y), rel=1e-5)


@pytest.mark.parametrize("shape", [(500, 300), (30, 50)])
def test_a_scaled_and_shifted_set_has_a_known_distance(shape):
    x = made_up(*shape)
    spread = np.square(x - x.mean(0)).sum() / (len(x) - 1)
    for scale, shift in ((1.0, 0.0), (1.5, 0.0), (1.0, 0.3), (0.5, 0.1)):
        expected = np.square(x.mean(0) * (scale - 1) + shift).sum() + (scale - 1) ** 2 * spread
        assert fid(x, scale * x + shift) == pytest.approx(expected, abs=1e-9)


def test_singular_covariances_are_no_obstacle(monkeypatch):
    x, y = made_up(600, 300), made_up(500, 300, seed=1)
    x[:, 7] = y[:, 7] = 0  # a feature that never fires
    y[:, 11] = y[:, 12]
    assert gaussian(y).root.shape == (300, 300)
    assert fid(x, y) == pytest.approx(by_eigenvalues(x, y), rel=1e-5)
    assert fid(y, x) == pytest.approx(fid(x, y), rel=1e-9)
    # The quick way and the exact one.
    quick = fid(made_up(600, 300), made_up(500, 300, seed=1))
    monkeypatch.setattr(sys.modules["ivgbench.metrics.fid"], "ROUNDING", -1.0)
    assert fid(made_up(600, 300), made_up(500, 300, seed=1)) == pytest.approx(quick, rel=1e-10)


def test_the_triangular_product_skips_only_zeros():
    rng = np.random.default_rng(0)
    for size in (5, 256, 300):
        root, half = np.triu(rng.standard_normal((size, size))), rng.standard_normal((size, size))
        expected = root @ (half @ half.T) @ root.T
        assert np.tril(_congruence(root, half @ half.T)) == pytest.approx(np.tril(expected), rel=1e-9, abs=1e-7)


def test_order_and_precision_of_the_features_do_not_matter():
    x, y = made_up(400, 96).astype(np.float32), made_up(300, 96, seed=1).astype(np.float32)
    value = fid(x, y)
    assert fid(x[::-1], y[np.random.default_rng(0).permutation(300)]) == pytest.approx(value, rel=1e-10)
    assert fid(x.astype(np.float64), y.astype(np.float64)) == value
    assert against(x, gaussian(y)) == value
    assert fid(x, x) == pytest.approx(0, abs=1e-9)


def test_it_falls_with_the_number_of_frames_where_nothing_differs():
    values = [fid(made_up(n, 64, seed=2), made_up(n, 64, seed=3)) for n in (32, 128, 512, 2048)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 10


def test_an_interval_lies_around_its_estimate_and_knows_videos():
    rng = np.random.default_rng(4)
    centres = rng.standard_normal((20, 16))
    x = np.repeat(centres, 8, 0) + 0.1 * rng.standard_normal((160, 16))
    videos = np.repeat(np.arange(20), 8)
    reference = gaussian(rng.standard_normal((500, 16)))
    got = interval(x, videos, reference)
    assert got.value == against(x, reference) and got.low < got.value < got.high and got.n == 20
    assert got == interval(x, [f"video {one:02}" for one in videos], reference)
    # Frames taken for independent would promise three times as much.
    frames = interval(x, range(160), reference)
    assert got.high - got.low > 1.8 * (frames.high - frames.low)
    # Two draws of the same few videos hardly differ, and move by more than that.
    near = interval(x[:40], videos[:40], gaussian(x[:40] + 0.01 * rng.standard_normal((40, 16))))
    assert near.low == 0 < near.value < near.high
    lone = interval(x[:8], videos[:8], reference)
    assert lone.n == 1 and np.isnan([lone.low, lone.high]).all()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4))),
        (np.zeros((1, 3)), np.zeros((5, 3))),
        (np.zeros(5), np.zeros((5, 3))),
        (np.full((5, 3), np.nan), np.zeros((5, 3))),
        (np.zeros((5, 3)), np.full((5, 3), np.inf)),
    ],
)
def test_features_that_do_not_fit_are_refused(x, y):
    with pytest.raises(UserError, match=r"feature"):
        fid(x, y)


@pytest.mark.parametrize("shape", [(500, 300), (30, 50)])
def test_moments_stand_for_their_features(shape):
    x, y = made_up(*shape), made_up(shape[0], shape[1], seed=1)
    known = from_moments(y.mean(0), np.cov(y, rowvar=False))
    assert against(x, known) == pytest.approx(fid(x, y), rel=1e-6)
    assert np.array_equal(known.root, np.triu(known.root))
    single = from_moments(np.float32(y.mean(0)), np.float32(np.cov(y, rowvar=False)))
    assert against(x, single) == pytest.approx(fid(x, y), rel=1e-3)


@pytest.mark.parametrize(
    ("mean", "covariance", "words"),
    [
        (np.zeros(3), np.zeros((3, 4)), r"got \[3\] and \[3, 4\]"),
        (np.zeros((3, 1)), np.eye(3), r"got \[3, 1\]"),
        (np.zeros(0), np.zeros((0, 0)), r"got \[0\]"),
        (np.full(3, np.inf), np.eye(3), "not finite"),
        (np.zeros(2), np.array([[1, 0.5], [0.4, 1]]), "not symmetric"),
        (np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]), "negative variance"),
        (np.zeros(2), -np.eye(2), "negative variance"),
    ],
)
def test_moments_that_are_none_are_refused(mean, covariance, words):
    with pytest.raises(UserError, match=words):
        from_moments(mean, covariance)
    assert against(np.eye(3), from_moments(np.eye(3).mean(0), np.zeros((3, 3)))) == pytest.approx(1)


def test_statistics_of_another_dimension_and_missing_videos_are_refused():
    with pytest.raises(UserError, match="one dimension, got 3 and 4"):
        against(np.eye(3), gaussian(np.eye(4)))
    with pytest.raises(UserError, match="3 feature rows, but 2 names"):
        interval(np.eye(3), [0, 1], gaussian(np.eye(3)))
