import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import jedi, kernel
from ivgbench.metrics.jedi import clip_sums, jedi_unbiased


def drawn(rows, seed, shift=0.0, dimension=20):
    return np.random.default_rng(seed).standard_normal((rows, dimension)) + shift


def gram(a, b):
    return (a @ b.T / a.shape[1]) ** 2


def test_the_released_definition():
    """Means of whole kernel matrices, diagonals included, x 100."""
    x, y = drawn(40, 0, 0.3), drawn(55, 1)
    expected = 100 * (gram(x, x).mean() + gram(y, y).mean() - 2 * gram(x, y).mean())
    assert jedi(x, y) == pytest.approx(expected, rel=1e-12)
    assert jedi(y, x) == pytest.approx(expected, rel=1e-12)
    assert jedi(x[::-1], y) == pytest.approx(expected, rel=1e-12)
    assert jedi(x, x) == 0


def test_the_unbiased_value_leaves_the_diagonals_out():
    x, y = drawn(40, 0, 0.3), drawn(55, 1)
    within = [(gram(z, z).sum() - np.trace(gram(z, z))) / (len(z) * (len(z) - 1)) for z in (x, y)]
    assert jedi_unbiased(x, y) == pytest.approx(100 * (sum(within) - 2 * gram(x, y).mean()), rel=1e-9)


def test_only_the_biased_value_falls_with_the_number_of_clips():
    small, large, unbiased = [], [], []
    for seed in range(30):
        x, y = drawn(400, 2 * seed), drawn(400, 2 * seed + 1)  # one distribution
        small.append(jedi(x[:20], y[:20]))
        large.append(jedi(x, y))
        unbiased.append(jedi_unbiased(x[:20], y[:20]))
    assert np.mean(small) > 10 * np.mean(large)
    assert abs(np.mean(unbiased)) < 3 * np.std(unbiased) / np.sqrt(30)


def test_its_interval():
    got = kernel.interval(clip_sums(drawn(30, 0, 0.5), drawn(40, 1)), resamples=300)
    assert 100 * got.value == pytest.approx(jedi_unbiased(drawn(30, 0, 0.5), drawn(40, 1)))
    assert got.low < got.value < got.high and got.n == 30
    assert np.isnan(kernel.interval(clip_sums(drawn(2, 0), drawn(40, 1))).low)


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match="feature sets"):
        jedi(drawn(4, 0), drawn(4, 1, dimension=21))
