"""Frechet Inception Distance (Heusel et al. 2017) between two sets of frame features. numpy only, float64.

FID = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)). With factors such that A^T A = S1 and B^T B = S2, the last
trace is the sum of the singular values of A B^T (its nuclear norm). No square root of a matrix, no complex number, no
epsilon, and it holds for singular covariances as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.metrics.kernel import LARGEST, features
from ivgbench.metrics.stats import Interval

#: Resamples of videos behind an interval. Each costs an FID, so there are fewer than for means.
RESAMPLES = 200
#: Share of a sum of roots that may be lost to rounding. The bound it is held against supposes that all errors add up:
#: what was measured at 5,000 x 2,048 features is a hundred thousand times smaller.
ROUNDING = 1e-7
#: How far statistics in float32 may be from a covariance, as a part of their largest value.
SINGLE = 1e-5
#: Columns that are multiplied at once where a triangular matrix makes the rest zero.
TILE = 256


class Gaussian(NamedTuple):
    """What FID reads of a set of features: `mean` [D], and `root` [r,D], r <= D, with root^T root = covariance.

    FID compares Gaussians, so these are sufficient statistics, whatever the number of frames was. A square root is
    upper triangular.
    """

    mean: np.ndarray
    root: np.ndarray


def fid(x: np.ndarray, y: np.ndarray) -> float:
    """FID of features x [N,D] and y [M,D]; covariances are unbiased (N - 1). Falls with N and M: compare equal ones."""
    x, y = features(x, y)
    return _against(x, _gaussian(y))


def gaussian(x: np.ndarray) -> Gaussian:
    """Mean and root of the covariance of features [N,D]."""
    (x,) = features(x)
    return _gaussian(x)


def _gaussian(x: np.ndarray) -> Gaussian:
    mean, centred = _centred(x)
    if len(x) < x.shape[1]:
        return Gaussian(mean, centred)
    try:
        return Gaussian(mean, np.linalg.cholesky(centred.T @ centred).T)
    except np.linalg.LinAlgError:  # singular: frames that repeat each other, features that never fire
        return Gaussian(mean, np.asarray(np.linalg.qr(centred, mode="r")))


def from_moments(mean: np.ndarray, covariance: np.ndarray) -> Gaussian:
    """The same from a mean [D] and an unbiased covariance [D,D] that were computed elsewhere, in float32 or better.

    Raises:
        UserError: shapes that do not fit, values that are not finite or larger than those of any features, or no
            covariance: not symmetric, or negative somewhere.
    """
    mean, covariance = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if mean.ndim != 1 or not len(mean) or covariance.shape != 2 * mean.shape:
        shapes = f"{list(mean.shape)} and {list(covariance.shape)}"
        raise UserError(f"a mean [D] and a covariance [D,D] are needed, got {shapes}")
    if not ((np.abs(mean) <= LARGEST).all() and (np.abs(covariance) <= LARGEST**2).all()):  # NaN is caught too
        raise UserError("the statistics hold values that are not finite, or too large")
    scale = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > SINGLE * scale:
        raise UserError("the covariance is not symmetric")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < -SINGLE * max(values[-1], 0) or values[-1] < 0:
        raise UserError("the covariance has a direction of negative variance, so it is none")
    # R of the QR decomposition is the square root that is upper triangular.
    return Gaussian(mean, np.asarray(np.linalg.qr(np.sqrt(values.clip(0))[:, None] * vectors.T, mode="r")))


def against(x: np.ndarray, reference: Gaussian) -> float:
    """FID of features x [N,D] and a reference of which only the statistics are kept."""
    (x,) = features(x)
    if x.shape[1] != len(reference.mean):
        raise UserError(f"FID needs features of one dimension, got {x.shape[1]} and {len(reference.mean)}")
    return _against(x, reference)


def _against(x: np.ndarray, reference: Gaussian) -> float:
    mean, centred = _centred(x)
    means, factors = mean - reference.mean, (centred, reference.root)
    apart = means @ means + sum(np.vdot(one, one) for one in factors)
    return max(0.0, float(apart - 2 * _nuclear_norm(centred, reference.root)))  # equal sets: rounding goes both ways


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the rows without it over sqrt(N - 1): their square is the covariance."""
    mean = x.mean(0)
    centred = x - mean
    centred /= np.sqrt(len(x) - 1)
    return mean, centred


def _nuclear_norm(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the singular values of a @ b.T, for a [N,D] and b [r,D]."""
    if len(a) > len(b) == b.shape[1]:
        # Eigenvalues of the squared matrix cost a tenth of an SVD. Each is off by an epsilon of the largest, which
        # matters to the root of one that nearly vanishes.
        values = np.linalg.eigvalsh(_congruence(b, a.T @ a))
        if values[0] > 0:
            roots = np.sqrt(values)
            lost = np.finfo(float).eps * values[-1] * (0.5 / roots).sum()
            if lost <= ROUNDING * roots.sum():
                return float(roots.sum())
    return float(np.linalg.svd(a @ b.T, compute_uv=False).sum())


def _congruence(root: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The lower triangle of root @ covariance @ root.T for an upper triangular root; its zeros are not multiplied."""
    half, whole = np.empty_like(covariance), np.zeros_like(covariance)
    starts = range(0, len(root), TILE)
    for start in starts:
        rows = slice(start, start + TILE)
        half[:, rows] = covariance[:, start:] @ root[rows, start:].T
    for start in starts:
        rows = slice(start, start + TILE)
        whole[rows, : start + TILE] = root[rows, start:] @ half[start:, : start + TILE]
    return whole


def interval(
    x: np.ndarray,
    videos: Sequence[object] | np.ndarray,
    reference: Gaussian,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """FID of x [N,D] against a reference, and how far it moves when the videos of x are drawn again.

    A resample has fewer different videos and so a higher FID. That shift is bias and not spread: the interval has the
    percentiles of the resamples' deviations from their own mean, around the estimate; no FID is below 0.

    Args:
        videos: which video each frame is of, [N].
    """
    (x,) = features(x)
    if len(videos) != len(x):
        raise UserError(f"{len(x)} feature rows, but {len(videos)} names of their videos")
    value = against(x, reference)
    number = np.unique(np.asarray(videos), return_inverse=True)[1]
    frames = [np.flatnonzero(number == one) for one in range(number.max() + 1)]
    if len(frames) < 2:
        return Interval(value, np.nan, np.nan, len(frames), len(frames))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([frames[one] for one in rng.integers(0, len(frames), len(frames))])
        drawn.append(against(x[picked], reference))
    low, high = np.percentile(np.array(drawn) - np.mean(drawn), [50 * (1 - level), 50 * (1 + level)])
    return Interval(value, max(0.0, value + float(low)), value + float(high), len(frames), len(frames))
