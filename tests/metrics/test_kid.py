import numpy as np
import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.metrics import kernel, kid
from ivgbench.metrics.kid import cubic, kid_xvideo


def drawn(rows, dimension=24, seed=0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((rows, dimension)) + shift


def by_hand(x, y, skip):
    """The mean kernel over pairs within x and within y, less twice the mean across; `skip(i, j)` leaves pairs out."""

    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    def within(z, which):
        values = [k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if not skip(which, i, j)]
        return np.mean(values)

    return within(x, 0) + within(y, 1) - 2 * np.mean([k(a, b) for a in x for b in y])


class Unchanged(torch.nn.Module):
    num_features = 24

    def forward(self, x):
        return x


def test_three_libraries_agree_where_no_random_choice_is_left():
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y = drawn(150), drawn(150, seed=1, shift=0.2)
    mean, deviation = kid(x, y, subsets=3, subset_size=150)
    assert mean == pytest.approx(by_hand(x, y, lambda _, i, j: i == j), abs=1e-12)
    assert deviation == pytest.approx(0, abs=1e-12)
    arguments = {"kid_subsets": 3, "kid_subset_size": 150, "verbose": False}
    fidelity = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **arguments)
    assert mean == pytest.approx(fidelity[KEY_METRIC_KID_MEAN], abs=1e-6)
    theirs = KernelInceptionDistance(feature=Unchanged(), subsets=3, subset_size=150, normalize=True)
    theirs.update(torch.from_numpy(x), real=True)
    theirs.update(torch.from_numpy(y), real=False)
    assert mean == pytest.approx(theirs.compute()[0].item(), abs=1e-6)


@pytest.mark.parametrize(("subsets", "size"), [(40, 30), (2, 12)])
def test_subsets_are_drawn_without_replacement_from_the_seed(subsets, size):
    """Both ways to sum over subsets: the whole kernel at once, and subset by subset."""
    x, y = drawn(60), drawn(90, seed=1, shift=0.1)
    rng = np.random.default_rng(5)
    picks = [[rng.choice(len(one), size, replace=False) for _ in range(subsets)] for one in (x, y)]
    values = [by_hand(x[r], y[c], lambda _, i, j: i == j) for r, c in zip(*picks, strict=True)]
    mean, deviation = kid(x, y, subsets, size, seed=5)
    assert (mean, deviation) == pytest.approx((np.mean(values), np.std(values)), abs=1e-12)
    assert kid(x, y, subsets, size, seed=6)[0] != mean


def test_degree_is_the_kernels():
    x, y = drawn(20), drawn(20, seed=1)
    assert kid(x, y, 1, 20, degree=1)[0] == pytest.approx(
        np.square(x.mean(0) - y.mean(0)).sum() / 24
        - sum((np.square(z - z.mean(0)).sum() / 19 / 20) for z in (x, y)) / 24,
        abs=1e-12,
    )


def test_cross_video_pairs_only():
    x, y = drawn(30), drawn(24, seed=1, shift=0.2)
    videos = [np.repeat(["b", "a", "c"], 10), np.arange(24) % 5]
    expected = by_hand(x, y, lambda which, i, j: videos[which][i] == videos[which][j])
    assert kid_xvideo(x, y, *videos) == pytest.approx(expected, abs=1e-12)
    order = np.random.default_rng(2).permutation(30)
    assert kid_xvideo(x[order], y, videos[0][order], videos[1]) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(kid_xvideo(x, y, np.zeros(30), videos[1]))
    # One frame each: the plain unbiased estimate.
    assert kid_xvideo(x, x + 0.1, range(30), range(30)) == pytest.approx(kid(x, x + 0.1, 1, 30)[0], abs=1e-12)


def test_frames_that_are_alike_bias_kid_and_not_the_cross_video_one():
    rng = np.random.default_rng(3)

    def videos(count, frames=12):
        return np.repeat(rng.standard_normal((count, 24)), frames, 0) + 0.2 * rng.standard_normal((count * frames, 24))

    names = np.repeat(np.arange(30), 12)
    plain, across = [], []
    for _ in range(20):
        x, y = videos(30), videos(30)  # one distribution
        plain.append(kid(x, y, 1, 360)[0])
        across.append(kid_xvideo(x, y, names, names))
    assert np.mean(plain) > 0.1
    assert abs(np.mean(across)) < 3 * np.std(across) / np.sqrt(20)


def test_the_interval_resamples_videos_and_never_pairs_a_video_with_itself():
    x, y = drawn(40, shift=0.3), drawn(40, seed=1)
    names = np.repeat(np.arange(10), 4)
    sums = kernel.video_sums(x, y, names, names, cubic(24))
    got = kernel.interval(sums, resamples=500, seed=1)
    assert got.value == pytest.approx(kid_xvideo(x, y, names, names), abs=1e-12) and got.low < got.value < got.high
    weights = np.random.default_rng(1).multinomial(10, np.full(10, 0.1), 500).astype(float)
    for row in weights[:3]:
        picked = np.repeat(np.arange(10), row.astype(int))
        frames = np.concatenate([np.flatnonzero(names == one) for one in picked])
        owner = np.repeat(picked, 4)
        expected = by_hand(
            x[frames], y, lambda which, i, j, owner=owner: (owner if which == 0 else names)[i] == (
                owner if which == 0 else names)[j]
        )  # fmt: skip
        assert kernel.unbiased_mmd(sums, row[None])[0] == pytest.approx(expected, abs=1e-12)
    # Resamples are centred on the estimate: duplicates bring no bias.
    everything = kernel.unbiased_mmd(sums, weights)
    assert abs(everything.mean() - got.value) < 4 * everything.std() / np.sqrt(500)


def test_memory_is_bounded_and_blocks_change_nothing(monkeypatch):
    x, y = drawn(50), drawn(70, seed=1)
    whole = kid_xvideo(x, y, np.arange(50) // 5, np.arange(70) // 7)
    monkeypatch.setattr(kernel, "BLOCK", 200)
    assert kid_xvideo(x, y, np.arange(50) // 5, np.arange(70) // 7) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(("size", "subsets"), [(21, 1), (1, 1), (20, 0)])
def test_impossible_subsets_are_refused(size, subsets):
    with pytest.raises(UserError, match=r"2 <= subset_size <= 20"):
        kid(drawn(20), drawn(30), subsets, size)


def test_every_frame_needs_its_video():
    with pytest.raises(UserError, match="20 feature rows, but 19 names"):
        kid_xvideo(drawn(20), drawn(20), range(19), range(20))
