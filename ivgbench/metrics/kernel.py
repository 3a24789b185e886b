"""Squared MMD under a polynomial kernel, at the level of videos. What KID and JEDi share; numpy only, float64.

Frames of one video resemble each other, so they are no independent samples: an estimate that pairs them with each
other is biased upward. Sums of the kernel per pair of videos are all that is needed to leave such pairs out, and to
resample videos without computing the kernel again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ivgbench.arrays import floats
from ivgbench.errors import UserError
from ivgbench.metrics.stats import RESAMPLES, Interval

#: Entries of the kernel matrix that are held at once: 32 MB.
BLOCK = 4_000_000
#: No feature is larger. Powers of larger ones overflow, and a metric of infinities is no number.
LARGEST = 1e30


class Kernel(NamedTuple):
    """k(x, y) = (gamma <x, y> + coef0) ** degree."""

    degree: int
    gamma: float
    coef0: float

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[N,D] x [M,D] -> [N,M]."""
        return self._power(x @ y.T)

    def diagonal(self, x: np.ndarray) -> np.ndarray:
        """k(x_i, x_i), [N]."""
        return self._power(np.einsum("nd,nd->n", x, x))

    def _power(self, products: np.ndarray) -> np.ndarray:
        base = self.gamma * products + self.coef0
        power = base.copy()
        for _ in range(self.degree - 1):  # numpy's ** is ten times slower
            power *= base
        return power

    def sums(self, x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """left @ K @ right.T for K = k(x, y), without ever holding K: [A,N] and [B,M] weights -> [A,B]."""
        total = np.zeros((len(left), len(right)))
        step = max(BLOCK // len(y), 1)
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            total += left[:, rows] @ (self(x[rows], y) @ right.T)
        return total


class VideoSums(NamedTuple):
    """Sums of a kernel over pairs of frames, by pair of videos: xx [V,V], yy [W,W], xy [V,W]; frames of each video."""

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    x_frames: np.ndarray
    y_frames: np.ndarray


def video_sums(
    x: np.ndarray,
    y: np.ndarray,
    x_videos: Sequence[object] | np.ndarray,
    y_videos: Sequence[object] | np.ndarray,
    kernel: Kernel,
    yy: np.ndarray | None = None,
) -> VideoSums:
    """Sums by videos of features x [N,D], y [M,D]; `x_videos` [N], `y_videos` [M] name the video of each frame.

    yy: the sums of y with itself, where they are known (`own_sums`): a large reference is compared with many sets.
    """
    x, y = features(x, y)
    left, right = _membership(x_videos, len(x)), _membership(y_videos, len(y))
    yy = own_sums(y, y_videos, kernel) if yy is None else yy
    return VideoSums(
        own_sums(x, x_videos, kernel), yy, kernel.sums(x, y, left, right), left.sum(1), right.sum(1)
    )  # fmt: skip


def own_sums(x: np.ndarray, videos: Sequence[object] | np.ndarray, kernel: Kernel) -> np.ndarray:
    """Sums of the kernel over pairs of frames of one set, by pair of videos, [V,V]."""
    (x,) = features(x)
    member = _membership(videos, len(x))
    return kernel.sums(x, x, member, member)


def _membership(videos: Sequence[object] | np.ndarray, frames: int) -> np.ndarray:
    """One row per video, 1 at its frames."""
    if len(videos) != frames:
        raise UserError(f"{frames} feature rows, but {len(videos)} names of their videos")
    number = np.unique(np.asarray(videos), return_inverse=True)[1]
    return np.eye(number.max() + 1)[number].T


def unbiased_mmd(sums: VideoSums, weights: np.ndarray | None = None) -> np.ndarray:
    """Squared MMD from pairs of different videos only: a U-statistic over videos, [R].

    Args:
        weights: [R,V], how often each video of x counts; by default once. A video that is drawn twice is still one
            video: its copies are not paired with each other.
    Returns:
        NaN where fewer than two different videos are left.
    """
    weights = np.ones((1, len(sums.xx))) if weights is None else weights
    once = np.ones((1, len(sums.yy)))
    across = (weights @ sums.xy).sum(1) / (weights @ sums.x_frames * sums.y_frames.sum())
    return _within(sums.xx, sums.x_frames, weights) + _within(sums.yy, sums.y_frames, once) - 2 * across


def _within(sums: np.ndarray, frames: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the kernel over pairs of frames of different videos."""
    pairs = np.outer(frames, frames)
    others = 1 - np.eye(len(sums))
    total, count = (np.einsum("ru,uv,rv->r", weights, m * others, weights, optimize=True) for m in (sums, pairs))
    return np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)


def interval(sums: VideoSums, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0) -> Interval:
    """`unbiased_mmd` and its percentile-bootstrap interval over the videos of x, against the same y."""
    videos = len(sums.xx)
    value = float(unbiased_mmd(sums)[0])
    if videos < 3 or np.isnan(value):
        return Interval(value, np.nan, np.nan, videos, videos)
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), resamples)
    low, high = np.nanpercentile(unbiased_mmd(sums, drawn.astype(float)), [50 * (1 - level), 50 * (1 + level)])
    return Interval(value, float(low), float(high), videos, videos)


def features(*sets: np.ndarray) -> list[np.ndarray]:
    """Feature sets as float64 [N,D], after checking that they fit each other.

    Raises:
        UserError: not [N,D] with one D >= 1, fewer than two rows, values that are not finite or beyond `LARGEST`.
    """
    made = [floats(one, "features") for one in sets]
    shapes = ", ".join(str(list(one.shape)) for one in made)
    fits = all(one.ndim == 2 and len(one) >= 2 and one.size for one in made)
    if not fits or len({one.shape[1:] for one in made}) != 1:
        raise UserError(f"need feature sets [N,D] of one D with at least 2 rows each, got {shapes}")
    if not all((np.abs(one) <= LARGEST).all() for one in made):  # written so that NaN is caught too
        raise UserError(f"the features hold values that are not finite, or beyond {LARGEST:g}")
    return made
